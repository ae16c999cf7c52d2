"""Findings of one resource: their order, their paths, and how many are told."""

import pytest

from calicod.errors import Severity
from calicod.resources.document import stream
from calicod.resources.report import MAX_FINDINGS, Report, paths


def read(text):
    (document,) = stream(text)
    return document, Report(document, document.root, "f.yaml")


def test_a_path_names_fields_and_counts_list_entries():
    document, _ = read("a:\n  b: [x, {c: y}]\n")

    assert sorted(set(paths(document.root).values())) == ["", "a", "a.b", "a.b[0]", "a.b[1]", "a.b[1].c"]


def test_a_key_in_a_path_is_cut_and_harmless_on_a_terminal():
    document, _ = read('a: {"\\e[2J": {? ' + 90 * "x" + " : 1}}")

    assert max(paths(document.root).values(), key=len) == f"a.\\x1b[2J.{80 * 'x'}…"


def test_of_an_aliased_node_the_path_is_one_of_its_places():
    document, report = read("a: &x {k: v}\nb: *x\n")
    report.error("X", document.root.value[1][1], "no")

    assert report.diagnostics()[0].path in {"a", "b"}


def test_findings_are_told_in_the_order_of_the_text():
    document, report = read("a: 1\nb: 2\n")
    (_, first), (_, second) = document.root.value
    report.warning("W", second, "two")
    report.error("E", first, "one", hint="mend it")

    assert [(told.code, told.severity, told.line, told.column, told.hint) for told in report.diagnostics()] == [
        ("E", Severity.ERROR, 1, 4, "mend it"),
        ("W", Severity.WARNING, 2, 4, None),
    ]


def test_an_error_refuses_the_resource_and_a_warning_does_not():
    document, report = read("a: 1\n")
    report.warning("W", document.root, "hm")

    assert not report.refused
    report.error("E", document.root, "no")
    assert report.refused


def test_a_finding_about_a_missing_field_stands_at_what_lacks_it():
    document, report = read("a: {b: 1}\n")
    report.error("E", document.root.value[0][1], "missing", field="c")

    assert (report.diagnostics()[0].path, report.diagnostics()[0].column) == ("a.c", 4)


@pytest.mark.parametrize(
    ("written", "column"),
    [("abcd", 6), ("'abcd'", 7), ('"abcd"', 7), ('"ab\\x63d"', 4), (">-\n  ab\n  cd", 4)],
)
def test_a_finding_within_a_text_counts_columns_where_they_correspond(written, column):
    document, report = read(f"a: {written}\n")
    report.error_within("E", document.root.value[0][1], "there", 2)

    assert report.diagnostics()[0].column == column


def test_of_hundreds_of_findings_errors_are_still_told_after_warnings_are_not():
    document, report = read("a: 1\n")
    for _ in range(MAX_FINDINGS + 1):
        report.warning("W", document.root, "hm")
    for _ in range(3 * MAX_FINDINGS):
        report.error("E", document.root, "no")

    codes = [told.code for told in report.diagnostics()]
    assert (codes.count("W"), codes.count("E")) == (MAX_FINDINGS, MAX_FINDINGS)
    assert report.full


def test_a_node_that_nobody_wrote_may_be_named():
    document, report = read("a: 1\n")
    (stand_in,) = stream("{}")
    report.name_path(stand_in.root, "spec")
    report.error("E", stand_in.root, "empty", field="node")

    assert report.diagnostics()[0].path == "spec.node"
    assert report.place(document.root).line == 1
