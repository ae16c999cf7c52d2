from calicod.fields.bounded import Bounded


def test_what_is_kept_is_returned_and_found_again():
    memory = Bounded[str, int](2)

    assert memory.keep("a", 1) == 1
    assert memory.get("a") == 1


def test_it_never_holds_more_than_its_limit():
    memory = Bounded[int, int](3)
    sizes = []
    for number in range(10):
        memory.keep(number, number)
        sizes.append(len(memory))

    assert max(sizes) == 3
    assert memory.get(9) == 9
