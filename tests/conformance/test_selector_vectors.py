"""Cases of Calico's own selector tests; they are not part of the repository."""

import json
from pathlib import Path
from typing import Any

import pytest

from calicod.selector.parser import SelectorError, parse

FILE = Path(__file__).parents[3] / "shared" / "vectors" / "selectors.json"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text())["cases"] if FILE.exists() else []
KINDS = {kind: [case for case in CASES if case["kind"] == kind] for kind in ("evaluate", "parse", "canonical")}

needs_vectors = pytest.mark.skipif(not CASES, reason=f"no vectors at {FILE}: they are not part of the repository")


def name(case: dict[str, Any]) -> str:
    return f"{case['id']} {case['selector']}"


@needs_vectors
@pytest.mark.parametrize("case", KINDS["evaluate"], ids=name)
def test_a_selector_matches_as_in_calico(case: dict[str, Any]):
    assert parse(case["selector"]).matches(case["labels"]) is case["match"]


@needs_vectors
@pytest.mark.parametrize("case", KINDS["parse"], ids=name)
def test_a_selector_parses_or_not_as_in_calico(case: dict[str, Any]):
    if case["valid"]:
        assert parse(case["selector"])
    else:
        with pytest.raises(SelectorError):
            parse(case["selector"])


@needs_vectors
@pytest.mark.parametrize("case", KINDS["canonical"], ids=name)
def test_a_selector_has_the_canonical_form_of_calico(case: dict[str, Any]):
    assert str(parse(case["selector"])) == case["canonical"]


@needs_vectors
def test_no_case_is_of_another_kind():
    assert sum(len(cases) for cases in KINDS.values()) == len(CASES)
