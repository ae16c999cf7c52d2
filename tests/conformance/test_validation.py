"""Every row of the validation tables (semantics 1.14: P1 to P37, 2.2: R1 to R28), as data: `validation/`.

`…` in a row's `resource` stands for each entry of `accepted`, `warned` and `refused`. A row that nothing violates says
`instead` which sentence decides so.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from calicod.errors import Severity
from calicod.resources.load import load

Row = Mapping[str, Any]
ROWS: list[Row] = [
    row
    for path in sorted((Path(__file__).parent / "validation").glob("*.yaml"))
    for row in yaml.safe_load(path.read_text())
]
HOLE = "…"

DECIDED = {"http-not-enforced": {"R14", "R15", "R16", "R27"}}
"""D9: what Calico accepts is refused as long as there is no application layer."""

FAINT = {"W006"}
"""Warnings that a field has no effect say nothing about the row."""


class Entry(NamedTuple):
    row: str
    outcome: str
    codes: frozenset[str]
    text: str


def filled(row: Row, entry: str | Mapping[str, Any]) -> str:
    """The resource of a row with one entry in its place."""
    if not isinstance(entry, str):
        repeated = "".join(entry["of"].replace("#", str(number)) for number in range(entry["times"]))
        entry = str(entry.get("within", HOLE)).replace(HOLE, repeated)
    return str(row["resource"]).replace(HOLE, entry)


def entries() -> Iterator[Entry]:
    for row in ROWS:
        for entry in row["accepted"]:
            yield Entry(row["id"], "accepted", frozenset(), filled(row, entry))
        for outcome in ("warned", "refused"):
            for code, listed in row.get(outcome, {}).items():
                yield from (Entry(row["id"], outcome, frozenset({code}), filled(row, entry)) for entry in listed)


ENTRIES = list(entries())


def unmet(entry: Entry) -> set[str]:
    """The codes of what no entry of this row can be accepted for, by decision."""
    return {code for code, rows in DECIDED.items() if entry.row in rows}


@pytest.mark.parametrize(
    "entry", ENTRIES, ids=lambda entry: f"{entry.row} {entry.outcome} {' '.join(entry.text.split())[-60:]}"
)
def test_a_resource_is_accepted_or_refused_as_the_row_says(entry: Entry):
    told = load(entry.text, "case.yaml").diagnostics
    errors = {one.code for one in told if one.severity is Severity.ERROR} - unmet(entry)
    warnings = {one.code for one in told if one.severity is Severity.WARNING}

    assert errors == (entry.codes if entry.outcome == "refused" else set())
    if entry.outcome == "warned":
        assert warnings == entry.codes
    assert entry.outcome != "accepted" or warnings <= FAINT


@pytest.mark.parametrize(("code", "row"), [(code, row) for code, rows in DECIDED.items() for row in sorted(rows)])
def test_what_is_decided_otherwise_is_refused_and_only_therefore(code: str, row: str):
    given = [
        load(entry.text, "case.yaml").diagnostics
        for entry in ENTRIES
        if (entry.row, entry.outcome) == (row, "accepted")
    ]

    assert code in {one.code for told in given for one in told}


def test_every_row_is_there_once():
    everything = [f"P{number}" for number in range(1, 38)] + [f"R{number}" for number in range(1, 29)]

    assert sorted(row["id"] for row in ROWS) == sorted(everything)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_row_has_one_accepted_and_one_refused_or_says_what_decides_otherwise(row: Row):
    assert row["accepted"]
    assert bool(row.get("refused")) is not ("instead" in row)


def test_what_rows_say_is_told_once():
    said = [row["says"] for row in ROWS]

    assert len(said) == len(set(said))
