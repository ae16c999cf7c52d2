"""Both engines mean what the specification says: they agree with an interpreter that reads it aloud."""

from random import Random

from hypothesis import event, given, note
from hypothesis import strategies as st

from calicod.compiler.compile import compile
from calicod.engine.bitmap import BitmapEngine
from calicod.engine.linear import LinearEngine
from calicod.model.decision import Decision
from calicod.model.verdict import Verdict
from calicod.resources.snapshot import snapshot
from tests.oracle.clusters import INTERFACES, NODE, PLACES, Forge
from tests.oracle.interpreter import Answer, Interpreter

PACKETS = 40
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
        decided = linear.decide(packet, hook, inbound, outbound)

        assert answer(decided) == said
        assert bitmap.decide(packet, hook, inbound, outbound) == decided


def answer(decision: Decision) -> Answer:
    reason, rule = decision.reason.value, decision.policy
    told = None if rule is None or reason in RULELESS else (rule.kind, rule.namespace, rule.name, rule.rule)
    return Answer(decision.verdict is Verdict.ACCEPT, reason, told)
