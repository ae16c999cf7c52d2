"""One policy at a time (semantics 2.3 to 2.8)."""

import msgspec
import pytest

from calicod.compiler.rules import PROFILE_TIER, Template, idle, missing_profile, numbered, policy_template
from calicod.model.action import Action
from calicod.model.ports import PortRange
from calicod.model.protocol import ICMP, ICMPV6, TCP, Protocol
from calicod.resources.kinds import EntityRule, IcmpMatch, ServiceMatch
from calicod.ruleset.program import BOTH_FAMILIES, FAMILY_4, FAMILY_6, CompiledRule, PortMatch
from tests.unit.compiler.build import entity, place, policy, rule, tcp_rule

V4, V6 = ("10.0.0.0/8",), ("fd00::/8",)


def only(written, namespace: str = "") -> CompiledRule:
    return policy_template(policy("p", namespace, ingress=(written,))).policy.ingress[0]


def sets(template: Template) -> list[str]:
    return [definition.text for definition in template.definitions]


@pytest.mark.parametrize(
    ("fields", "families"),
    [
        ({}, BOTH_FAMILIES),
        ({"ip_version": 4}, FAMILY_4),
        ({"ip_version": 6}, FAMILY_6),
        ({"protocol": Protocol(ICMP, 4)}, FAMILY_4),
        ({"protocol": Protocol(ICMPV6, 6)}, FAMILY_6),
        ({"protocol": Protocol(ICMP)}, BOTH_FAMILIES),
        ({"protocol": Protocol(ICMP), "icmp": IcmpMatch(8)}, FAMILY_4),
        ({"protocol": Protocol(ICMPV6), "icmp": IcmpMatch(128)}, FAMILY_6),
        ({"protocol": Protocol(ICMP), "icmp": IcmpMatch()}, BOTH_FAMILIES),
        ({"not_protocol": Protocol(ICMP, 4)}, BOTH_FAMILIES),
        ({"source": entity(nets=V4)}, FAMILY_4),
        ({"source": entity(nets=V4 + V6)}, BOTH_FAMILIES),
        ({"source": entity(not_nets=V6)}, FAMILY_6),
        ({"source": entity(nets=V4), "destination": entity(nets=V6)}, 0),
        ({"source": entity(nets=V4), "destination": entity(not_nets=V6)}, 0),
        ({"ip_version": 4, "source": entity(not_nets=V6)}, 0),
        ({"source": entity(not_nets=("0.0.0.0/0", "fd00::/8"))}, FAMILY_6),
        ({"source": entity(not_nets=("::/0",))}, 0),
        ({"source": entity(nets=("0.0.0.0/0",))}, FAMILY_4),
    ],
)
def test_the_families_that_a_rule_can_match(fields: dict[str, object], families: int):
    assert only(rule(**fields)).families == families


def test_every_criterion_is_carried_over():
    written = rule(
        "Deny",
        protocol=Protocol(ICMP, 4),
        not_protocol=Protocol(TCP),
        icmp=IcmpMatch(3, 1),
        not_icmp=IcmpMatch(8, 0),
        place=place(7),
    )

    assert only(written) == CompiledRule(
        action=Action.DENY,
        index=0,
        place=place(7),
        families=FAMILY_4,
        protocol=ICMP,
        not_protocol=TCP,
        icmp_type=3,
        icmp_code=1,
        not_icmp_type=8,
        not_icmp_code=0,
    )


def test_each_side_has_its_own_sets_and_ports():
    template = policy_template(
        policy(
            ingress=(
                tcp_rule(
                    source=entity("has(a)", nets=V4, not_nets=("10.1.0.0/16",), ports=(80, "http"), not_ports=("x",)),
                    destination=entity(not_selector="has(b)", ports=("http",), not_ports=(443,)),
                ),
            )
        )
    )

    assert sets(template) == [
        "selector has(a)",
        "nets 10.0.0.0/8",
        "nets 10.1.0.0/16",
        "port http tcp of has(a)",
        "port x tcp of has(a)",
        "selector has(b)",
        "port http tcp",
    ]
    compiled = template.policy.ingress[0]
    assert (compiled.source_sets, compiled.not_source_sets) == ((0, 1), (2,))
    assert (compiled.destination_sets, compiled.not_destination_sets) == ((), (5,))
    assert compiled.source_ports == PortMatch((PortRange(80, 80),), (3,))
    assert compiled.not_source_ports == PortMatch((), (4,))
    assert compiled.destination_ports == PortMatch((), (6,))
    assert compiled.not_destination_ports == PortMatch((PortRange(443, 443),), ())


def test_a_folded_not_selector_limits_named_ports_too():
    written = tcp_rule(destination=entity("has(a)", not_selector="has(b)", ports=("http",)))

    assert sets(policy_template(policy(ingress=(written,)))) == [
        "selector (has(a) && !has(b))",
        "port http tcp of (has(a) && !has(b))",
    ]


def test_a_named_port_in_a_namespaced_policy_is_not_limited_to_it():
    assert sets(policy_template(policy("p", "a", ingress=(rule(destination=entity(ports=("http",))),)))) == [
        "port http"
    ]


def test_rules_share_the_sets_of_their_policy():
    written = rule(source=entity("has(a)"))

    template = policy_template(policy(ingress=(written, written), egress=(written,), governs_egress=True))

    assert sets(template) == ["selector has(a)"]
    assert [r.index for r in template.policy.ingress] == [0, 1]


def test_rules_of_a_direction_that_is_not_governed_are_ignored():
    template = policy_template(policy(ingress=(rule(source=entity("has(a)")),), governs_ingress=False))

    assert template.policy.ingress == ()
    assert template.definitions == ()


def test_a_policy_that_governs_nobody_keeps_its_rules_without_criteria():
    compiled = idle(policy(ingress=(tcp_rule("Deny", source=entity("has(a)"), place=place(3)),)))

    assert compiled.ingress == (CompiledRule(action=Action.DENY, index=0, place=place(3), families=0),)


def test_a_missing_profile_denies_both_ways():
    compiled = missing_profile("gone").policy

    assert (compiled.kind, compiled.tier, compiled.name) == ("Profile", PROFILE_TIER, "gone")
    assert compiled.ingress == compiled.egress == (CompiledRule(action=Action.DENY, index=0),)


def test_numbering_changes_every_reference_and_nothing_else():
    written = tcp_rule(
        source=entity("has(a)", nets=V4, not_nets=("10.1.0.0/16",), ports=(80, "http")),
        destination=entity(not_selector="has(b)", not_ports=("x",)),
    )
    template = policy_template(policy(ingress=(written,)))
    before = template.policy.ingress[0]

    shifted = numbered(template, tuple(range(10, 10 + len(template.definitions))))

    assert shifted.ingress == (
        msgspec.structs.replace(
            before,
            source_sets=(10, 11),
            not_source_sets=(12,),
            source_ports=PortMatch((PortRange(80, 80),), (13,)),
            not_destination_sets=(14,),
            not_destination_ports=PortMatch((), (15,)),
        ),
    )


def test_numbers_that_are_the_same_change_nothing():
    template = policy_template(policy(ingress=(rule(source=entity("has(a)")),)))

    assert numbered(template, (0,)) is template.policy


OF_WEB = EntityRule(services=ServiceMatch("web"))


def test_services_of_the_source_are_addresses_and_those_of_the_destination_ports_of_addresses():
    template = policy_template(
        policy("p", "a", ingress=(rule(source=OF_WEB),), egress=(rule(destination=OF_WEB),), governs_egress=True)
    )
    (ingress,), (egress,) = template.policy.ingress, template.policy.egress

    assert sets(template) == ["service a/web", "ports of service a/web"]
    assert (ingress.source_sets, ingress.source_ports) == ((0,), None)
    assert (egress.destination_sets, egress.destination_ports) == ((), PortMatch(named=(1,)))


def test_services_of_the_source_stand_beside_its_ports():
    written = EntityRule(services=ServiceMatch("web", "b"), ports=(PortRange(80, 80),))
    template = policy_template(policy("p", "a", ingress=(tcp_rule(source=written),)))

    assert sets(template) == ["service b/web"]
    assert template.policy.ingress[0].source_ports == PortMatch(ranges=(PortRange(80, 80),))
