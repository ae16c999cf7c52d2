"""What the staged policies would do, in both engines (semantics 1.5, 6.3)."""

import pytest
from msgspec.structs import replace

from calicod.engine.path import Path, egress, ingress
from calicod.engine.pending import blamed, enforced_only, has_staged, is_told, participants
from calicod.model.decision import Pending
from calicod.model.hook import Hook
from calicod.model.protocol import TCP, UDP
from calicod.model.verdict import Reason, Verdict
from calicod.ruleset.program import NO_PROGRAM, Program, RuleSet, TierStep
from tests.build import (
    ENGINES,
    FROM_HOST,
    HOST,
    INTERFACES,
    OUTSIDE,
    TO_HOST,
    TO_W,
    W_TO_HOST,
    W_TO_V,
    Tier,
    V,
    W,
    host,
    packet,
    policy,
    profile,
    rule,
    ruleset,
    settings,
    tcp,
    workload,
)

OPEN = profile(rule("Allow"))


def staged(*rules, **fields):
    return policy(*rules, **{"name": "s", "kind": "StagedGlobalNetworkPolicy", "staged": True, **fields})


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.__name__)
def decide(request):
    def asked(parts, given=None, place=TO_W, **fields):
        return request.param(ruleset(*parts, **fields), INTERFACES).decide(given or tcp(80), *place)

    return asked


def test_a_staged_deny_changes_no_verdict_and_is_told(decide):
    decision = decide([Tier("default", staged(rule("Deny")), policy(rule("Allow"))), OPEN])

    assert (decision.verdict, decision.trace) == (Verdict.ACCEPT, ("0|default|gnp:p|allow|0",))
    assert decision.pending == Pending(Verdict.DROP, ("0|default|sgnp:s|deny|0",))


def test_a_staged_allow_saves_nothing_and_is_told(decide):
    decision = decide([Tier("default", policy(rule("Allow", protocol=UDP)), staged(rule("Allow"))), OPEN])

    assert (decision.verdict, decision.reason) == (Verdict.DROP, Reason.END_OF_TIER)
    assert decision.pending == Pending(Verdict.ACCEPT, ("0|default|sgnp:s|allow|0",))


def test_a_tier_of_staged_policies_alone_is_absent_and_would_deny(decide):
    decision = decide([Tier("sec", staged(tier="sec")), OPEN])

    assert decision.trace == ("0|__PROFILE__|pro:kns.a|allow|0",)
    assert decision.pending == Pending(Verdict.DROP, ("0|sec|sgnp:s|deny|-1",))


def test_the_default_action_is_told_of_the_last_enforced_and_pending_of_the_first_policy(decide):
    tier = Tier("default", policy(name="a"), staged(name="b"), policy(name="c"), staged(name="d"))
    decision = decide([tier, OPEN])

    assert (decision.policy.name, decision.trace) == ("c", ("0|default|gnp:c|deny|-1",))
    assert decision.pending.trace == ("0|default|gnp:a|deny|-1",)


def test_a_staged_pass_would_go_on_with_the_next_tier(decide):
    decision = decide([Tier("sec", staged(rule("Pass"), tier="sec")), Tier("default", policy(rule("Deny"))), OPEN])

    assert decision.pending == Pending(Verdict.DROP, ("0|sec|sgnp:s|pass|0", "1|default|gnp:p|deny|0"))


def test_a_staged_log_rule_logs_nothing(decide):
    decision = decide([Tier("default", staged(rule("Log"), rule("Allow"))), OPEN])

    assert decision.logged == ()
    assert decision.pending.verdict is Verdict.ACCEPT


def test_without_staged_policies_nothing_is_pending(decide):
    assert decide([Tier("default", policy(rule("Allow"))), OPEN]).pending is None


def test_staged_policies_of_another_direction_or_endpoint_do_not_take_part(decide):
    rules = ruleset(Tier("default", staged(rule("Deny"))), OPEN)
    programs = (rules.programs[0], Program((), (1,)))
    ends = (workload("w", W, ingress=1, egress=0), workload("v", V, ingress=1, egress=1))
    parts = [Tier("default", staged(rule("Deny"))), OPEN]

    assert decide(parts, programs=programs, workloads=ends).pending is None
    assert decide(parts, place=W_TO_V, programs=programs, workloads=ends).pending.verdict is Verdict.DROP


def test_a_stage_that_nobody_gets_to_counts_in_what_would_be(decide):
    rules = ruleset(Tier("default", policy(rule("Deny"), name="shut"), staged(rule("Deny"))), OPEN)
    shut, tried = (Program((TierStep("default", True, (n,)),), (2,)) for n in (0, 1))
    ends = (workload("w", W, egress=0, ingress=0), workload("v", V, ingress=1, egress=1))
    decision = decide(
        [],
        tcp(80, W, V),
        W_TO_V,
        policies=rules.policies,
        programs=(shut, tried),
        workloads=ends,
    )

    assert decision.trace == ("0|default|gnp:shut|deny|0",)
    assert decision.pending == Pending(Verdict.DROP, ("0|default|gnp:shut|deny|0",))


def test_a_stage_that_only_staged_policies_let_a_packet_reach_is_evaluated(decide):
    """The sender is refused today; it would be let through, and then the receiver would refuse."""
    sending = (staged(rule("Allow"), name="let"), policy(rule("Deny"), name="shut"))
    receiving = policy(rule("Deny"), name="no")
    programs = (
        Program((TierStep("default", True, (0, 1)),), ()),
        Program((TierStep("default", True, (2,)),), ()),
    )
    ends = (workload("w", W, egress=0, ingress=0), workload("v", V, ingress=1, egress=1))
    decision = decide(
        [],
        tcp(80, W, V),
        W_TO_V,
        policies=(*sending, receiving),
        programs=programs,
        workloads=ends,
    )

    assert decision.trace == ("0|default|gnp:shut|deny|0",)
    assert decision.pending == Pending(Verdict.DROP, ("0|default|sgnp:let|allow|0", "1|default|gnp:no|deny|0"))


def test_what_needs_no_policy_has_nothing_pending(decide):
    parts = [Tier("default", staged(rule("Deny"))), OPEN]
    fragment = packet(TCP, fragment=True)

    assert decide(parts, fragment).pending is None
    assert decide(parts, place=(W_TO_HOST[0], "cali9", "")).pending is None
    assert decide(parts, place=TO_HOST).pending.verdict is Verdict.DROP
    assert decide(parts, place=FROM_HOST).pending.verdict is Verdict.DROP


def test_the_endpoint_to_host_action_closes_what_would_be_too(decide):
    parts = [Tier("default", staged(rule("Allow"))), profile(rule("Deny"))]
    decision = decide(parts, place=W_TO_HOST, settings=settings(endpoint_to_host_action="Drop"))

    assert decision.reason is Reason.PROFILE
    assert decision.pending == Pending(Verdict.DROP, ("0|default|sgnp:s|allow|0",))


def test_an_endpoint_that_is_down_refuses_whatever_its_staged_policies_say(decide):
    ends = (workload("w", W, active=False), workload("v", V))

    assert decide([Tier("default", staged(rule("Allow"))), OPEN], workloads=ends).pending is None


def test_a_decision_with_pending_is_made_once():
    quick = ENGINES[1](ruleset(Tier("default", staged(rule("Deny", protocol=TCP))), OPEN), INTERFACES)
    first = quick.decide(tcp(80), *TO_W)

    assert first.pending.verdict is Verdict.DROP
    assert quick.decide(tcp(81, "203.0.113.7"), *TO_W) is first


def test_both_sides_of_a_cluster_count():
    parts = [Tier("default", staged(rule("Deny"), egress=())), OPEN]
    linear, quick = (engine(ruleset(*parts), INTERFACES).decide_cluster(tcp(80, W, V)) for engine in ENGINES)

    assert linear == quick
    assert linear.pending == Pending(Verdict.DROP, ("0|default|sgnp:s|deny|-1",))


def test_staged_policies_take_part_only_where_they_are_asked_for():
    rules = ruleset(Tier("default", staged(), policy(name="a"), policy(name="b")))
    (tier,) = rules.programs[0].tiers
    enforced, everything = (participants(rules, tier, pending=pending) for pending in (False, True))

    assert [p.name for p in enforced] == ["a", "b"]
    assert [p.name for p in everything] == ["s", "a", "b"]
    assert (blamed(enforced, pending=False).name, blamed(everything, pending=True).name) == ("b", "s")


def test_a_path_has_staged_policies_if_an_active_stage_runs_one():
    rules = ruleset(Tier("default", staged()), workloads=(workload("w", W), workload("v", V, active=False)))
    up, down = rules.workloads

    assert has_staged(rules, Path(stages=(egress(up), ingress(down))))
    assert not has_staged(rules, Path(stages=(ingress(down),)))
    assert not has_staged(rules, Path())


def test_staged_policies_are_not_asked_of_what_is_exempt():
    rules = ruleset(Tier("default", staged()))
    path = Path(stages=(ingress(rules.workloads[0]),))

    same, other = (Verdict.DROP, Verdict.DROP), (Verdict.ACCEPT, Verdict.DROP)

    assert is_told(rules, (path,), tcp(80), same)
    assert not is_told(rules, (path,), packet(TCP, fragment=True), same)
    assert is_told(rules, (path,), packet(TCP, fragment=True), other)
    assert not is_told(rules, (), tcp(80), same)


EARLY = RuleSet(
    node="n1",
    policies=(staged(rule("Deny", protocol=TCP), rule("Allow")), policy(rule("Deny"), name="wild")),
    programs=(
        Program((TierStep("default", False, (0,)),), (), open_ended=True),
        Program((TierStep("default", False, (1,)),), (), open_ended=True),
        Program((), ()),
    ),
    hosts=(
        host("h", "eth0", ingress=2, egress=2, pre_dnat=0, forward_ingress=0),
        host("star", "*", ingress=2, egress=2, pre_dnat=1),
    ),
)
DNAT = (Hook.PREROUTING, "eth0", "")


def test_a_phase_with_staged_policies_alone_has_no_program_as_long_as_they_are_staged():
    there = enforced_only(EARLY)

    assert [(one.pre_dnat, one.forward_ingress) for one in there.hosts] == [(NO_PROGRAM, NO_PROGRAM), (1, NO_PROGRAM)]
    assert enforced_only(there) is there


@pytest.mark.parametrize("engine", ENGINES)
def test_staged_policy_before_dnat_takes_no_interface_from_the_wildcard_but_would(engine):
    decision = engine(EARLY, INTERFACES).decide(packet(UDP, OUTSIDE, HOST, 1, 2), *DNAT)

    assert (decision.verdict, decision.policy.name) == (Verdict.DROP, "wild")
    assert decision.pending == Pending(Verdict.ACCEPT, ("0|default|sgnp:s|allow|1",))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_staged_rule_would_allow_early_would_be_spared_the_rest(engine):
    own = replace(EARLY, hosts=EARLY.hosts[:1])
    decide = engine(own, INTERFACES).decide_way

    spared, refused = decide(packet(UDP, OUTSIDE, HOST, 1, 2), *TO_HOST), decide(tcp(80, OUTSIDE, HOST), *TO_HOST)
    assert (spared.reason, refused.reason) == (Reason.NO_PROFILE, Reason.NO_PROFILE)
    assert spared.pending == Pending(Verdict.ACCEPT, ("0|default|sgnp:s|allow|1",))
    assert refused.pending == Pending(Verdict.DROP, ("0|default|sgnp:s|deny|0",))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_staged_policy_of_a_phase_refuses_no_fragment(engine):
    own = replace(EARLY, hosts=EARLY.hosts[:1])
    decision = engine(own, INTERFACES).decide(packet(TCP, fragment=True), Hook.FORWARD, "eth0", "eth1")

    assert (decision.reason, decision.pending) == (Reason.NO_ENDPOINT, Pending(Verdict.DROP, ()))
