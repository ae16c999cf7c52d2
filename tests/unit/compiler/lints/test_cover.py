"""Pairs of rules; that "yes" is always right is proved by tests/property/test_cover.py."""

import pytest

from calicod.compiler.lints.cover import apart, conjuncts, covers, is_unconditional
from calicod.model.protocol import ICMP, TCP, UDP, Protocol
from calicod.resources.kinds import IcmpMatch, ServiceAccountMatch
from calicod.selector.parser import parse
from tests.unit.compiler.build import entity, place, rule, tcp_rule

PING = rule(protocol=Protocol(ICMP, 4), icmp=IcmpMatch(8))


def src(**fields: object):
    return rule(source=entity(**fields))


def dst(**fields: object):
    return tcp_rule(destination=entity(**fields))


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        (rule(), rule()),
        (rule(), tcp_rule()),
        (rule(), PING),
        (tcp_rule(), dst(ports=(80,))),
        (dst(ports=(80, "web")), dst(ports=("web",))),
        (rule(not_protocol=Protocol(UDP)), tcp_rule()),
        (rule(not_protocol=Protocol(UDP)), rule(not_protocol=Protocol(UDP), ip_version=4)),
        (rule(protocol=Protocol(ICMP, 4)), PING),
        (PING, rule(protocol=Protocol(ICMP, 4), icmp=IcmpMatch(8, 0))),
        (rule(ip_version=4), src(nets=("10.0.0.0/8",))),
        (src(nets=("10.0.0.0/8", "192.0.2.0/24")), src(nets=("10.1.0.0/16", "10.0.0.0/8"))),
        (src(not_nets=("10.1.0.0/16",)), src(not_nets=("10.0.0.0/8",))),
        (dst(not_ports=(80,)), dst(not_ports=(80, 81))),
        (src(selector="has(a)"), src(selector="b == 'x' && has(a)")),
        (src(selector="all()"), src(selector="has(a)")),
        (src(not_selector="has(a)"), src(not_selector="has(a)", nets=("10.0.0.0/8",))),
        (src(namespace_selector="has(a)"), src(namespace_selector="has(a)", selector="has(b)")),
    ],
)
def test_fewer_criteria_or_wider_ones_cover(wide, narrow):
    assert covers(wide, narrow, "a")


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        (tcp_rule(), rule()),
        (tcp_rule(), rule(protocol=Protocol(UDP))),
        (rule(not_protocol=Protocol(TCP)), tcp_rule()),
        (rule(not_protocol=Protocol(TCP)), rule()),
        (PING, rule(protocol=Protocol(ICMP, 4))),
        (PING, rule(protocol=Protocol(ICMP, 4), icmp=IcmpMatch(0))),
        (rule(not_icmp=IcmpMatch(8)), rule()),
        (rule(ip_version=4), rule()),
        (src(nets=("10.0.0.0/8",)), src(nets=("10.0.0.0/8", "192.0.2.0/24"))),
        (src(nets=("10.0.0.0/8",)), rule()),
        (src(not_nets=("10.0.0.0/8",)), src(not_nets=("10.1.0.0/16",))),
        (dst(ports=(80,)), dst(ports=(80, 81))),
        (dst(ports=(80,)), tcp_rule()),
        (dst(not_ports=(80, 81)), dst(not_ports=(80,))),
        (dst(ports=("web",)), dst(ports=("web",), selector="has(a)")),
        (src(selector="has(a)"), src(selector="has(b)")),
        (src(selector="has(a)"), rule()),
        (src(selector="all()"), rule()),
        (src(nets=("10.0.0.0/8",)), rule(destination=entity(nets=("10.0.0.0/8",)))),
    ],
)
def test_what_is_not_certain_does_not_cover(wide, narrow):
    assert not covers(wide, narrow, "a")


def test_an_excluded_set_is_one_of_addresses_which_endpoints_may_share():
    """In a namespaced policy the namespace is chosen, so what is excluded is excluded among its endpoints."""
    wide, narrow = src(not_selector="has(a)"), src(selector="has(b)", not_selector="has(a)")

    assert covers(wide, narrow, "a")
    assert not covers(wide, narrow, "")


def test_service_accounts_are_criteria_like_any_other():
    named = rule(source=entity().__class__(service_accounts=ServiceAccountMatch(("x",))))

    assert covers(rule(), named, "a")
    assert covers(named, named, "a")
    assert not covers(named, rule(), "a")


def test_a_rule_without_criteria_is_unconditional_wherever_it_stands():
    assert is_unconditional(rule("Deny", place=place(3)))
    assert not is_unconditional(rule(ip_version=4))


@pytest.mark.parametrize(
    ("one", "other", "are_apart"),
    [
        (tcp_rule(), rule(protocol=Protocol(UDP)), True),
        (rule(ip_version=4), rule(ip_version=6), True),
        (src(nets=("10.0.0.0/8",)), src(nets=("192.0.2.0/24",)), True),
        (dst(ports=(80,)), dst(ports=(81, 82)), True),
        (tcp_rule(), rule(), False),
        (src(nets=("10.0.0.0/8",)), src(nets=("10.1.0.0/16",)), False),
        (dst(ports=(80,)), dst(ports=("web",)), False),
        (src(selector="has(a)"), src(selector="!has(a)"), False),
    ],
)
def test_rules_are_apart_only_if_their_numbers_say_so(one, other, are_apart):
    assert (apart(one, other), apart(other, one)) == (are_apart, are_apart)


def test_the_parts_of_a_disjunction_need_not_all_hold():
    either = parse("has(a) || has(b)")

    assert conjuncts(either) == {either}
