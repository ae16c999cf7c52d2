"""Network policies of Kubernetes: their spec as values, and the policy of Calico's that means the same (semantics 5.1).

Law: the conversion is a pure function and drops nothing. Every rule allows; what denies is the end of the tier. What
the API of Kubernetes would refuse is refused where the spec is read (`knpspec`), never made wider here.
"""

from collections.abc import Iterable, Iterator

import msgspec

from calicod.errors import NOWHERE, Place
from calicod.model.action import Action
from calicod.model.network import Network
from calicod.model.ports import PortRange
from calicod.model.protocol import NUMBERS, Protocol
from calicod.resources.kinds import ANYONE, EntityRule, Metadata, Policy, Port, Rule
from calicod.resources.labelselectors import Terms, joined
from calicod.selector.tree import All, Equals, Selector

ORDER = 1000.0
TIER = "default"
POD = Equals("projectcalico.org/orchestrator", "k8s")
"""What only pods are."""


class PortEntry(msgspec.Struct, frozen=True):
    """An entry of `ports`; `port` None: every port of the protocol. `broken`: it names ports that do not exist."""

    protocol: int
    port: Port | None = None
    broken: bool = False


class Block(msgspec.Struct, frozen=True):
    """`ipBlock`."""

    cidr: Network
    excepted: tuple[Network, ...] = ()


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `from` or `to`; None: not given. Beside a block there are no selectors."""

    block: Block | None = None
    pods: Terms | None = None
    namespaces: Terms | None = None
    place: Place = NOWHERE


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `ingress` or `egress`; without peers anybody, without ports everything."""

    ports: tuple[PortEntry, ...] = ()
    peers: tuple[Peer, ...] = ()
    place: Place = NOWHERE


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """The `spec` of a NetworkPolicy of Kubernetes; `types` () is to be filled in, see `types_by_rules`."""

    pods: Terms = ()
    ingress: tuple[Entry, ...] = ()
    egress: tuple[Entry, ...] = ()
    types: tuple[str, ...] = ()


def types_by_rules(spec: Spec) -> tuple[str, ...]:
    """What the API fills in where `policyTypes` is absent: Ingress, and Egress if there are such rules.

    >>> types_by_rules(Spec()), types_by_rules(Spec(egress=(Entry(),)))
    (('Ingress',), ('Ingress', 'Egress'))
    """
    return ("Ingress", "Egress") if spec.egress else ("Ingress",)


def converted(spec: Spec, kind: str, metadata: Metadata, place: Place) -> Policy:
    """The policy of Calico's: `kind` KubernetesNetworkPolicy or StagedKubernetesNetworkPolicy."""
    types = spec.types or types_by_rules(spec)
    return Policy(
        kind=kind,
        metadata=metadata,
        tier=TIER,
        order=ORDER,
        selector=of_pods(spec.pods),
        governs_ingress="Ingress" in types,
        governs_egress="Egress" in types,
        ingress=tuple(rules(spec.ingress, incoming=True)),
        egress=tuple(rules(spec.egress, incoming=False)),
        place=place,
    )


def rules(entries: Iterable[Entry], *, incoming: bool) -> Iterator[Rule]:
    """Protocols by name, then peers as written, in each entry; one with a broken port is left out whole."""
    for entry in entries:
        if any(port.broken for port in entry.ports):
            continue
        for protocol, ports in by_protocol(entry.ports):
            for peer in entry.peers or (None,):
                far = entity(peer)
                near = msgspec.structs.replace(ANYONE if incoming else far, ports=ports)
                yield Rule(
                    action=Action.ALLOW,
                    protocol=None if protocol is None else Protocol(protocol),
                    source=far if incoming else ANYONE,
                    destination=near,
                    place=entry.place if peer is None else peer.place,
                )


def entity(peer: Peer | None) -> EntityRule:
    """The side of a rule that a peer stands for; pods without namespaces are those of the policy's own."""
    if peer is None:
        return ANYONE
    if peer.block is not None:
        return EntityRule(nets=(peer.block.cidr,), not_nets=peer.block.excepted)
    namespaces = None if peer.namespaces is None else of_namespaces(peer.namespaces)
    return EntityRule(selector=of_pods(peer.pods or ()), namespace_selector=namespaces)


def of_pods(terms: Terms) -> Selector | None:
    """A pod selector: nothing but pods, and of them those with all terms."""
    return joined((POD, *terms))


def of_namespaces(terms: Terms) -> Selector:
    """A namespace selector; an empty one is every namespace."""
    return joined(terms) or All()


def by_protocol(entries: Iterable[PortEntry]) -> Iterator[tuple[int | None, tuple[Port, ...]]]:
    """Each protocol with its ports, by name; an entry without a port leaves none. No entries: any protocol."""
    found: dict[int, list[Port] | None] = {}
    for entry in entries:
        listed = found.setdefault(entry.protocol, [])
        if entry.port is None:
            found[entry.protocol] = None
        elif listed is not None:
            listed.append(entry.port)
    if not found:
        yield None, ()
    for protocol in sorted(found, key=NUMBERS.__getitem__):
        yield protocol, merged(found[protocol] or ())


def merged(ports: Iterable[Port]) -> tuple[Port, ...]:
    """Names as written, then the fewest ranges that hold the same numbers.

    >>> [str(port) for port in merged([PortRange(81, 90), "web", PortRange(80, 80), PortRange(85, 95)])]
    ['web', '80:95']
    """
    given = tuple(ports)
    ranges: list[PortRange] = []
    for port in sorted(port for port in given if isinstance(port, PortRange)):
        if ranges and port.first <= ranges[-1].last + 1:
            ranges[-1] = PortRange(ranges[-1].first, max(ranges[-1].last, port.last))
        else:
            ranges.append(port)
    return (*dict.fromkeys(port for port in given if isinstance(port, str)), *ranges)
