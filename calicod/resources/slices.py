"""EndpointSlice: the addresses and ports behind a service (semantics 2.12).

Law: an endpoint counts whether it is ready or not; names are never resolved; a port without a number is none.
"""

from collections.abc import Callable

import msgspec

from calicod.model.network import V4_LENGTH, V6_LENGTH
from calicod.model.protocol import TCP
from calicod.resources.document import Mapping, Node
from calicod.resources.kinds import EndpointSlice, Metadata
from calicod.resources.networks import address
from calicod.resources.objects import read_some, words
from calicod.resources.ports import port_number, port_protocol
from calicod.resources.report import Report
from calicod.resources.scalars import Reader, choice, quoted, text
from calicod.resources.table import Field, Fields, find, list_of

SERVICE = "kubernetes.io/service-name"
LENGTHS = {"IPv4": V4_LENGTH, "IPv6": V6_LENGTH, "FQDN": 0}
"""The types of addresses, with the length of one in bytes; 0: it is a name."""


class _Port(msgspec.Struct):
    protocol: int = TCP
    port: int = 0


class _Endpoint(msgspec.Struct):
    addresses: tuple[bytes, ...] = ()


class _Slice(msgspec.Struct):
    endpoints: tuple[_Endpoint, ...] = ()
    ports: tuple[_Port, ...] = ()


def endpoint_slice(_: Mapping, metadata: Metadata, report: Report) -> EndpointSlice | None:
    """What is written beside metadata; a slice of names has no addresses."""
    kind = find(report.root, "addressType")
    if kind is None:
        report.error("P041", report.root, 'field "addressType" is missing', field="addressType")
    found = "FQDN" if kind is None else _TYPE(kind, report)
    if found is None:
        return None
    make: Callable[..., _Slice] = _Slice
    written = make(**read_some(report.root, TABLES[found], SLICE_ELSE, report))
    return EndpointSlice(
        metadata=metadata,
        service=metadata.labels.get(SERVICE, ""),
        addresses=tuple(dict.fromkeys(a for endpoint in written.endpoints for a in endpoint.addresses)),
        ports=tuple(dict.fromkeys((port.protocol, port.port) for port in written.ports if port.port)),
        place=report.place(report.root),
    )


def _of_length(length: int) -> Reader[bytes]:
    """An address of this many bytes; 0: a name, of which nothing is kept."""
    read_address = address("P041")

    def read(node: Node, report: Report) -> bytes | None:
        if not length:
            text(node, report)
            return None
        found = read_address(node, report)
        if found and len(found) != length:
            report.error("P041", node, f"{quoted(node.value)} is not of this addressType")
        return found

    return read


def _table(length: int) -> Fields:
    endpoint: Fields = {"addresses": Field("addresses", list_of(_of_length(length)))}

    def read_endpoint(node: Node, report: Report) -> _Endpoint:
        make: Callable[..., _Endpoint] = _Endpoint
        return make(**read_some(node, endpoint, ENDPOINT_ELSE, report))

    return {"endpoints": Field("endpoints", list_of(read_endpoint)), "ports": Field("ports", list_of(_port))}


def _port(node: Node, report: Report) -> _Port:
    make: Callable[..., _Port] = _Port
    return make(**read_some(node, PORT, PORT_ELSE, report))


_TYPE = choice(tuple(LENGTHS), "P041")
PORT: Fields = {"protocol": Field("protocol", port_protocol), "port": Field("port", port_number)}
PORT_ELSE = words("name appProtocol")
ENDPOINT_ELSE = words("conditions deprecatedTopology hints hostname nodeName targetRef zone")
SLICE_ELSE = words("apiVersion kind metadata addressType")
TABLES = {name: _table(length) for name, length in LENGTHS.items()}
