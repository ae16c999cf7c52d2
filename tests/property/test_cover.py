"""What the lint of shadowed rules says is certain: by the tests of the engines, packet by packet."""

from itertools import product

from hypothesis import given, note
from hypothesis import strategies as st

from calicod.compiler.compile import compile
from calicod.compiler.lints.cover import apart, covers
from calicod.fields.sets import Sets
from calicod.fields.table import FIELDS
from calicod.model.action import Action
from calicod.model.ports import PortRange
from calicod.model.protocol import ICMP, ICMPV6, TCP, UDP, Protocol
from calicod.packet.value import Packet
from calicod.resources.kinds import EntityRule, IcmpMatch, Metadata, Policy, Rule, ServiceAccountMatch
from calicod.resources.snapshot import snapshot
from calicod.selector.parser import parse
from tests.unit.compiler.build import addr, net, network_set, port, workload

NETS = tuple(map(net, ("10.0.0.0/8", "10.65.0.0/24", "10.65.0.2/32", "0.0.0.0/0")))
NETS_6 = tuple(map(net, ("fd00::/16", "fd00::2/128", "::/0")))
SELECTORS = tuple(map(parse, ("all()", "has(a)", "a == 'x'", "has(a) && b != 'y'", "!has(a)", "a == 'x' && has(a)")))
PORTS = (PortRange(80, 80), PortRange(80, 90), PortRange(1, 65535), "web")
PEOPLE = (
    workload("w", addresses=("10.65.0.2", "fd00::2"), labels={"a": "x", "b": "y"}, ports=(port("web", 80),)),
    workload("v", addresses=("10.65.0.3",), labels={"a": "x"}, ports=(port("web", 85),), service_account_name="s"),
    workload("t", addresses=("10.65.0.2",), labels={"b": "z"}),  # an address that two share
    workload("u", "b", addresses=("10.65.0.4",), labels={"b": "z"}),
    network_set("s", "", ("10.1.0.0/16",), {"a": "x"}),
)
ADDRESSES = tuple(map(addr, ("10.65.0.2", "10.65.0.3", "10.65.0.4", "10.1.2.3", "fd00::2", "fd00::9")))
PACKETS = [
    Packet(4 if len(src) == 4 else 6, protocol, src, dst, sport, dport, icmp_type=kind)
    for src, dst in product(ADDRESSES, ADDRESSES)
    if len(src) == len(dst)
    for protocol, sport, dport, kind in (
        (TCP, 1000, 80, -1),
        (TCP, 80, 85, -1),
        (UDP, 80, 80, -1),
        (ICMP if len(src) == 4 else ICMPV6, -1, -1, 8),
        (47, -1, -1, -1),
    )
]


def few(values) -> st.SearchStrategy:
    return st.just(()) | st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True).map(tuple)


def maybe(values) -> st.SearchStrategy:
    return st.none() | st.sampled_from(values)


@st.composite
def entities(draw, family: int, ports: bool) -> EntityRule:
    nets = NETS if family == 4 else NETS_6
    return EntityRule(
        nets=draw(few(nets)),
        not_nets=draw(few(nets[1:])),
        ports=draw(few(PORTS)) if ports else (),
        not_ports=draw(few(PORTS)) if ports else (),
        selector=draw(maybe(SELECTORS)),
        not_selector=draw(maybe(SELECTORS)),
        namespace_selector=draw(maybe(SELECTORS)),
        service_accounts=draw(maybe((ServiceAccountMatch(("s",)),))),
    )


@st.composite
def rules(draw) -> Rule:
    family = draw(st.sampled_from((4, 6)))
    number = draw(maybe((TCP, UDP, ICMP, 47)))
    ports = number in {TCP, UDP}
    icmp = draw(maybe((IcmpMatch(), IcmpMatch(8), IcmpMatch(8, 0)))) if number == ICMP else None
    return Rule(
        action=Action.ALLOW,
        ip_version=draw(maybe((family,))),
        protocol=None if number is None else Protocol(number, 4 if number == ICMP else None),
        not_protocol=draw(maybe((Protocol(UDP), Protocol(47)))),
        icmp=icmp,
        not_icmp=draw(maybe((IcmpMatch(8),))) if number == ICMP else None,
        source=draw(entities(family, ports)),
        destination=draw(entities(family, ports)),
    )


def plainer(rule: Rule, keep: int) -> Rule:
    """The rule without some of its criteria, so that covering is no rare accident."""
    bits = iter(range(64))

    def some(value, bare):
        return value if keep >> next(bits) & 1 else bare

    def entity(side: EntityRule) -> EntityRule:
        return EntityRule(
            **{name: some(getattr(side, name), getattr(EntityRule(), name)) for name in EntityRule.__struct_fields__}
        )

    source, destination = entity(rule.source), entity(rule.destination)
    return Rule(
        action=rule.action,
        ip_version=some(rule.ip_version, None),
        protocol=rule.protocol,
        not_protocol=some(rule.not_protocol, None),
        icmp=some(rule.icmp, None),
        not_icmp=some(rule.not_icmp, None),
        source=source,
        destination=destination,
    )


def matched(rule: Rule, namespace: str) -> set[int]:
    """The packets that the rule matches, as the linear engine tests them."""
    kind = "NetworkPolicy" if namespace else "GlobalNetworkPolicy"
    policy = Policy(kind=kind, metadata=Metadata(name="p", namespace=namespace), ingress=(rule,))
    ruleset = compile(snapshot([policy, *PEOPLE]), None).ruleset
    (compiled,), sets = ruleset.policies[0].ingress, Sets(ruleset.ip_sets)
    return {n for n, packet in enumerate(PACKETS) if all(field.test(compiled, packet, sets) for field in FIELDS)}


@given(rules(), st.integers(0, 2**22 - 1), rules(), st.sampled_from(("a", "")))
def test_a_rule_that_covers_matches_whatever_the_other_matches(narrow: Rule, keep: int, other: Rule, namespace: str):
    for wide in (plainer(narrow, keep), other):
        if covers(wide, narrow, namespace):
            note(f"{wide}\n{narrow}")
            assert matched(narrow, namespace) <= matched(wide, namespace)


@given(rules(), rules())
def test_no_packet_matches_two_rules_that_are_apart(one: Rule, other: Rule):
    if apart(one, other):
        assert not matched(one, "a") & matched(other, "a")
