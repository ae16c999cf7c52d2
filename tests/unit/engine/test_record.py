from calicod.engine.linear import LinearEngine
from calicod.engine.record import (
    PendingBegun,
    PendingEnded,
    PolicyAsked,
    RuleTried,
    StageBegun,
    StageEnded,
    Step,
    TierBegun,
    TierEnded,
    WayTaken,
)
from calicod.model.action import Action
from calicod.model.hook import Hook
from calicod.model.network import parse_address
from calicod.model.protocol import TCP, UDP
from calicod.model.verdict import Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import CompiledPolicy, CompiledRule, LocalEndpoint, Program, RuleSet, TierStep

PROFILE = CompiledPolicy(
    kind="Profile", tier="__PROFILE__", namespace="", name="open", ingress=(CompiledRule(action=Action.ALLOW, index=0),)
)
POLICY = CompiledPolicy(
    kind="NetworkPolicy",
    tier="default",
    namespace="ns",
    name="web",
    ingress=(
        CompiledRule(action=Action.LOG, index=0),
        CompiledRule(action=Action.ALLOW, index=1, protocol=TCP, icmp_type=8),
        CompiledRule(action=Action.ALLOW, index=2, protocol=UDP),
    ),
)
STAGED = CompiledPolicy(kind="StagedNetworkPolicy", tier="staged", namespace="ns", name="later", staged=True)
RULES = RuleSet(
    node="n1",
    policies=(POLICY, PROFILE, STAGED),
    programs=(
        Program(
            (
                TierStep("staged", default_deny=True, policies=(2,)),
                TierStep("default", default_deny=True, policies=(0,)),
            ),
            (1,),
        ),
        Program((), (1,)),
    ),
    workloads=(
        LocalEndpoint(type="WorkloadEndpoint", namespace="ns", name="web", interface="caliweb", ingress=0, egress=1),
    ),
)


def steps(protocol: int, out: str = "caliweb") -> list[Step]:
    noted: list[Step] = []
    packet = Packet(4, protocol, parse_address("192.0.2.1"), parse_address("10.65.0.1"), 1, 2)
    recording, plain = LinearEngine(RULES, (), noted.append), LinearEngine(RULES, ())
    decision = recording.decide(packet, Hook.FORWARD, "eth0", out)
    assert decision == plain.decide(packet, Hook.FORWARD, "eth0", out)
    return noted


def test_every_step_is_noted_in_the_order_it_is_taken():
    noted = steps(TCP)

    assert [type(step) for step in noted] == [
        WayTaken,
        StageBegun,
        TierBegun,
        PolicyAsked,
        RuleTried,
        RuleTried,
        RuleTried,
        TierEnded,
        StageEnded,
        PendingBegun,
        StageBegun,
        TierBegun,
        PolicyAsked,
        TierEnded,
        StageEnded,
        PendingEnded,
    ]
    assert noted[7] == TierEnded(POLICY, denies=True)


def test_a_rule_is_noted_with_the_fields_that_did_not_match():
    tried = [step for step in steps(TCP) if isinstance(step, RuleTried)]

    assert [(step.rule.index, [field.attributes[0] for field in step.missed]) for step in tried] == [
        (0, []),
        (1, ["icmp_type"]),
        (2, ["protocol"]),
    ]


def test_nothing_is_noted_behind_the_rule_that_decides():
    noted = steps(UDP)
    noted = noted[: noted.index(PendingBegun())]

    assert isinstance(noted[-1], StageEnded)
    assert noted[-1].result.verdict is Verdict.ACCEPT
    assert not any(isinstance(step, TierEnded) for step in noted)


def test_a_tier_whose_policies_are_all_staged_is_not_begun():
    noted = steps(TCP)
    pending = noted.index(PendingBegun())

    assert [step.tier.name for step in noted[:pending] if isinstance(step, TierBegun)] == ["default"]
    assert [(step.tier.name, step.asked) for step in noted[pending:] if isinstance(step, TierBegun)] == [("staged", 1)]


def test_the_answer_to_every_packet_is_noted_as_the_way_it_is():
    (step,) = steps(TCP, "calistranger")

    assert isinstance(step, WayTaken)
    assert step.way[0].path.fixed is not None
