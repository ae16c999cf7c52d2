"""Both engines mean what the specification says: they agree with an interpreter that reads it aloud."""

from random import Random

from hypothesis import event, given, note
from hypothesis import strategies as st
from msgspec.structs import replace

from calicod.compiler.compile import compile
from calicod.engine.bitmap import BitmapEngine
from calicod.engine.linear import LinearEngine
from calicod.model.decision import Decision, Pending
from calicod.model.verdict import Verdict
from calicod.resources.kinds import Policy
from calicod.resources.snapshot import snapshot
from tests.oracle.clusters import INTERFACES, NODE, PLACES, Forge
from tests.oracle.interpreter import Answer, Interpreter

PACKETS = 40
VERDICTS = {True: Verdict.ACCEPT, False: Verdict.DROP}
RULELESS = {"endpoint-to-host", "fragment", "failsafe", "neighbour-discovery", "tunnel-from-workload"}


@given(st.integers(0, 2**64))
def test_both_engines_agree_with_the_specification_read_aloud(seed):
    forge = Forge(Random(seed))
    present = snapshot(forge.cluster())
    oracle = Interpreter((r for name in present.__struct_fields__ for r in getattr(present, name)), NODE, INTERFACES)
    compiled = compile(present, NODE).ruleset
    linear, bitmap = LinearEngine(compiled, INTERFACES), BitmapEngine(compiled, INTERFACES)
    for _ in range(PACKETS):
        packet, (hook, inbound, outbound) = forge.packet(), forge.one(*PLACES)
        said = oracle.judge(packet, hook.value, inbound, outbound)
        event(said.reason)
        note(f"{packet} at {hook.value} {inbound}>{outbound}: {said}")
        decided = linear.decide_way(packet, hook, inbound, outbound)
        would = oracle.pending(packet, hook.value, inbound, outbound)
        if would is not None:
            event(f"staged policies would {'change it' if would.allow is not said.allow else 'not'}")
        note(f"with staged policies enforced: {would}")

        assert answer(decided) == said
        assert decided.trace == numbered(said)
        assert decided.pending == (would and Pending(VERDICTS[would.allow], numbered(would)))
        assert bitmap.decide_way(packet, hook, inbound, outbound) == decided


@given(st.integers(0, 2**64))
def test_staged_policies_change_no_decision_and_pending_is_the_verdict_if_they_were_enforced(seed):
    forge = Forge(Random(seed))
    present = snapshot(forge.cluster())
    policies = present.policies
    others = [r for name in present.__struct_fields__ for r in getattr(present, name) if not isinstance(r, Policy)]
    unstaged = [p for p in policies if not p.is_staged]
    promoted = [replace(p, staged_action="") for p in policies if not p.is_suppressed]
    here, without, promised = (
        BitmapEngine(compile(snapshot([*others, *some]), NODE).ruleset, INTERFACES)
        for some in (policies, unstaged, promoted)
    )
    for _ in range(PACKETS):
        packet, place = forge.packet(), forge.one(*PLACES)
        decided, would = here.decide(packet, *place), promised.decide(packet, *place)

        assert replace(decided, pending=None) == without.decide(packet, *place)
        assert (decided.pending.verdict if decided.pending else decided.verdict) is would.verdict


def answer(decision: Decision) -> Answer:
    reason, rule = decision.reason.value, decision.policy
    told = None if rule is None or reason in RULELESS else (rule.kind, rule.namespace, rule.name, rule.rule)
    hits = tuple(text.partition("|")[2] for text in decision.trace)
    return Answer(decision.verdict is Verdict.ACCEPT, reason, told, hits)


def numbered(said: Answer) -> tuple[str, ...]:
    return tuple(f"{number}|{text}" for number, text in enumerate(said.hits))
