"""Programs are shared and split by tier and direction."""

from calicod.compiler.order import Step
from calicod.compiler.programs import Planner
from calicod.ruleset.program import Program, TierStep
from tests.unit.compiler.build import policy

TIERS = (Step("one", default_deny=True, exists=True), Step("two", default_deny=False, exists=True))
BOTH = {"governs_ingress": True, "governs_egress": True}


def test_policies_take_part_in_the_directions_and_tiers_that_they_govern():
    policies = [policy("a", tier="one", **BOTH), policy("b", tier="one"), policy("c", tier="two", **BOTH)]
    planner = Planner(policies, [0b1, 0b1, 0b1], TIERS, 1)

    ingress, egress = planner.programs_of(0, (7,))

    assert planner.programs()[ingress] == Program((TierStep("one", True, (0, 1)), TierStep("two", False, (2,))), (7,))
    assert planner.programs()[egress] == Program((TierStep("one", True, (0,)), TierStep("two", False, (2,))), (7,))


def test_policies_of_different_selectors_stay_in_order():
    policies = [policy(str(rank), tier="one") for rank in range(4)]
    planner = Planner(policies, [0b01, 0b11, 0b01, 0b11], TIERS, 2)

    first, second = (planner.programs_of(position, ())[0] for position in (0, 1))

    assert planner.programs()[first].tiers == (TierStep("one", True, (0, 1, 2, 3)),)
    assert planner.programs()[second].tiers == (TierStep("one", True, (1, 3)),)


def test_endpoints_that_run_the_same_share_their_programs():
    planner = Planner([policy("a", tier="one", **BOTH)], [0b111], TIERS, 3)

    assert planner.programs_of(0, (5,)) == planner.programs_of(1, (5,)) == (0, 0)
    assert planner.programs_of(2, (6,)) == (1, 1)
    assert len(planner.programs()) == 2


def test_an_endpoint_that_nothing_selects_has_its_profiles_only():
    planner = Planner([policy("a", tier="one")], [0], TIERS, 1)

    planner.programs_of(0, (3,))

    assert planner.programs() == (Program((), (3,)),)
