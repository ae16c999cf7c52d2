"""The sets of addresses that rules name: what they are, and who is in them.

Law: one text, one set; rules that mean the same set share it. Members come from every endpoint, network set and slice
of a service of the snapshot, remote ones too, and from nothing else.
"""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from calicod.compiler.endpoints import Source
from calicod.compiler.labels import LabelIndex, positions_of
from calicod.compiler.memory import Memo
from calicod.compiler.ranges import Ranges, ranges_of, ranges_of_addresses, union
from calicod.model.network import Network
from calicod.model.protocol import protocol_name
from calicod.resources.kinds import EndpointSlice
from calicod.ruleset.program import IPSet
from calicod.selector.tree import Selector


class SelectorSet(msgspec.Struct, frozen=True):
    """The addresses of whatever matches a selector (semantics 2.9)."""

    text: str
    selector: Selector


class NetsSet(msgspec.Struct, frozen=True):
    """The addresses of a list of networks (semantics 2.6)."""

    text: str
    nets: tuple[Network, ...]


class PortsSet(msgspec.Struct, frozen=True):
    """Address, protocol and number of each endpoint port of one name (semantics 2.8); `protocol` None: any."""

    text: str
    name: str
    protocol: int | None
    selector: Selector | None


class ServiceSet(msgspec.Struct, frozen=True):
    """The addresses behind a service (semantics 2.12); `with_ports`: each with the protocols and ports it has there."""

    text: str
    namespace: str
    name: str
    with_ports: bool


Definition = SelectorSet | NetsSet | PortsSet | ServiceSet


def selector_set(selector: Selector) -> SelectorSet:
    """Known by its canonical text."""
    return SelectorSet(f"selector {selector}", selector)


def nets_set(nets: Iterable[Network]) -> NetsSet:
    """Known by its networks, in whatever order they were written."""
    unique = tuple(sorted(set(nets)))
    return NetsSet(f"nets {', '.join(str(net) for net in unique)}", unique)


def ports_set(name: str, protocol: int | None, selector: Selector | None) -> PortsSet:
    """Known by all three."""
    of = "" if protocol is None else f" {protocol_name(protocol)}"
    among = "" if selector is None else f" of {selector}"
    return PortsSet(f"port {name}{of}{among}", name, protocol, selector)


def service_set(namespace: str, name: str, *, with_ports: bool) -> ServiceSet:
    """Known by the service, and by what of it is meant."""
    of = "ports of " if with_ports else ""
    return ServiceSet(f"{of}service {namespace}/{name}", namespace, name, with_ports)


class Members:
    """Answers who is in a set, for a fixed sequence of sources and slices of services.

    `without_slices`: the services, by namespace and name, that were asked for last and are not there.
    """

    def __init__(self, sources: tuple[Source, ...], slices: Iterable[EndpointSlice] = ()) -> None:
        self._sources = sources
        self.without_slices: set[tuple[str, str]] = set()
        self._services: dict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
        for part in slices:
            if part.service:
                self._services[part.metadata.namespace, part.service].append(part)
        self._index = LabelIndex([source.labels for source in sources])
        self._sets: Memo[str, Definition, IPSet] = Memo()
        self._unions: Memo[int, None, Ranges] = Memo()
        self._ports: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for position, source in enumerate(sources):
            for port in source.ports:
                self._ports[port.name].append((position, port.protocol, port.port))

    def fill(self, definitions: Iterable[Definition]) -> tuple[IPSet, ...]:
        """The sets, in this order."""
        asked = tuple(definitions)
        filled = tuple(self._sets.get(definition.text, definition, self._fill) for definition in asked)
        services = {(wanted.namespace, wanted.name) for wanted in asked if isinstance(wanted, ServiceSet)}
        self.without_slices = services - self._services.keys()
        self._sets.turn()
        self._unions.turn()
        return filled

    def matching(self, selector: Selector) -> int:
        """The bits of the sources that a selector matches."""
        return self._index.select(selector)

    def _fill(self, definition: Definition) -> IPSet:
        match definition:
            case SelectorSet(text, selector):
                ranges = self._matching(self._index.select(selector))
                return IPSet(text, v4=ranges.v4, v6=ranges.v6)
            case NetsSet(text, nets):
                ranges = ranges_of(nets)
                return IPSet(text, v4=ranges.v4, v6=ranges.v6)
            case PortsSet(text, name, protocol, selector):
                return IPSet(text, ports=self._named(name, protocol, selector))
            case ServiceSet(text, namespace, name, with_ports):
                slices = self._services.get((namespace, name), ())
                if with_ports:
                    return IPSet(text, ports=behind(slices))
                ranges = ranges_of_addresses(address for part in slices for address in part.addresses)
                return IPSet(text, v4=ranges.v4, v6=ranges.v6)

    def _matching(self, bits: int) -> Ranges:
        def make(_: None) -> Ranges:
            return union(self._sources[position].ranges for position in positions_of(bits))

        return self._unions.get(bits, None, make)

    def _named(self, name: str, protocol: int | None, selector: Selector | None) -> tuple[tuple[bytes, int, int], ...]:
        bits = self._index.everything if selector is None else self._index.select(selector)
        members = {
            (address, number, port)
            for position, number, port in self._ports.get(name, ())
            if bits >> position & 1 and protocol in (None, number)
            for address in self._sources[position].addresses
        }
        return tuple(sorted(members))


def behind(slices: Iterable[EndpointSlice]) -> tuple[tuple[bytes, int, int], ...]:
    """Address, protocol and port of each endpoint of some slices; the ports of one belong to its addresses alone."""
    members = {(address, *port) for part in slices for address in part.addresses for port in part.ports}
    return tuple(sorted(members))
