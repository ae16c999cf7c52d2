import pytest

from calicod.compiler.lints.ties import MOST, contradict
from tests.unit.compiler.build import codes, compilation, entity, policy, profile, rule, tcp_rule, tier, workload

OPEN = profile("open", ingress=(rule(),), egress=(rule(),))
POD = workload(profiles=("open",), labels={"app": "x"})
ALLOW = policy("allow", selector="all()", order=10.0, ingress=(tcp_rule(),))
DENY = policy("deny", selector="has(app)", order=10.0, ingress=(rule("Deny"),))


def test_of_two_that_contradict_each_other_the_second_is_told():
    (found,) = compilation(DENY, ALLOW, POD, OPEN).diagnostics

    assert (found.code, found.name, found.path) == ("W066", "deny", "spec.order")
    assert found.message == "order 10 is also that of GlobalNetworkPolicy allow, which its name puts first"


@pytest.mark.parametrize(
    "other",
    [
        policy("deny", selector="has(app)", order=11.0, ingress=(rule("Deny"),)),
        policy("deny", selector="has(app)", ingress=(rule("Deny"),)),
        policy("deny", selector="has(app)", order=10.0, ingress=(rule("Deny"),), tier="t"),
        policy("deny", selector="has(app)", order=10.0, egress=(rule("Deny"), rule()), governs_ingress=False),
        policy("deny", selector="has(app)", order=10.0, ingress=(rule("Log"), rule())),
        policy("deny", selector="has(app)", order=10.0, ingress=(rule("Deny", ip_version=6),)),
    ],
)
def test_other_orders_tiers_directions_actions_and_families_are_no_tie(other):
    mine = policy("allow", selector="all()", order=10.0, ingress=(tcp_rule(ip_version=4),))

    assert "W066" not in codes(mine, other, POD, OPEN, tier("t", 1.0))


def test_policies_of_different_endpoints_are_no_tie():
    far = policy("deny", selector="app == 'y'", order=10.0, ingress=(rule("Deny"),))

    assert codes(ALLOW, far, POD, workload("v", profiles=("open",), labels={"app": "y"}), OPEN) == ["W066"]
    near = policy("allow", selector="app == 'x'", order=10.0, ingress=(tcp_rule(),))
    assert codes(near, far, POD, workload("v", profiles=("open",), labels={"app": "y"}), OPEN) == []


def test_without_endpoints_only_policies_of_one_selector_surely_meet():
    same = policy("deny", selector="all()", order=10.0, ingress=(rule("Deny"),))

    assert (codes(ALLOW, same), codes(ALLOW, DENY)) == (["W066"], [])


def test_passing_on_contradicts_allowing_but_not_denying():
    passing = policy("pass", ingress=(rule("Pass"),))

    assert contradict(ALLOW, passing)
    assert not contradict(DENY, passing)


def test_many_of_one_order_are_compared_with_their_neighbours_only():
    many = [policy(f"m{n:04}", selector="all()", order=10.0, ingress=(tcp_rule(),)) for n in range(3 * MOST)]
    last = policy("z", selector="all()", order=10.0, ingress=(rule("Deny", source=entity(nets=("10.0.0.0/8",))),))

    assert codes(*many, last, POD, OPEN) == ["W066"]


@pytest.mark.parametrize(
    ("phase", "told"),
    [
        ({"apply_on_forward": True}, ["W066"]),
        ({"apply_on_forward": True, "pre_dnat": True}, []),
        ({"apply_on_forward": True, "do_not_track": True}, []),
    ],
)
def test_policies_that_are_never_asked_together_are_no_tie(phase, told):
    other = policy("deny", selector="has(app)", order=10.0, ingress=(rule("Deny"),), **phase)

    assert [code for code in codes(ALLOW, other, POD, OPEN) if code == "W066"] == told
