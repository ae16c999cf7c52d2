"""Semantics 4.1."""

from math import inf

from calicod.compiler.order import Step, policy_key, tiers_in_order
from tests.unit.compiler.build import policy, tier


def names(*tiers, policies=()):
    return [step.name for step in tiers_in_order(tiers, policies)]


def test_tiers_stand_by_order_then_name():
    assert names(tier("b", 5), tier("a", 5), tier("c", -1.5)) == ["c", "a", "b"]


def test_a_tier_without_order_counts_as_one_million():
    assert names(tier("default", 1_000_000), tier("a-team"), tier("zeta"), tier("late", 1_000_001)) == [
        "a-team",
        "default",
        "zeta",
        "late",
    ]


def test_tiers_that_nobody_defined_come_last_by_name_and_deny():
    steps = tiers_in_order([tier("late", 1e300, "Pass")], [policy(tier="z"), policy(tier="g"), policy(tier="late")])

    assert steps == (
        Step("late", default_deny=False, exists=True),
        Step("g", default_deny=True, exists=False),
        Step("z", default_deny=True, exists=False),
    )


def in_order(*policies):
    return [(p.metadata.name, p.metadata.namespace, p.kind) for p in sorted(policies, key=policy_key)]


def test_a_policy_without_order_comes_after_any_number():
    assert policy_key(policy("a", order=None))[0] == inf
    assert in_order(policy("a"), policy("z", order=1e308)) == [
        ("z", "", "GlobalNetworkPolicy"),
        ("a", "", "GlobalNetworkPolicy"),
    ]


def test_equal_orders_compare_the_text_name_namespace_kind():
    assert in_order(policy("a", "z"), policy("a-b", "z"), policy("a.b", "z"), policy("a")) == [
        ("a-b", "z", "NetworkPolicy"),
        ("a.b", "z", "NetworkPolicy"),
        ("a", "", "GlobalNetworkPolicy"),
        ("a", "z", "NetworkPolicy"),
    ]
