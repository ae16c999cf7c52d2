"""Single values as YAML 1.2 types them (semantics 1.15, D33)."""

import pytest

from calicod.resources.document import stream
from calicod.resources.report import Report
from calicod.resources.scalars import between, boolean, choice, integer, is_null, number, quoted, shown, text


def given(written):
    (document,) = stream(f"v: {written}\n")
    return document.root.value[0][1], Report(document, document.root, "f.yaml")


def outcome(reader, written):
    """What a reader returns, and the codes that it told."""
    node, report = given(written)
    return reader(node, report), [(finding.code, finding.hint) for finding in report.diagnostics()]


@pytest.mark.parametrize("written", ["", "~", "null", "Null", "NULL"])
def test_an_empty_plain_value_is_null(written):
    assert is_null(given(written)[0])


@pytest.mark.parametrize("written", ["''", '""', "'null'", "nUll", "nil", "[]", "{}", "!!str null"])
def test_nothing_else_is_null(written):
    assert not is_null(given(written)[0])


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("abc", "abc"),
        ("'1'", "1"),
        ("no", "no"),
        ("yes", "yes"),
        ("1:10", "1:10"),
        ("''", ""),
        ("!!str 5", "5"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_text_is_text(written, value):
    assert outcome(text, written) == (value, [])


@pytest.mark.parametrize("written", ["1", "-1.50", "true", "False", "1e3", ".5", "0x1F"])
def test_a_number_or_boolean_is_taken_as_text_as_written(written):
    assert outcome(text, written) == (written, [("W001", f'write "{written}" in quotes')])


@pytest.mark.parametrize("reader", [text, integer, boolean, number("Y010")])
@pytest.mark.parametrize("written", ["[a]", "{a: b}", "null"])
def test_collections_and_nothing_are_no_scalars(reader, written):
    assert outcome(reader, written) == (None, [("Y010", None)])


@pytest.mark.parametrize("reader", [text, integer, boolean, number("Y010")])
@pytest.mark.parametrize("tag", ["!!int", "!!python/object:os.system", "!x"])
def test_a_foreign_tag_is_refused(reader, tag):
    assert outcome(reader, f"{tag} 5") == (None, [("Y006", "remove the tag")])


@pytest.mark.parametrize(
    ("written", "value"), [("80", 80), ("80.0", 80), ("-5", -5), ("+5", 5), ("0x10", 16), ("0o17", 15), ("1e3", 1000)]
)
def test_a_whole_number_may_be_spelt_in_these_ways(written, value):
    assert outcome(integer, written) == (value, [])


def test_leading_zeros_are_decimal_as_yaml_12_says_and_told():
    assert outcome(integer, "010") == (10, [("W008", None)])


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("'80'", "write 80 without quotes"),
        ("80.5", None),
        ("abc", None),
        ("1_000", None),
        ("true", None),
        ("1e300", None),
        ("1e400", None),
        (31 * "9", None),
        (".inf", None),
        (".nan", None),
        ("1:30", None),
        ("٣", None),
    ],
)
def test_nothing_else_is_a_whole_number(written, hint):
    assert outcome(integer, written) == (None, [("Y010", hint)])


@pytest.mark.parametrize(("written", "value"), [("1.5", 1.5), ("-1", -1.0), (".5", 0.5), ("5.", 5.0), ("1e308", 1e308)])
def test_a_number_may_have_a_fraction(written, value):
    assert outcome(number("P009"), written) == (value, [])


@pytest.mark.parametrize("written", [".nan", ".inf", "-.inf", "1e309", "abc", "1.2.3", 500 * "9"])
def test_a_number_is_finite(written):
    assert outcome(number("P009"), written) == (None, [("P009", None)])


@pytest.mark.parametrize(("written", "value"), [("true", True), ("True", True), ("FALSE", False), ("false", False)])
def test_a_boolean_is_true_or_false(written, value):
    assert outcome(boolean, written) == (value, [])


@pytest.mark.parametrize("written", ["yes", "on", "no", "'true'", "1", "tRUE"])
def test_nothing_else_is_a_boolean(written):
    assert outcome(boolean, written) == (None, [("Y010", None)])


@pytest.mark.parametrize(("written", "value"), [("0", 0), ("7", 7), ("8", None), ("-1", None)])
def test_a_number_may_have_bounds(written, value):
    assert outcome(between(0, 7, "X", "number"), written) == (value, [] if value is not None else [("X", None)])


def test_a_choice_is_spelt_as_given_unless_any_case_does():
    words = ("Accept", "Drop")

    assert outcome(choice(words, "X"), "Drop") == ("Drop", [])
    assert outcome(choice(words, "X"), "drop") == (None, [("X", "write Drop")])
    assert outcome(choice(words, "X", any_case=True), "dROP") == ("Drop", [])
    assert outcome(choice(words, "X"), "Reject") == (None, [("X", None)])


@pytest.mark.parametrize(
    ("value", "told"),
    [("a", '"a"'), (81 * "x", f'"{80 * "x"}…"'), ("a\nb", r'"a\nb"'), ("\x1b[31m", r'"\x1b[31m"'), ("é", '"é"')],
)
def test_what_a_user_wrote_is_quoted_cut_and_harmless_on_a_terminal(value, told):
    assert quoted(value) == told


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("[a]", "a list"),
        ("{}", "a mapping"),
        ("", "nothing"),
        ("5", 'the number "5"'),
        ("'5'", 'the text "5"'),
        ("true", 'the boolean "true"'),
    ],
)
def test_a_message_says_what_was_found(written, told):
    assert shown(given(written)[0]) == told
