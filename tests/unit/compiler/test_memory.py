"""What a memo keeps, and what it forgets."""

from calicod.compiler.memory import Memo


def counting(memo: Memo, key: str, given: object, made: list[object]) -> object:
    def make(value: object) -> object:
        made.append(value)
        return ("made of", value)

    return memo.get(key, given, make)


def test_a_value_is_made_once_for_equal_input():
    memo, made = Memo(), []

    assert counting(memo, "k", [1], made) is counting(memo, "k", [1], made)
    assert made == [[1]]


def test_a_value_is_made_again_when_the_input_differs():
    memo, made = Memo(), []
    counting(memo, "k", 1, made)

    assert counting(memo, "k", 2, made) == ("made of", 2)


def test_what_a_whole_turn_did_not_ask_for_is_forgotten():
    memo, made = Memo(), []
    counting(memo, "kept", 1, made)
    counting(memo, "dropped", 2, made)
    memo.turn()
    counting(memo, "kept", 1, made)
    memo.turn()
    counting(memo, "kept", 1, made)
    counting(memo, "dropped", 2, made)

    assert made == [1, 2, 2]
