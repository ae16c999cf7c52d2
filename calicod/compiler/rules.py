"""Rules as written become rules as tested, each policy by itself.

Law: depends on the policy alone, never on endpoints or on other policies. Every rule keeps its index and place, also
one that can never match. IP sets are numbered within the policy; `numbered` gives them their numbers in the RuleSet.
"""

from collections.abc import Iterable

import msgspec

from calicod.compiler.ipsets import Definition, nets_set, ports_set, selector_set, service_set
from calicod.compiler.selectors import sides
from calicod.model.action import Action
from calicod.model.network import Network
from calicod.model.ports import PortRange
from calicod.model.protocol import ICMP, ICMPV6
from calicod.resources.kinds import EntityRule, Policy, Port, Profile, Rule
from calicod.ruleset.program import (
    BOTH_FAMILIES,
    FAMILY_4,
    FAMILY_6,
    CompiledPolicy,
    CompiledRule,
    PortMatch,
)

PROFILE_TIER = "__PROFILE__"
FAMILIES = {4: FAMILY_4, 6: FAMILY_6}
ICMP_FAMILIES = {ICMP: FAMILY_4, ICMPV6: FAMILY_6}


class Template(msgspec.Struct, frozen=True):
    """A policy whose rules refer to its own `definitions`, by index."""

    policy: CompiledPolicy
    definitions: tuple[Definition, ...] = ()


class Side(msgspec.Struct, frozen=True):
    """The criteria of `source` or `destination`, with IP sets by index."""

    sets: tuple[int, ...]
    not_sets: tuple[int, ...]
    ports: PortMatch | None
    not_ports: PortMatch | None


class Definitions:
    """Gives each set of a policy its index, by order of first use."""

    def __init__(self) -> None:
        self._indexes: dict[str, int] = {}
        self._found: list[Definition] = []

    def index(self, definition: Definition) -> int:
        """The index of a set, new or not."""
        if definition.text not in self._indexes:
            self._indexes[definition.text] = len(self._found)
            self._found.append(definition)
        return self._indexes[definition.text]

    def all(self) -> tuple[Definition, ...]:
        """Every set so far, by index."""
        return tuple(self._found)


def policy_template(policy: Policy) -> Template:
    """The policy with the rules of the directions that it governs; others are ignored (semantics 1.4)."""
    found = Definitions()
    namespace = policy.metadata.namespace
    return Template(
        CompiledPolicy(
            kind=policy.kind,
            tier=policy.tier,
            namespace=namespace,
            name=policy.metadata.name,
            place=policy.place,
            staged=policy.is_staged,
            ingress=compiled(policy.ingress, namespace, found) if policy.governs_ingress else (),
            egress=compiled(policy.egress, namespace, found) if policy.governs_egress else (),
        ),
        found.all(),
    )


def idle(policy: Policy) -> CompiledPolicy:
    """A policy that governs no endpoint of this node: listed, but without criteria, so that it needs no IP sets."""

    def inert(rules: Iterable[Rule]) -> tuple[CompiledRule, ...]:
        return tuple(
            CompiledRule(action=rule.action, index=index, place=rule.place, families=0)
            for index, rule in enumerate(rules)
        )

    return CompiledPolicy(
        kind=policy.kind,
        tier=policy.tier,
        namespace=policy.metadata.namespace,
        name=policy.metadata.name,
        place=policy.place,
        staged=policy.is_staged,
        ingress=inert(policy.ingress) if policy.governs_ingress else (),
        egress=inert(policy.egress) if policy.governs_egress else (),
    )


def profile_template(profile: Profile) -> Template:
    """A profile; its rules have no namespace of their own."""
    found = Definitions()
    return Template(
        CompiledPolicy(
            kind=profile.kind,
            tier=PROFILE_TIER,
            namespace="",
            name=profile.metadata.name,
            place=profile.place,
            ingress=compiled(profile.ingress, "", found),
            egress=compiled(profile.egress, "", found),
        ),
        found.all(),
    )


def missing_profile(name: str) -> Template:
    """A profile that endpoints list and nobody wrote denies everything (semantics 1.9)."""
    deny = (CompiledRule(action=Action.DENY, index=0),)
    return Template(
        CompiledPolicy(kind="Profile", tier=PROFILE_TIER, namespace="", name=name, ingress=deny, egress=deny)
    )


def compiled(rules: Iterable[Rule], namespace: str, found: Definitions) -> tuple[CompiledRule, ...]:
    """The rules of one direction."""
    return tuple(compiled_rule(rule, index, namespace, found) for index, rule in enumerate(rules))


def compiled_rule(rule: Rule, index: int, namespace: str, found: Definitions) -> CompiledRule:
    """One rule; its sets are added to `found`."""
    protocol = rule.protocol.number if rule.protocol else None
    source = side(rule.source, protocol, namespace, found)
    destination = side(rule.destination, protocol, namespace, found, with_ports=True)
    return CompiledRule(
        action=rule.action,
        index=index,
        place=rule.place,
        families=families(rule),
        protocol=protocol,
        not_protocol=rule.not_protocol.number if rule.not_protocol else None,
        icmp_type=rule.icmp.type if rule.icmp else None,
        icmp_code=rule.icmp.code if rule.icmp else None,
        not_icmp_type=rule.not_icmp.type if rule.not_icmp else None,
        not_icmp_code=rule.not_icmp.code if rule.not_icmp else None,
        source_sets=source.sets,
        not_source_sets=source.not_sets,
        source_ports=source.ports,
        not_source_ports=source.not_ports,
        destination_sets=destination.sets,
        not_destination_sets=destination.not_sets,
        destination_ports=destination.ports,
        not_destination_ports=destination.not_ports,
    )


def side(
    entity: EntityRule, protocol: int | None, namespace: str, found: Definitions, *, with_ports: bool = False
) -> Side:
    """The criteria of one side of a rule; `with_ports`: a service there means its ports too (semantics 2.12)."""
    positive, negative = sides(entity, namespace)
    sets = [found.index(selector_set(positive))] if positive is not None else []
    not_sets = [found.index(selector_set(negative))] if negative is not None else []
    if entity.nets:
        sets.append(found.index(nets_set(entity.nets)))
    if entity.not_nets:
        not_sets.append(found.index(nets_set(entity.not_nets)))

    service = entity.services
    if service is not None:
        index = found.index(service_set(service.namespace or namespace, service.name, with_ports=with_ports))
        if with_ports:  # no other criteria stand beside it (R17, R18)
            return Side((), (), PortMatch(named=(index,)), None)
        sets.append(index)

    def match(ports: tuple[Port, ...]) -> PortMatch | None:
        if not ports:
            return None
        names = dict.fromkeys(port for port in ports if isinstance(port, str))
        return PortMatch(
            ranges=tuple(port for port in ports if isinstance(port, PortRange)),
            named=tuple(found.index(ports_set(name, protocol, positive)) for name in names),
        )

    return Side(tuple(sets), tuple(not_sets), match(entity.ports), match(entity.not_ports))


def families(rule: Rule) -> int:
    """The families whose packets the rule can match (semantics 2.3, 2.4)."""
    possible = FAMILIES[rule.ip_version] if rule.ip_version else BOTH_FAMILIES
    if rule.protocol and not rule.ip_version:
        if rule.protocol.family:
            possible &= FAMILIES[rule.protocol.family]
        elif rule.icmp and rule.icmp.type is not None:
            possible &= ICMP_FAMILIES.get(rule.protocol.number, BOTH_FAMILIES)
    for entity in (rule.source, rule.destination):
        possible &= families_within(entity.nets) & families_without(entity.not_nets)
    return possible


def families_within(nets: tuple[Network, ...]) -> int:
    """A list that has networks of one family only keeps the rule to that family; an empty one to none."""
    return sum({FAMILIES[net.family] for net in nets}) if nets else BOTH_FAMILIES


def families_without(nets: tuple[Network, ...]) -> int:
    """The same for a negative list (D15); one that excludes a whole family takes the rule from it."""
    whole = sum({FAMILIES[net.family] for net in nets if not net.length})
    return families_within(nets) & ~whole


def numbered(template: Template, numbers: tuple[int, ...]) -> CompiledPolicy:
    """The policy with the sets of its rules known by their numbers in the RuleSet: `numbers`, one a definition."""
    if numbers == tuple(range(len(numbers))):
        return template.policy
    policy = template.policy
    return msgspec.structs.replace(
        policy,
        ingress=tuple(_numbered_rule(rule, numbers) for rule in policy.ingress),
        egress=tuple(_numbered_rule(rule, numbers) for rule in policy.egress),
    )


def _numbered_rule(rule: CompiledRule, numbers: tuple[int, ...]) -> CompiledRule:
    def sets(indexes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(numbers[index] for index in indexes)

    def ports(match: PortMatch | None) -> PortMatch | None:
        return PortMatch(match.ranges, sets(match.named)) if match and match.named else match

    return msgspec.structs.replace(
        rule,
        source_sets=sets(rule.source_sets),
        not_source_sets=sets(rule.not_source_sets),
        destination_sets=sets(rule.destination_sets),
        not_destination_sets=sets(rule.not_destination_sets),
        source_ports=ports(rule.source_ports),
        not_source_ports=ports(rule.not_source_ports),
        destination_ports=ports(rule.destination_ports),
        not_destination_ports=ports(rule.not_destination_ports),
    )
