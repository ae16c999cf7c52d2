"""Whether one rule matches whatever another one matches.

Law: sound, not complete: "yes" is certain for every packet and every set of endpoints, "no" may mean "who knows". A
criterion that is not known here counts only if both rules have the same.
"""

from collections.abc import Callable, Iterable

from calicod.compiler.rules import families
from calicod.compiler.selectors import sides
from calicod.model.action import Action
from calicod.model.network import Network
from calicod.model.ports import PortRange
from calicod.model.protocol import Protocol
from calicod.resources.kinds import EntityRule, IcmpMatch, Port, Rule
from calicod.selector.tree import All, And, Selector

BARE_RULE = Rule(action=Action.ALLOW)
BARE_SIDE = EntityRule()
JUDGED = frozenset(
    "action place ip_version protocol not_protocol icmp not_icmp source destination".split()  # noqa: SIM905  # words
)
JUDGED_OF_SIDE = frozenset(
    "nets not_nets ports not_ports selector not_selector namespace_selector service_accounts".split()  # noqa: SIM905  # as above
)
OTHERS = tuple(name for name in Rule.__struct_fields__ if name not in JUDGED)
OTHERS_OF_SIDE = tuple(name for name in EntityRule.__struct_fields__ if name not in JUDGED_OF_SIDE)
BY_SELECTOR = ("selector", "not_selector", "namespace_selector", "service_accounts")


def is_unconditional(rule: Rule) -> bool:
    """No criterion at all: it matches every packet."""
    return Rule(action=rule.action, place=rule.place) == rule


def covers(wide: Rule, narrow: Rule, namespace: str) -> bool:
    """Every packet that `narrow` matches is one that `wide` matches; both of a policy of this namespace."""
    return (
        _protocols(wide, narrow)
        and _lists(wide.destination, narrow.destination)
        and _lists(wide.source, narrow.source)
        and _icmp(wide.icmp, narrow.icmp)
        and (_typeless(wide.not_icmp) or wide.not_icmp == narrow.not_icmp)
        and _same_or_absent(wide, narrow, OTHERS, BARE_RULE)
        and _rest_of_side(wide, narrow, "source", namespace)
        and _rest_of_side(wide, narrow, "destination", namespace)
        and not families(narrow) & ~families(wide)
    )


def apart(one: Rule, other: Rule) -> bool:
    """No packet can match both, as their families, protocols, numbers of ports and networks tell."""
    if not families(one) & families(other):
        return True
    ours, theirs = _number(one.protocol), _number(other.protocol)
    if None not in {ours, theirs} and ours != theirs:
        return True
    return any(_sides_apart(getattr(one, side), getattr(other, side)) for side in ("source", "destination"))


def _sides_apart(one: EntityRule, other: EntityRule) -> bool:
    return _no_common(one.nets, other.nets, _networks_meet) or _no_common(one.ports, other.ports, _ports_meet)


def _no_common(ones: tuple[object, ...], others: tuple[object, ...], meet: Callable[..., bool]) -> bool:
    return bool(ones and others) and not any(meet(one, other) for one in ones for other in others)


def _networks_meet(one: Network, other: Network) -> bool:
    return one.address in other or other.address in one


def _ports_meet(one: Port, other: Port) -> bool:
    if isinstance(one, PortRange) and isinstance(other, PortRange):
        return one.first <= other.last and other.first <= one.last
    return True  # nobody knows here which number a name has


def _same_or_absent(wide: object, narrow: object, names: Iterable[str], bare: object) -> bool:
    return all(getattr(wide, name) in (getattr(bare, name), getattr(narrow, name)) for name in names)


def _protocols(wide: Rule, narrow: Rule) -> bool:
    number = _number(narrow.protocol)
    if wide.protocol is not None and wide.protocol.number != number:
        return False
    refused = _number(wide.not_protocol)
    return refused is None or number not in {None, refused} or _number(narrow.not_protocol) == refused


def _typeless(match: IcmpMatch | None) -> bool:
    return match is None or match.type is None


def _icmp(wide: IcmpMatch | None, narrow: IcmpMatch | None) -> bool:
    if wide is None or wide.type is None:
        return True
    return narrow is not None and wide.type == narrow.type and wide.code in {None, narrow.code}


def _lists(wide: EntityRule, narrow: EntityRule) -> bool:
    """The networks and ports of a side; that a name of a port means the same comes later."""
    return wide == BARE_SIDE or (
        _each_within(narrow.ports, wide.ports, _port_within)
        and _each_within(narrow.nets, wide.nets, _network_within)
        and _excluded(wide.not_ports, narrow.not_ports, _port_within)
        and _excluded(wide.not_nets, narrow.not_nets, _network_within)
    )


def _port_within(inner: Port, outer: Port) -> bool:
    if isinstance(inner, PortRange) and isinstance(outer, PortRange):
        return outer.first <= inner.first and inner.last <= outer.last
    return inner == outer


def _rest_of_side(wide: Rule, narrow: Rule, side: str, namespace: str) -> bool:
    ours: EntityRule = getattr(wide, side)
    theirs: EntityRule = getattr(narrow, side)
    if ours == BARE_SIDE:
        return True
    named = any(isinstance(port, str) for port in (*ours.ports, *ours.not_ports))
    if named and not (
        # A name means the ports of the endpoints that the side selects, of the rule's protocol.
        _number(wide.protocol) == _number(narrow.protocol) and sides(ours, namespace)[0] == sides(theirs, namespace)[0]
    ):
        return False
    return _same_or_absent(ours, theirs, OTHERS_OF_SIDE, BARE_SIDE) and _selectors(ours, theirs, namespace)


def _number(protocol: Protocol | None) -> int | None:
    return protocol.number if protocol else None


def _each_within(narrow: tuple[object, ...], wide: tuple[object, ...], within: Callable[..., bool]) -> bool:
    """A list that is given is a restriction: each entry of the narrow one lies in one of the wide one."""
    if not wide:
        return True
    return bool(narrow) and all(any(within(inner, outer) for outer in wide) for inner in narrow)


def _excluded(wide: tuple[object, ...], narrow: tuple[object, ...], within: Callable[..., bool]) -> bool:
    """What the wide rule leaves out, the narrow one leaves out too."""
    return all(any(within(inner, outer) for outer in narrow) for inner in wide)


def _network_within(inner: Network, outer: Network) -> bool:
    return inner.length >= outer.length and inner.address in outer


def _selectors(wide: EntityRule, narrow: EntityRule, namespace: str) -> bool:
    if all(getattr(wide, name) is None for name in BY_SELECTOR):
        return True
    positive, negative = sides(wide, namespace)
    given, excluded = sides(narrow, namespace)
    # INVARIANT: a set is one of addresses, and two endpoints may share one: a negative set is only ever the same set.
    if negative is not None and negative != excluded:
        return False
    if positive is None:
        return True
    return given is not None and conjuncts(positive) - {All()} <= conjuncts(given)


def conjuncts(selector: Selector) -> frozenset[Selector]:
    """The parts that must all hold.

    >>> from calicod.selector.parser import parse
    >>> sorted(map(str, conjuncts(parse("a == 'x' && (has(b) && has(c))"))))
    ['a == "x"', 'has(b)', 'has(c)']
    """
    if isinstance(selector, And):
        return frozenset().union(*(conjuncts(operand) for operand in selector.operands))
    return frozenset((selector,))
