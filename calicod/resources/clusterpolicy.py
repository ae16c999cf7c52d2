"""ClusterNetworkPolicy, AdminNetworkPolicy and BaselineAdminNetworkPolicy as policies of Calico's (semantics 5.2).

Law: fails closed. A rule that calicod cannot express matches nothing if it allows, and denies everything if it denies
or passes. The conversion is a pure function of what was written.
"""

from collections.abc import Iterable, Iterator

import msgspec

from calicod.errors import NOWHERE, Place
from calicod.model.action import Action
from calicod.model.network import Network
from calicod.model.protocol import NUMBERS, Protocol
from calicod.resources.kinds import ANYONE, EntityRule, Metadata, Policy, Port, Rule
from calicod.resources.knp import merged, of_namespaces, of_pods
from calicod.resources.labelselectors import Terms


class PortEntry(msgspec.Struct, frozen=True):
    """One protocol with one port; `port` None: all of them; `protocol` None: the port is a name, of any protocol."""

    protocol: int | None = None
    port: Port | None = None


class Pods(msgspec.Struct, frozen=True):
    """Pods of namespaces; `pods` None: whatever is in the namespaces."""

    namespaces: Terms = ()
    pods: Terms | None = None


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `from` or `to`. `foreign`: why there is no saying it in Calico's words, "" if there is."""

    who: Pods | None = None
    nets: tuple[Network, ...] = ()
    foreign: str = ""
    place: Place = NOWHERE


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `ingress` or `egress`; without ports everything."""

    action: Action
    peers: tuple[Peer, ...] = ()
    ports: tuple[PortEntry, ...] = ()
    place: Place = NOWHERE

    @property
    def foreign(self) -> str:
        """Why the rule cannot be converted; "" if it can."""
        return next((peer.foreign for peer in self.peers if peer.foreign), "")


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """The `spec` of any of the three kinds; `order` None: a baseline without priority."""

    tier: str
    order: float | None = None
    subject: Pods = Pods()
    ingress: tuple[Entry, ...] = ()
    egress: tuple[Entry, ...] = ()


def converted(spec: Spec, kind: str, metadata: Metadata, place: Place) -> Policy:
    """The policy of Calico's. Without any rule it governs both directions, as in Calico; its tier passes at its end."""
    ingress, egress = tuple(rules(spec.ingress, incoming=True)), tuple(rules(spec.egress, incoming=False))
    return Policy(
        kind=kind,
        metadata=metadata,
        tier=spec.tier,
        order=spec.order,
        namespace_selector=of_namespaces(spec.subject.namespaces),
        selector=of_pods(spec.subject.pods or ()),
        governs_ingress=bool(ingress) or not egress,
        governs_egress=bool(egress) or not ingress,
        ingress=ingress,
        egress=egress,
        place=place,
    )


def rules(entries: Iterable[Entry], *, incoming: bool) -> Iterator[Rule]:
    """Protocols by name, then peers as written, in each entry; one that is foreign fails closed."""
    for entry in entries:
        if entry.foreign:
            if entry.action is not Action.ALLOW:
                yield Rule(action=Action.DENY, place=entry.place)
            continue
        for protocol, ports in by_protocol(entry.ports):
            for peer in entry.peers:
                far = entity(peer)
                yield Rule(
                    action=entry.action,
                    protocol=None if protocol is None else Protocol(protocol),
                    source=far if incoming else ANYONE,
                    destination=msgspec.structs.replace(ANYONE if incoming else far, ports=ports),
                    place=peer.place,
                )


def entity(peer: Peer) -> EntityRule:
    """The side of a rule that a peer stands for; namespaces alone are everything in them, network sets too."""
    if peer.who is None:
        return EntityRule(nets=peer.nets)
    pods = peer.who.pods
    return EntityRule(
        namespace_selector=of_namespaces(peer.who.namespaces), selector=None if pods is None else of_pods(pods)
    )


def by_protocol(entries: Iterable[PortEntry]) -> Iterator[tuple[int | None, tuple[Port, ...]]]:
    """Each protocol with its ports, names of any protocol first, then by name; a whole protocol leaves no ports."""
    found: dict[int | None, list[Port] | None] = {}
    for entry in entries:
        listed = found.setdefault(entry.protocol, [])
        if entry.port is None:
            found[entry.protocol] = None
        elif listed is not None:
            listed.append(entry.port)
    if not found:
        yield None, ()
    for protocol in sorted(found, key=lambda number: "" if number is None else NUMBERS[number]):
        yield protocol, merged(found[protocol] or ())
