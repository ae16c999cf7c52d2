"""What real Felix did with real packets (recorded in iptables mode; see vectors README for the topology)."""

from pathlib import Path

import msgspec
import pytest

from tests.conformance.judge import Judge, read
from tests.conformance.vectors import Case, cases, check, refusals

CASES = cases(Path(__file__).parent / "felix.json.gz")
FORWARD_ONLY = "N004"
"""The code for `applyOnForward`, which changes nothing for packets from or to the host itself."""

WAITING = {
    "felix-1000": "N004 N006",
    "felix-1001": "N004 N005",
    "felix-1004": "N004 N005",
    "felix-1005": "N004 N006",
    "felix-1007": "N004",
    "felix-1009": "N004",
    "felix-1010": "N004 N005",
    "felix-1012": "N004",
    "felix-1014": "N004",
}
"""Cases that use what a later issue brings: applyOnForward (N004), preDNAT (N005), doNotTrack (N006)."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_packet_has_the_fate_that_felix_gave_it(case: Case):
    check(case)


def test_the_cases_that_wait_for_a_feature_are_these_and_no_others():
    assert refusals(CASES) == WAITING


@pytest.mark.parametrize(
    "case", [c for c in CASES if WAITING.get(c["id"]) == FORWARD_ONLY], ids=lambda case: case["id"]
)
def test_packets_of_the_host_itself_do_not_depend_on_apply_on_forward(case: Case):
    given = read([without_apply_on_forward(resource) for resource in case["resources"]], case["options"])
    local = [packet for packet in case["packets"] if packet["hook"] != "forward"]
    judge = Judge(given)

    assert given.reasons == {}
    assert {p["id"]: judge.decide(p).verdict.value for p in local} == {
        p["id"]: case["expected"][p["id"]] for p in local
    }


def without_apply_on_forward(resource: Case) -> Case:
    copy: Case = msgspec.json.decode(msgspec.json.encode(resource))
    copy["spec"].pop("applyOnForward", None)
    return copy
