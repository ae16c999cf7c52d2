"""The answer to a packet, as it travels between processes."""

import msgspec

from calicod.model.decision import Decision, EndpointReference, Pending, PolicyReference
from calicod.model.verdict import Reason, Verdict

DECISION = Decision(
    verdict=Verdict.DROP,
    reason=Reason.RULE,
    policy=PolicyReference("NetworkPolicy", "default", "ns", "web", 0, "f.yaml", 7),
    trace=("0|default|np:ns/web|deny|0",),
    logged=(PolicyReference("NetworkPolicy", "default", "ns", "web", 1),),
    pending=Pending(Verdict.ACCEPT, ("0|default|snp:ns/web|allow|0",)),
    endpoint=EndpointReference("WorkloadEndpoint", "ns", "w"),
)


def test_a_decision_comes_back_from_bytes_as_it_was():
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(DECISION), type=Decision) == DECISION


def test_equal_decisions_are_one_key():
    assert len({DECISION, msgspec.structs.replace(DECISION)}) == 1


def test_a_decision_without_a_rule_names_none():
    decision = Decision(verdict=Verdict.DROP, reason=Reason.NO_PROFILE)

    assert (decision.policy, decision.trace, decision.pending, decision.reporter) == (None, (), None, "dst")
