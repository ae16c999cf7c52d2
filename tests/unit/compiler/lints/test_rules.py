import pytest
from msgspec.structs import replace

from calicod.compiler.lints.rules import MOST, ending, of_policy
from calicod.model.ports import PortRange
from calicod.resources.kinds import EntityRule
from tests.unit.compiler.build import entity, place, policy, rule, tcp_rule

ANY = rule("Allow")
WEB = tcp_rule("Deny", destination=entity(ports=(80,)))


def told(*rules, **fields: object) -> list[tuple[str, str]]:
    return [(d.code, d.path) for d in of_policy(policy(ingress=rules, **fields))]


@pytest.mark.parametrize("action", ["Allow", "Deny", "Pass"])
def test_what_stands_behind_a_rule_for_everything_is_never_reached(action):
    (found,) = of_policy(policy(ingress=(WEB, rule(action), tcp_rule("Allow", place=place(9)), WEB)))

    assert (found.code, found.path, found.place) == ("W059", "spec.ingress[2]", place(9))
    assert found.message == f"never reached, nor are the 1 behind it: rule 1 ({action}) matches everything"


def test_behind_a_log_for_everything_the_policy_goes_on():
    assert told(rule("Log"), WEB, ANY) == []


def test_both_directions_are_looked_at():
    found = of_policy(policy(ingress=(ANY, WEB), egress=(ANY, ANY), governs_egress=True))

    assert [d.path for d in found] == ["spec.ingress[1]", "spec.egress[1]"]


def test_a_rule_that_an_earlier_one_covers_is_told_with_its_taker():
    narrow = tcp_rule("Allow", source=entity(nets=("10.1.0.0/16",)), destination=entity(ports=(80,)))

    (found,) = of_policy(policy(ingress=(tcp_rule("Log"), WEB, narrow)))

    assert (found.code, found.path) == ("W060", "spec.ingress[2]")
    assert found.message == "never matches: rule 1 (Deny) takes every packet that it could"
    assert found.hint == "move it before rule 1, or remove it"


def test_a_repeated_rule_need_only_be_removed():
    (found,) = of_policy(policy(ingress=(WEB, WEB)))

    assert (found.code, found.hint) == ("W060", "remove it")


def test_the_rule_for_everything_at_the_end_is_what_one_writes():
    assert told(WEB, tcp_rule(), ANY) == []


def test_rules_of_a_direction_that_types_leaves_out_are_told_once():
    assert told(ANY, WEB, governs_ingress=False, governs_egress=True) == [("W067", "spec.ingress")]


def test_a_policy_that_only_denies_has_nothing_to_tell():
    assert told() == []


def test_a_long_list_is_looked_at_as_far_as_it_stays_quick():
    rules = tuple(tcp_rule(destination=EntityRule(ports=(PortRange(n, n),))) for n in range(1, 1024))

    assert told(*rules, rules[MOST - 1]) == [("W060", "spec.ingress[1023]")]
    assert told(*rules, rules[MOST]) == []


def test_the_ending_is_the_first_rule_that_ends_it_for_everybody():
    assert [ending((WEB,)), ending((rule("Log"), WEB, ANY, ANY))] == [1, 2]


def test_rules_that_a_policy_of_kubernetes_becomes_are_nobodys_mistake():
    assert of_policy(replace(policy(ingress=(ANY, ANY)), kind="KubernetesNetworkPolicy")) == ()
