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

WAITING = {
    "Kubernetes policies": {"E6", *(f"B{number}" for number in range(14, 20))},
    "applyOnForward": {"E23", "E24", "E25", "B24", "B26"},
    "preDNAT and doNotTrack": {"E29", "E30", "B29", "B30", "B31"},
    "the kernel's part, proved with real packets in tests/netns": {"B32", "B33"},
}
"""What no case here covers, and why."""


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


def test_every_example_and_behaviour_is_covered_or_waits_for_a_named_feature():
    covered = {name for case in CASES for name in case["covers"]}
    waiting = {name for names in WAITING.values() for name in names}
    everything = {f"E{number}" for number in range(1, 36)} | {f"B{number}" for number in range(1, 51)}

    assert {name for name in covered if name[0] in "EB"} | waiting == everything
    assert not covered & waiting


def test_every_sentence_is_told_once():
    sentences = [case["sentence"] for case in CASES]

    assert len(sentences) == len(set(sentences))
