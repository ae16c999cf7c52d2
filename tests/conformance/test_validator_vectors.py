"""Cases of Calico's own validator tests; they are not part of the repository."""

import json
from pathlib import Path
from typing import Any

import pytest

from calicod.errors import Severity
from calicod.resources.load import load

FILE = Path(__file__).parents[3] / "shared" / "vectors" / "validator.json"
CASES: list[dict[str, Any]] = json.loads(FILE.read_text())["cases"] if FILE.exists() else []
DECIDED = {"http-not-enforced": "D9: http without the application layer"}

needs_vectors = pytest.mark.skipif(not CASES, reason=f"no vectors at {FILE}: they are not part of the repository")


@needs_vectors
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['id']} {case['description']}")
def test_a_resource_is_accepted_or_refused_as_calico_says(case: dict[str, Any]):
    found = load(json.dumps(case["resource"]), "case").diagnostics
    codes = {diagnostic.code for diagnostic in found if diagnostic.severity is Severity.ERROR}
    unsupported = codes and codes <= {*DECIDED}

    # What is not supported yet is refused though Calico accepts it; nothing else is.
    assert case["valid"] is (not codes) or (case["valid"] and unsupported), codes
