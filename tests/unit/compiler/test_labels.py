"""The index answers as the trees do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calicod.compiler.labels import LabelIndex, bits_at, positions_of
from calicod.selector.parser import parse
from calicod.selector.tree import (
    All,
    And,
    Contains,
    EndsWith,
    Equals,
    Global,
    Has,
    In,
    Not,
    NotEquals,
    NotIn,
    Or,
    StartsWith,
)

LABELS = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["", "x", "y", "xy", "yx"])
LEAVES = st.one_of(
    st.just(All()),
    st.just(Global()),
    st.builds(Has, LABELS),
    *(st.builds(kind, LABELS, VALUES) for kind in (Equals, NotEquals, Contains, StartsWith, EndsWith)),
    *(st.builds(kind, LABELS, st.lists(VALUES, unique=True).map(sorted).map(tuple)) for kind in (In, NotIn)),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        *(st.builds(kind, st.lists(inner, min_size=2, max_size=3).map(tuple)) for kind in (And, Or)),
    ),
    max_leaves=8,
)


@given(TREES, st.lists(st.dictionaries(LABELS, VALUES), max_size=20))
def test_select_equals_matches_for_every_thing(tree, things):
    selected = LabelIndex(things).select(tree)

    assert list(positions_of(selected)) == [i for i, labels in enumerate(things) if tree.matches(labels)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("color != 'red'", [1, 2]), ("color not in {'red'}", [1, 2]), ("color == ''", [2]), ("!has(color)", [1])],
)
def test_a_missing_label_differs_from_every_value(text: str, expected: list[int]):
    index = LabelIndex([{"color": "red"}, {}, {"color": ""}])

    assert list(positions_of(index.select(parse(text)))) == expected


@given(st.sets(st.integers(0, 5000)))
def test_positions_of_is_the_inverse_of_bits_at(positions: set[int]):
    assert list(positions_of(bits_at(positions))) == sorted(positions)


def test_nothing_is_selected_among_nobody():
    assert LabelIndex([]).select(All()) == 0
