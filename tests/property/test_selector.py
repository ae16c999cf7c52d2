"""Laws of the selector language over generated trees and texts."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from calicod.selector.parser import SelectorError, parse
from calicod.selector.rename import prefixed
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
from calicod.selector.uid import uid
from tests.property import hostile

labels = st.text("abAZ09_./-", min_size=1, max_size=8)
texts = st.one_of(
    st.text(st.characters(blacklist_characters="'"), max_size=6),
    st.text(st.characters(blacklist_characters='"'), max_size=6),
)
sets = st.lists(texts, max_size=4).map(lambda values: tuple(sorted(set(values))))
leaves = st.one_of(
    st.just(All()),
    st.just(Global()),
    st.builds(Has, labels),
    *(st.builds(kind, labels, texts) for kind in (Equals, NotEquals, Contains, StartsWith, EndsWith)),
    *(st.builds(kind, labels, sets) for kind in (In, NotIn)),
)


def _inner(children):
    several = st.lists(children, min_size=2, max_size=4).map(tuple)
    negated = children.filter(lambda tree: not isinstance(tree, Not))
    return st.one_of(st.builds(And, several), st.builds(Or, several), st.builds(Not, negated))


WORDS = """a in not has( all() global() ( ) ! && || == != 'x' " { } , contains starts with ends & | = ü has(a)"""
trees = st.recursive(leaves, _inner, max_leaves=12)
scraps = st.lists(
    st.sampled_from([*WORDS.split(), " ", "\t", "\n", "a == 'b'"]),
    max_size=14,
).map("".join)


@given(trees)
def test_what_is_printed_parses_to_the_same_tree(tree):
    assert parse(str(tree)) == tree


@given(trees, st.dictionaries(labels, texts, max_size=3))
def test_a_prefix_on_labels_and_selector_changes_no_answer(tree, own):
    assert prefixed(tree, "p.").matches({f"p.{key}": value for key, value in own.items()}) == tree.matches(own)


mistyped = st.integers(0, 2**64).map(Random).map(hostile.selector)


@given(st.one_of(scraps, st.text(max_size=40), mistyped))
def test_any_text_is_a_selector_or_a_selector_error(text):
    found = parsed(text)

    if isinstance(found, SelectorError):
        assert 1 <= found.column <= len(text) + 1
    else:
        assert parse(str(found)) == found
        assert uid(found).startswith("s:")


def parsed(text):
    try:
        return parse(text)
    except SelectorError as error:
        return error
