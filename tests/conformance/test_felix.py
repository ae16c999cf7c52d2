"""What real Felix did with real packets (recorded in iptables mode; see vectors README for the topology)."""

from pathlib import Path

import pytest

from tests.conformance.vectors import Case, cases, check, refusals

CASES = cases(Path(__file__).parent / "felix.json.gz")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_packet_has_the_fate_that_felix_gave_it(case: Case):
    check(case)


def test_no_case_waits_for_a_feature():
    assert refusals(CASES) == {}
