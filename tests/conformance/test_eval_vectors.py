"""Cases of other projects, in the shape of `calicod eval`; they are not part of the repository."""

from pathlib import Path

import pytest

from tests.conformance.vectors import Case, cases, check, refusals

FILE = Path(__file__).parents[3] / "shared" / "vectors" / "eval.json"
CASES = cases(FILE) if FILE.exists() else []
KUBERNETES_KINDS = "N003"
WAITING_SUITES = {"cyclonus", "knp", "npa-native", "npa-calico"}
"""They are written with Pods, Nodes and Kubernetes policies, which a later issue brings."""

needs_vectors = pytest.mark.skipif(not CASES, reason=f"no vectors at {FILE}: they are not part of the repository")


@needs_vectors
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_packet_has_the_recorded_verdict(case: Case):
    check(case)


@needs_vectors
def test_the_cases_that_wait_for_a_feature_are_these_and_no_others():
    waiting = {case["id"]: KUBERNETES_KINDS for case in CASES if case["suite"] in WAITING_SUITES}

    assert refusals(CASES) == waiting
