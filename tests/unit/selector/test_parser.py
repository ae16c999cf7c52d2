"""From the text of a selector to its tree (semantics 3.1 to 3.3)."""

import pytest

from calicod.selector.parser import MAX_DEPTH, SelectorError, parse
from calicod.selector.tree import All, And, EndsWith, Equals, Global, Has, In, Not, NotEquals, NotIn, Or, StartsWith

TREES = {
    "": All(),
    " \t ": All(),
    "all()": All(),
    " all( ) ": All(),
    "global()": Global(),
    "has( x )": Has("x"),
    'a == "b"': Equals("a", "b"),
    "a=='b'": Equals("a", "b"),
    "a != ''": NotEquals("a", ""),
    "a starts with 'x'": StartsWith("a", "x"),
    "a startswith 'x'": StartsWith("a", "x"),
    "a ends  \twith'x'": EndsWith("a", "x"),
    "a in {'z', 'y', 'z',}": In("a", ("y", "z")),
    "a in {}": In("a", ()),
    "a notin{'b'}": NotIn("a", ("b",)),
    "a not  in { }": NotIn("a", ()),
    # Keywords are labels where no operator is looked for.
    "in == 'x'": Equals("in", "x"),
    "not == 'y'": Equals("not", "y"),
    "all == 'z'": Equals("all", "z"),
    "has != 'w'": NotEquals("has", "w"),
    "not not in {'a'}": NotIn("not", ("a",)),
    "in in {'in'}": In("in", ("in",)),
    "!has(a)": Not(Has("a")),
    "!a == 'b'": Not(Equals("a", "b")),
    "!!has(a)": Has("a"),
    "! ! !has(a)": Not(Has("a")),
    "!(!has(a))": Has("a"),
    "((has(a)))": Has("a"),
    "has(a) && has(b) && has(c)": And((Has("a"), Has("b"), Has("c"))),
    "has(a) || has(b) && has(c)": Or((Has("a"), And((Has("b"), Has("c"))))),
    "(has(a) || has(b)) && has(c)": And((Or((Has("a"), Has("b"))), Has("c"))),
    "!(has(a)&&has(b))": Not(And((Has("a"), Has("b")))),
    "a == 'ü\\n'": Equals("a", "ü\\n"),
}


@pytest.mark.parametrize("text", TREES)
def test_a_selector_has_its_tree(text):
    assert parse(text) == TREES[text]


MISTAKES = {
    "a": 2,
    'a = "b"': 3,
    "a == b": 6,
    'a == "b': 6,
    'a == "b" &': 10,
    'a == "b" | has(c)': 10,
    'a == "b" &&': 12,
    "a == 'b' c == 'd'": 10,
    '(a == "b"': 1,
    'a == "b")': 9,
    "()": 2,
    "!": 2,
    "&&": 1,
    'a in "b"': 6,
    "a in {b}": 7,
    "a in {,}": 7,
    "a in {'b'": 10,
    "a in {'b' 'c'}": 11,
    "has()": 5,
    'has("a")': 5,
    "has(a": 6,
    "has (a)": 1,
    "all ()": 1,
    "global (": 1,
    "all": 4,
    "all()x": 6,
    "all(x)": 5,
    "a ==\n'b'": 5,
    "\nall()": 1,
    "a$b == 'c'": 2,
    "HAS(x)": 4,
    "a IN {'b'}": 3,
    "a inx": 3,
    "a == 1": 6,
    "'b' == a": 1,
    "a == 'b' && ünï == 'c'": 13,
    "x" * 513 + " == 'a'": 1,
    "has(" + "x" * 513 + ")": 5,
}


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: repr(text[:20]))
def test_a_mistake_is_told_with_its_column(text):
    with pytest.raises(SelectorError) as caught:
        parse(text)

    assert caught.value.column == MISTAKES[text]
    assert caught.value.message


def test_a_label_of_512_characters_is_the_longest():
    assert parse("x" * 512 + " == 'a'") == Equals("x" * 512, "a")


@pytest.mark.parametrize("text", ["a = 'b'", "a == b", "has (a)"])
def test_the_commonest_mistakes_say_what_to_write(text):
    with pytest.raises(SelectorError, match=r'expected "=="|in quotes|must not be apart'):
        parse(text)


def test_a_tree_of_the_greatest_depth_can_be_walked_and_a_deeper_one_is_refused():
    deepest = "has(a)&&(" * (MAX_DEPTH - 1) + "has(b)&&has(c)" + ")" * (MAX_DEPTH - 1)

    tree = parse(deepest)

    assert tree.matches({"a": "", "b": "", "c": ""})
    assert parse(str(tree)) == tree
    with pytest.raises(SelectorError, match="nested more than"):
        parse(f"has(a)&&({deepest})")


@pytest.mark.parametrize("text", ["(" * 100_000, "!" * 100_001 + "has(a)", "(" * 100_000 + "all()" + ")" * 100_000])
def test_no_depth_of_parentheses_exhausts_the_stack(text):
    try:
        tree = parse(text)
    except SelectorError:
        return

    assert tree in {All(), Not(Has("a"))}


def test_no_text_that_calico_takes_is_too_deep():
    deepest = "all()&&!(" * 101 + "all()" + ")" * 101

    assert len(deepest) < 1024
    assert parse(str(parse(deepest))) == parse(deepest)
