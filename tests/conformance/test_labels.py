"""Every row of semantics 3.4, with the label present and missing, as data: `labels.yaml`."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from calicod.selector.parser import parse
from tests.conformance.judge import Judge, read
from tests.conformance.test_semantics import BASE

ROWS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "labels.yaml").read_text())
TABLE = {
    *('k == "v"', 'k != "v"', "k in {…}", "k not in {…}", "has(k)", "!has(k)", 'k contains "s"', 'k starts with "s"'),
    *('k ends with "s"', '!(k == "v")', '!(k != "v")', '!(k contains "s")', "!(k in {…})", "!(k not in {…})"),
    *('k == ""', 'has(k) && k != "v"', "all()", "global()", "empty text"),
}
"""The first column."""

ONLY_IN_NAMESPACE_SELECTORS = "global()"
ANSWERS = [
    pytest.param(row["selector"], labels, answer, id=f"3.4:{row['row']} {row['selector']} {labels}")
    for row in ROWS
    for labels, answer in [
        *(({"k": value}, True) for value in row["true"]),
        *(({"k": value}, False) for value in row["false"]),
        ({}, row["missing"]),
    ]
]
RESOURCES = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {{name: s, labels: {labels}}}
spec: {{nets: [8.8.8.8]}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: p}}
spec: {{selector: app == 'x', ingress: [{{action: Allow, source: {{selector: {selector!r}}}}}]}}
"""


@pytest.mark.parametrize(("selector", "labels", "answer"), ANSWERS)
def test_a_selector_answers_as_the_table_says(selector: str, labels: dict[str, str], answer: bool):
    assert parse(selector).matches({"other": "v", **labels}) is answer


@pytest.mark.parametrize(
    ("selector", "labels", "answer"), [one for one in ANSWERS if one.values[0] != ONLY_IN_NAMESPACE_SELECTORS]
)
def test_a_rule_matches_a_source_as_the_table_says(selector: str, labels: dict[str, str], answer: bool):
    pieces = [BASE["pieces"]["profiles"], BASE["pieces"]["w"]]
    given = read("\n---\n".join([*pieces, RESOURCES.format(labels=labels, selector=selector)]), BASE["options"])

    assert given.reasons == {}
    assert Judge(given).decide(BASE["flows"]["to-w"]).verdict.value == ("allow" if answer else "deny")


def test_every_row_of_the_table_is_there():
    assert {row["row"] for row in ROWS} == TABLE
