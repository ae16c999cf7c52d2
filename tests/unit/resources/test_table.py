"""Mappings read by a table of fields."""

import msgspec
import pytest

from calicod.resources.document import stream
from calicod.resources.report import Report
from calicod.resources.scalars import integer, text
from calicod.resources.table import Field, find, items, list_of, read, struct


class Pair(msgspec.Struct, frozen=True):
    first: str = "-"
    second: int = 0


TABLE = {"one": Field("first", text), "two": Field("second", integer)}


def given(written):
    (document,) = stream(written)
    return document.root, Report(document, document.root, "f.yaml")


def told(report):
    return [(finding.code, finding.path, finding.hint) for finding in report.diagnostics()]


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("{one: a, two: 2}", {"first": "a", "second": 2}),
        ("{two: 2}", {"second": 2}),
        ("{one: null, two: ~}", {}),
        ("{}", {}),
    ],
)
def test_fields_fill_attributes_and_null_counts_as_absent(written, values):
    node, report = given(written)

    assert read(node, TABLE, report) == values
    assert told(report) == []


@pytest.mark.parametrize(
    ("written", "finding"),
    [
        ("{One: a}", ("Y012", "One", "write one")),
        ("{oen: a}", ("Y011", "oen", "did you mean one?")),
        ("{else: a}", ("Y011", "else", "known here: one, two")),
        ("{under: a}", ("Y017", "under", "it goes elsewhere")),
        ("{else: null}", ("Y011", "else", "known here: one, two")),
    ],
)
def test_a_field_of_no_table_is_an_error_with_the_likeliest_meaning(written, finding):
    node, report = given(written)
    read(node, TABLE, report, {"under": "it goes elsewhere"})

    assert told(report) == [finding]


def test_hundreds_of_unknown_fields_are_refused_quickly():
    node, report = given("".join(f"k{number}: 1\n" for number in range(5_000)))
    read(node, TABLE, report)

    assert report.refused
    assert len(report.diagnostics()) == 400


@pytest.mark.parametrize(
    ("written", "codes"), [("{}", ["X001"]), ("{one: null}", ["X001"]), ("{one: [a]}", ["Y010"]), ("{one: a}", [])]
)
def test_a_required_field_is_told_once_and_a_placeholder_stands_in(written, codes):
    node, report = given(written)
    values = read(node, {"one": Field("first", text, required="X001", placeholder="?")}, report)

    assert [code for code, _, _ in told(report)] == codes
    assert values == {"first": "a" if not codes else "?"}


def test_a_mapping_makes_one_value():
    node, report = given("{one: a}")

    assert struct(Pair, TABLE)(node, report) == Pair("a", 0)


@pytest.mark.parametrize(("written", "found"), [("[a]", "a list"), ("a", 'the text "a"'), ("5", 'the number "5"')])
def test_what_is_no_mapping_makes_none(written, found):
    node, report = given(written)

    assert struct(Pair, TABLE)(node, report) is None
    assert report.diagnostics()[0].message == f"expected a mapping, found {found}"


def test_a_list_keeps_what_can_be_read_and_tells_the_rest():
    node, report = given("[1, x, 3]")

    assert list_of(integer)(node, report) == (1, 3)
    assert told(report) == [("Y010", "[1]", None)]


@pytest.mark.parametrize(("written", "hint"), [("a", "write it as a list: [ … ]"), ("{a: b}", None)])
def test_what_is_no_list_has_no_items(written, hint):
    node, report = given(written)

    assert items(node, report) == ()
    assert told(report) == [("Y010", "", hint)]


def test_a_list_has_at_most_so_many_entries():
    node, report = given("[1, 2, 3]")

    assert list_of(integer, limit=3, code="X")(node, report) == (1, 2, 3)
    assert list_of(integer, limit=2, code="X")(node, report) == ()
    assert told(report) == [("X", "", None)]


def test_equal_entries_are_kept_once_and_told():
    node, report = given("[a, b, a, a]")

    assert list_of(text, unique=True)(node, report) == ("a", "b")
    assert told(report) == [("W002", "[2]", "remove one"), ("W002", "[3]", "remove one")]


def test_a_value_is_found_at_the_end_of_a_chain_of_fields():
    node, _ = given("{a: {b: {c: here}}, n: null, l: [1]}")

    assert find(node, "a", "b", "c").value == "here"
    assert [find(node, *chain) for chain in (("a", "x"), ("n",), ("l", "a"), ("a", "b", "c", "d"))] == [None] * 4
    assert find(None, "a") is None
