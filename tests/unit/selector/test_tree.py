"""What a selector means for labels that are present, empty or missing (semantics 3.4)."""

import pytest

from calicod.selector.parser import parse

PRESENT, EMPTY, MISSING = {"k": "v"}, {"k": ""}, {"other": "v"}
MEANINGS = {
    "k == 'v'": (True, False, False),
    "k != 'v'": (False, True, True),
    "k in {'v', 'w'}": (True, False, False),
    "k not in {'v', 'w'}": (False, True, True),
    "k in {}": (False, False, False),
    "k not in {}": (True, True, True),
    "has(k)": (True, True, False),
    "!has(k)": (False, False, True),
    "k contains 'v'": (True, False, False),
    "k contains ''": (True, True, False),
    "k starts with 'v'": (True, False, False),
    "k ends with 'v'": (True, False, False),
    "!(k == 'v')": (False, True, True),
    "!(k != 'v')": (True, False, False),
    "!(k contains 'v')": (False, True, True),
    "k == ''": (False, True, False),
    "has(k) && k != 'v'": (False, True, False),
    "has(k) || has(other)": (True, True, True),
    "all()": (True, True, True),
    "global()": (True, True, True),
    "": (True, True, True),
}


@pytest.mark.parametrize("text", MEANINGS)
def test_a_selector_means_what_calico_says_it_means(text):
    tree = parse(text)

    assert tuple(tree.matches(labels) for labels in (PRESENT, EMPTY, MISSING)) == MEANINGS[text]


CANONICAL = {
    "a=='b'": 'a == "b"',
    "a == '\"'": "a == '\"'",
    "a in {\"'\", '\"'}": "a in {'\"', \"'\"}",
    "has(a)&&has(b)||!has(c)": "((has(a) && has(b)) || !has(c))",
    "a startswith 'x'": 'a starts with "x"',
    "!(has(a)||has(b))": "!(has(a) || has(b))",
}


@pytest.mark.parametrize("text", CANONICAL)
def test_a_selector_has_one_canonical_text(text):
    assert str(parse(text)) == CANONICAL[text]
