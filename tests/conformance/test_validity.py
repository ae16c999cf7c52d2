"""What real calicoctl said of mutated resources (`validate`: its Go, CRD and CEL checks), and where we differ."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from calicod.errors import Severity
from calicod.resources.load import load

FILE = Path(__file__).parent / "validity.json.gz"
CASES: list[dict[str, Any]] = json.loads(gzip.decompress(FILE.read_bytes()))["cases"]

NOT_YET = {"N008", "N009"}
"""Calico knows it, and calicod does not yet: refused, never ignored."""

DECIDED = {
    "D9, http without the application layer": {"http-not-enforced"},
    "D32, case of keys": {"Y012"},
}
RULES_OF_A_PROFILE = "R"
"""D34: calicoctl hardly checks the rules of a Profile; all codes of rules begin with this letter."""


def refused(case: dict[str, Any]) -> set[str]:
    found = load(json.dumps(case["resource"]), "case").diagnostics
    return {diagnostic.code for diagnostic in found if diagnostic.severity is Severity.ERROR}


def decided_otherwise(case: dict[str, Any], codes: set[str]) -> bool:
    """Whether each code that refuses what calicoctl accepts is a decision of ours (semantics section 8)."""
    ours = NOT_YET.union(*DECIDED.values())
    profile = case["resource"]["kind"] == "Profile"
    return all(code in ours or (profile and code.startswith(RULES_OF_A_PROFILE)) for code in codes)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_resource_is_accepted_or_refused_as_by_calicoctl(case: dict[str, Any]):
    codes = refused(case)

    assert (not codes) is case["valid"] or (case["valid"] and decided_otherwise(case, codes)), case["message"]


def test_the_decided_differences_are_few():
    """Were the loader to refuse for another reason what it refuses by decision, this number would grow."""
    assert sum(case["valid"] and bool(refused(case)) for case in CASES) == 9
