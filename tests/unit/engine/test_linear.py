import pytest

from calicod.engine.linear import LinearEngine
from calicod.model.decision import EndpointReference
from calicod.model.hook import Hook
from calicod.model.protocol import TCP, UDP
from calicod.model.verdict import Reason, Verdict
from calicod.ruleset.program import Program, RuleSet, TierStep
from tests.build import (
    ENGINES,
    FROM_W,
    INTERFACES,
    TO_HOST,
    TO_W,
    W_TO_V,
    Tier,
    V,
    W,
    host,
    icmp,
    ip_set,
    policy,
    ports,
    profile,
    rule,
    ruleset,
    tcp,
    udp,
    workload,
)

OPEN = profile(rule("Allow"))


def decide(parts, packet, place=TO_W, **fields):
    return LinearEngine(ruleset(*parts, **fields), INTERFACES).decide(packet, *place)


def test_the_first_matching_rule_of_the_first_policy_decides():
    first = policy(rule("Deny", protocol=UDP), rule("Allow", protocol=TCP), rule("Deny"), name="first")
    decision = decide([Tier("default", first, policy(rule("Deny"), name="second"))], tcp(80))

    assert (decision.verdict, decision.reason) == (Verdict.ACCEPT, Reason.RULE)
    assert (decision.policy.name, decision.policy.rule) == ("first", 1)
    assert decision.trace == ("0|default|gnp:first|allow|1",)


def test_a_tier_denies_at_its_end_what_no_rule_of_it_matched():
    decision = decide([Tier("default", policy(rule("Allow", protocol=UDP))), OPEN], tcp(80))

    assert (decision.verdict, decision.reason) == (Verdict.DROP, Reason.END_OF_TIER)
    assert decision.trace == ("0|default|gnp:p|deny|-1",)


def test_the_end_of_a_tier_is_told_of_its_last_enforced_policy():
    late = policy(kind="StagedGlobalNetworkPolicy", name="late", staged=True)
    decision = decide([Tier("default", policy(name="a"), policy(name="b"), late)], tcp(80))

    assert (decision.policy.name, decision.policy.rule) == ("b", -1)


def test_a_tier_that_passes_by_default_goes_on_and_is_told():
    decision = decide([Tier("sec", policy(tier="sec"), default="Pass"), OPEN], tcp(80))

    assert decision.verdict is Verdict.ACCEPT
    assert decision.trace == ("0|sec|gnp:p|pass|-1", "1|__PROFILE__|pro:kns.a|allow|0")


def test_pass_skips_the_rest_of_its_tier_and_not_the_next_one():
    passing = Tier("sec", policy(rule("Pass"), tier="sec"), policy(rule("Deny"), name="skipped", tier="sec"))
    decision = decide([passing, Tier("default", policy(rule("Deny"), name="met"))], tcp(80))

    assert decision.policy.name == "met"
    assert decision.trace == ("0|sec|gnp:p|pass|0", "1|default|gnp:met|deny|0")


def test_pass_in_the_last_tier_goes_to_the_profiles():
    decision = decide([Tier("default", policy(rule("Pass"))), OPEN], tcp(80))

    assert (decision.verdict, decision.reason) == (Verdict.ACCEPT, Reason.PROFILE)


def test_a_tier_with_staged_policies_only_is_as_if_absent():
    staged = policy(rule("Deny"), kind="StagedGlobalNetworkPolicy", staged=True)
    decision = decide([Tier("sec", staged), OPEN], tcp(80))

    assert decision.trace == ("0|__PROFILE__|pro:kns.a|allow|0",)


def test_pass_in_a_profile_goes_on_with_the_next_profile():
    one = profile(rule("Pass", protocol=TCP), rule("Deny"), name="one")
    decision = decide([one, profile(rule("Allow"), name="two")], tcp(80))

    assert decision.policy.name == "two"
    assert decision.trace == ("0|__PROFILE__|pro:one|pass|0", "1|__PROFILE__|pro:two|allow|0")


def test_without_policy_and_profile_everything_is_denied():
    decision = decide([], tcp(80))

    assert (decision.verdict, decision.reason, decision.policy) == (Verdict.DROP, Reason.NO_PROFILE, None)
    assert decision.trace == ("0|__PROFILE__|pro:|deny|-1",)


def test_log_rules_are_noted_in_order_and_end_nothing():
    logging = policy(rule("Log"), rule("Log", protocol=UDP), rule("Log", protocol=TCP), rule("Deny"))
    decision = decide([Tier("default", logging), OPEN], tcp(80))

    assert [reference.rule for reference in decision.logged] == [0, 2]
    assert decision.policy.rule == 3


def test_each_direction_has_its_own_rules():
    both = policy(name="p", ingress=(rule("Allow"),), egress=(rule("Deny"),))

    assert decide([Tier("default", both)], tcp(80)).verdict is Verdict.ACCEPT
    assert decide([Tier("default", both)], tcp(80), FROM_W).verdict is Verdict.DROP


def test_egress_of_the_sender_comes_before_ingress_of_the_receiver():
    only_out = policy(name="p", ingress=(rule("Deny"),), egress=(rule("Log"), rule("Allow", protocol=TCP)))
    decision = decide([Tier("default", only_out)], tcp(80, W, V), W_TO_V)

    assert decision.endpoint == EndpointReference("WorkloadEndpoint", "a", "v")
    assert decision.reporter == "dst"
    assert decision.trace == ("0|default|gnp:p|allow|1", "1|default|gnp:p|deny|0")
    assert [reference.rule for reference in decision.logged] == [0]
    denied = decide([Tier("default", only_out)], udp(80, W, V), W_TO_V)
    assert (denied.reporter, denied.trace) == ("src", ("0|default|gnp:p|deny|-1",))


def test_a_receiver_that_is_down_refuses_after_the_sender_allowed():
    ends = (workload("w", W), workload("v", V, active=False))
    decision = decide([OPEN], tcp(80, W, V), W_TO_V, workloads=ends)

    assert (decision.verdict, decision.reason) == (Verdict.DROP, Reason.ADMIN_DOWN)
    assert decision.endpoint == EndpointReference("WorkloadEndpoint", "a", "v")


def test_a_fragment_without_its_header_is_denied_before_policy():
    fragment = tcp(-1, sport=-1)
    fragment = type(fragment)(fragment.family, fragment.protocol, fragment.src, fragment.dst, fragment=True)

    assert decide([OPEN], fragment).reason is Reason.FRAGMENT


@pytest.mark.parametrize(
    ("criteria", "packet"),
    [
        ({"protocol": TCP}, tcp(80)),
        ({"not_protocol": UDP}, tcp(80)),
        ({"families": 1}, tcp(80)),
        ({"source_sets": (0,)}, tcp(80, "192.0.2.9")),
        ({"not_source_sets": (0,)}, tcp(80)),
        ({"destination_sets": (1,)}, tcp(80)),
        ({"destination_ports": ports((80, 90))}, tcp(85)),
        ({"not_destination_ports": ports(443)}, tcp(80)),
        ({"source_ports": ports(40000)}, tcp(80)),
        ({"icmp_type": 8}, icmp(8)),
        ({"not_icmp_type": 8}, icmp(0)),
    ],
)
def test_all_criteria_of_a_rule_must_hold(criteria, packet):
    sets = (ip_set("192.0.2.0/24"), ip_set(f"{W}/32"))
    matching = Tier("default", policy(rule("Allow", **criteria)))
    never = Tier("default", policy(rule("Allow", **criteria, not_source_ports=ports(40000), not_icmp_code=0)))

    assert decide([matching], packet, sets=sets).verdict is Verdict.ACCEPT
    assert decide([never], packet, sets=sets).verdict is Verdict.DROP


def test_a_host_endpoint_judges_what_comes_to_the_host():
    decision = decide([Tier("default", policy(rule("Allow", protocol=TCP)))], tcp(80, dst="192.0.2.1"), TO_HOST)

    assert decision.endpoint == EndpointReference("HostEndpoint", "", "h")
    assert decision.verdict is Verdict.ACCEPT


def test_in_a_cluster_egress_of_the_source_comes_before_ingress_of_the_destination():
    both = policy(name="p", ingress=(rule("Allow", protocol=TCP),), egress=(rule("Allow"),))
    engine = LinearEngine(ruleset(Tier("default", both)), ())

    assert engine.decide_cluster(tcp(80, W, V)).trace == ("0|default|gnp:p|allow|0", "1|default|gnp:p|allow|0")
    assert engine.decide_cluster(udp(80, W, V)).reporter == "dst"
    assert engine.decide_cluster(tcp(80, "203.0.113.1", "203.0.113.2")).reason is Reason.NO_ENDPOINT


EARLY = RuleSet(
    node="n1",
    policies=(
        policy(rule("Allow", protocol=UDP), rule("Log"), rule("Deny", destination_ports=ports(81)), name="early"),
        policy(rule("Allow", destination_ports=ports(82)), name="normal"),
    ),
    programs=(
        Program((TierStep("default", True, (1,)),), ()),
        Program((TierStep("default", False, (0,)),), (), open_ended=True),
    ),
    hosts=(host("h", "eth0", pre_dnat=1),),
)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("packet", "verdict", "policy", "trace"),
    [
        (udp(81), Verdict.ACCEPT, "early", ("0|default|gnp:early|allow|0",)),
        (tcp(81), Verdict.DROP, "early", ("0|default|gnp:early|deny|2",)),
        (tcp(82), Verdict.ACCEPT, "normal", ("0|default|gnp:early|pass|-1", "1|default|gnp:normal|allow|0")),
        (tcp(83), Verdict.DROP, "normal", ("0|default|gnp:early|pass|-1", "1|default|gnp:normal|deny|-1")),
    ],
)
def test_on_its_way_a_packet_meets_early_policy_first_and_is_spared_the_rest_by_an_allow(
    engine, packet, verdict, policy, trace
):
    decision = engine(EARLY, INTERFACES).decide_way(packet, *TO_HOST)

    assert (decision.verdict, decision.policy.name, decision.trace) == (verdict, policy, trace)
    assert len(decision.logged) == (0 if packet.protocol == UDP else 1)


@pytest.mark.parametrize("engine", ENGINES)
def test_at_a_hook_alone_early_policy_is_not_asked(engine):
    assert engine(EARLY, INTERFACES).decide(udp(81), *TO_HOST).policy.name == "normal"
    assert engine(EARLY, INTERFACES).decide(udp(81), Hook.PREROUTING, "eth0", "").policy.name == "early"


@pytest.mark.parametrize("engine", ENGINES)
def test_four_endpoints_in_a_row_and_the_first_denial_decides(engine):
    names = ("in", "w", "v", "out")
    rules = RuleSet(
        node="n1",
        policies=tuple(
            policy(rule("Deny", destination_ports=ports(number)), rule("Allow"), name=name)
            for number, name in enumerate(names)
        ),
        programs=tuple(Program((TierStep("default", True, (number,)),), ()) for number in range(4)),
        workloads=(workload("w", W, egress=1), workload("v", V, ingress=2)),
        hosts=(host("star", "*", forward_ingress=0, forward_egress=3),),
    )
    found = [engine(rules, INTERFACES).decide(tcp(port, W, V), *W_TO_V) for port in range(5)]

    assert [decision.policy.name for decision in found] == [*names, "out"]
    assert [len(decision.trace) for decision in found] == [1, 2, 3, 4, 4]
    assert [decision.verdict for decision in found] == [Verdict.DROP] * 4 + [Verdict.ACCEPT]
