"""Programs are shared and split by tier and direction."""

from calicod.compiler.order import Step
from calicod.compiler.programs import OF_HOST, OF_WILDCARD, OF_WORKLOAD, Planner, Programs, phase_of, phases_of
from calicod.model.hook import Phase
from calicod.resources.kinds import HostEndpoint, Metadata
from calicod.ruleset.program import NO_PROGRAM, Program, TierStep
from tests.unit.compiler.build import policy, workload

TIERS = (Step("one", default_deny=True, exists=True), Step("two", default_deny=False, exists=True))
BOTH = {"governs_ingress": True, "governs_egress": True}


def test_policies_take_part_in_the_directions_and_tiers_that_they_govern():
    policies = [policy("a", tier="one", **BOTH), policy("b", tier="one"), policy("c", tier="two", **BOTH)]
    planner = Planner(policies, [0b1, 0b1, 0b1], TIERS, 1)

    found = planner.programs_of(0, (7,), OF_WORKLOAD)

    assert planner.programs()[found.ingress] == Program(
        (TierStep("one", True, (0, 1)), TierStep("two", False, (2,))), (7,)
    )
    assert planner.programs()[found.egress] == Program(
        (TierStep("one", True, (0,)), TierStep("two", False, (2,))), (7,)
    )


def test_policies_of_different_selectors_stay_in_order():
    policies = [policy(str(rank), tier="one") for rank in range(4)]
    planner = Planner(policies, [0b01, 0b11, 0b01, 0b11], TIERS, 2)

    first, second = (planner.programs_of(position, (), OF_WORKLOAD).ingress for position in (0, 1))

    assert planner.programs()[first].tiers == (TierStep("one", True, (0, 1, 2, 3)),)
    assert planner.programs()[second].tiers == (TierStep("one", True, (1, 3)),)


def test_endpoints_that_run_the_same_share_their_programs():
    planner = Planner([policy("a", tier="one", **BOTH)], [0b111], TIERS, 3)

    first, second, other = (planner.programs_of(n, (5 if n < 2 else 6,), OF_WORKLOAD) for n in range(3))

    assert first == second == Programs(ingress=0, egress=0)
    assert other == Programs(ingress=1, egress=1)
    assert len(planner.programs()) == 2


def test_an_endpoint_that_nothing_selects_has_its_profiles_only():
    planner = Planner([policy("a", tier="one")], [0], TIERS, 1)

    planner.programs_of(0, (3,), OF_HOST)

    assert planner.programs() == (Program((), (3,)),)


FORWARD = {"apply_on_forward": True}
PRE_DNAT = {"apply_on_forward": True, "pre_dnat": True}
UNTRACKED = {"apply_on_forward": True, "do_not_track": True}


def planned(phases, **names_and_fields):
    """The policies, by name, that an endpoint runs in each of its programs."""
    policies = [policy(name, tier="one", **fields) for name, fields in names_and_fields.items()]
    planner = Planner(policies, [0b1] * len(policies), TIERS, 1)
    found = planner.programs_of(0, (9,), phases)
    return {
        field: [policies[rank].metadata.name for tier in planner.programs()[index].tiers for rank in tier.policies]
        for field in found.__struct_fields__
        if (index := getattr(found, field)) != NO_PROGRAM
    }


def test_a_policy_takes_part_in_its_own_phase():
    phases = [phase_of(policy("p", **fields)) for fields in ({}, FORWARD, PRE_DNAT, UNTRACKED)]

    assert phases == [Phase.NORMAL, Phase.FORWARD, Phase.PRE_DNAT, Phase.UNTRACKED]


def test_a_host_endpoint_runs_a_policy_for_forwarded_traffic_in_both_phases_and_others_in_theirs():
    given = {"plain": BOTH, "forward": FORWARD | BOTH, "early": PRE_DNAT | BOTH, "untracked": UNTRACKED | BOTH}

    assert planned(OF_HOST, **given) == {
        "ingress": ["plain", "forward"],
        "egress": ["plain", "forward"],
        "forward_ingress": ["forward"],
        "forward_egress": ["forward"],
        "pre_dnat": ["early"],
        "untracked_ingress": ["untracked"],
        "untracked_egress": ["untracked"],
    }


def test_a_workload_knows_neither_untracked_nor_pre_dnat_policy():
    given = {"plain": BOTH, "forward": FORWARD, "early": PRE_DNAT, "untracked": UNTRACKED | BOTH}

    assert planned(OF_WORKLOAD, **given) == {"ingress": ["plain", "forward"], "egress": ["plain"]}


def test_the_wildcard_knows_no_untracked_policy():
    found = planned(OF_WILDCARD, early=PRE_DNAT, untracked=UNTRACKED | BOTH)

    assert found == {"ingress": [], "egress": [], "pre_dnat": ["early"]}


def test_a_direction_without_a_policy_for_forwarded_traffic_has_no_program():
    assert planned(OF_HOST, forward=FORWARD) == {"ingress": ["forward"], "egress": [], "forward_ingress": ["forward"]}


def test_only_the_programs_for_own_connections_have_profiles_and_only_early_ones_never_deny():
    policies = [policy("f", tier="one", **FORWARD), policy("e", tier="one", **PRE_DNAT)]
    planner = Planner(policies, [0b1, 0b1], TIERS, 1)
    found = planner.programs_of(0, (9,), OF_HOST)

    assert planner.programs()[found.ingress] == Program((TierStep("one", True, (0,)),), (9,))
    assert planner.programs()[found.forward_ingress] == Program((TierStep("one", True, (0,)),), (), open_ended=True)
    assert planner.programs()[found.pre_dnat] == Program((TierStep("one", False, (1,)),), (), open_ended=True)


def test_the_phases_of_an_endpoint():
    hosts = [HostEndpoint(metadata=Metadata(name="h"), node="n", interface_name=name) for name in ("*", "eth0", "")]

    assert [phases_of(endpoint) for endpoint in (*hosts, workload("w"))] == [OF_WILDCARD, OF_HOST, OF_HOST, OF_WORKLOAD]
