"""The worked examples (E), the fifty behaviours (B) and some decisions (D) of the semantics, as data: `semantics/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from calicod.model.decision import Decision
from tests.conformance.judge import Judge, read

FOLDER = Path(__file__).parent / "semantics"
BASE = yaml.safe_load((FOLDER / "base.yaml").read_text())
Case = Mapping[str, Any]
TOLD = ("expect", "reason", "policy", "rule", "logged", "pending", "pending-trace")


def cases() -> list[Case]:
    return [
        case
        for path in sorted(FOLDER.glob("*.yaml"))
        if path.name != "base.yaml"
        for case in yaml.safe_load(path.read_text())
    ]


CASES = cases()
JUDGED = [case for case in CASES if "packets" in case]
REFUSED = [case for case in CASES if "refused" in case]

PROVED_BY_PACKETS = {
    "B32": {
        "test_steering_guards.py": "test_invalid_packets_are_dropped_and_counted",
        "test_daemon.py": "test_an_icmp_error_that_quotes_an_allowed_flow_arrives",
        "test_steering_flows.py": "test_one_packet_of_a_flow_is_judged",
    },
    "B33": {"test_daemon.py": "test_an_edited_file_cuts_live_flows_in_both_directions"},
}
"""The kernel's part, with real packets in `tests/netns`. B33 is as D24 decides: such flows do not live on."""

EVERYTHING = {*(f"E{number}" for number in range(1, 36)), *(f"B{number}" for number in range(1, 51))}


def text_of(case: Case) -> str:
    return "\n---\n".join([*(BASE["pieces"][name] for name in case.get("given", ())), case.get("resources", "")])


def told(decision: Decision, fields: Case) -> dict[str, object]:
    """As much of a decision as a packet of a case expects something of."""
    policy = decision.policy
    everything = {
        "expect": decision.verdict.value,
        "reason": decision.reason.value,
        "policy": policy.name if policy else None,
        "rule": policy.rule if policy else None,
        "logged": len(decision.logged),
        "pending": decision.pending.verdict.value if decision.pending else None,
        "pending-trace": list(decision.pending.trace) if decision.pending else None,
    }
    return {name: value for name, value in everything.items() if name in fields}


@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case["sentence"])
def test_a_packet_meets_the_fate_that_the_sentence_says(case: Case):
    given = read(text_of(case), BASE["options"])
    assert given.reasons == {}
    judge = Judge(given)
    for fields in case["packets"]:
        expected = {name: fields[name] for name in TOLD if name in fields}
        packet = {**BASE["flows"][fields["flow"]], **{n: v for n, v in fields.items() if n not in {"flow", *expected}}}

        assert told(judge.decide(packet), fields) == expected, packet


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["sentence"])
def test_a_resource_that_the_sentence_forbids_is_refused(case: Case):
    assert sorted({d.code for d in read(text_of(case), BASE["options"]).refused}) == case["refused"]


COVERED = {name for case in CASES for name in case["covers"] if name[0] in "EB"}


def test_every_example_and_behaviour_is_covered_once_here_or_in_netns():
    assert COVERED | set(PROVED_BY_PACKETS) == EVERYTHING
    assert not COVERED & set(PROVED_BY_PACKETS)


@pytest.mark.parametrize("line", PROVED_BY_PACKETS)
def test_what_is_proved_elsewhere_is_there(line: str):
    for file, name in PROVED_BY_PACKETS[line].items():
        assert f"def {name}(" in (FOLDER.parents[1] / "netns" / file).read_text()


def test_every_sentence_is_told_once():
    sentences = [case["sentence"] for case in CASES]

    assert len(sentences) == len(set(sentences))
