"""Protocols and ports in the cluster's own network policies, as written (semantics 5.2).

Law: a port belongs to a protocol, or is a name; nothing here is a range that runs backwards.
"""

from collections.abc import Callable, Iterable

import msgspec

from calicod.model.ports import PortRange
from calicod.model.protocol import SCTP, TCP, UDP
from calicod.resources.clusterpolicy import PortEntry
from calicod.resources.document import Node
from calicod.resources.names import is_port_name
from calicod.resources.ports import MAX_PORT
from calicod.resources.report import Report
from calicod.resources.scalars import Reader, between, choice, quoted, text
from calicod.resources.table import Field, Fields, find, is_mapping, read

CODE = "P040"
PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}
_NUMBER = between(1, MAX_PORT, CODE, "port")
_PROTOCOL = choice(tuple(PROTOCOLS), CODE)


class _Range(msgspec.Struct):
    first: int = 0
    last: int = 0
    protocol: str = "TCP"


def one_of(node: Node, names: Iterable[str], report: Report) -> bool:
    """Whether exactly one of these fields is given; reports it otherwise, unless it may be an unknown one."""
    names = tuple(names)
    given = [name for name in names if find(node, name) is not None]
    if len(given) != 1 and all(key.value in names for key, _ in node.value):
        said = f"found {' and '.join(given)}" if given else "found none"
        report.error(CODE, node, f"expected exactly one of {', '.join(names)}, {said}")
    return len(given) == 1


def cluster_protocol(node: Node, report: Report) -> PortEntry | None:
    """An entry of `protocols` in a ClusterNetworkPolicy."""
    return _only(node, CLUSTER_PROTOCOL, report)


def admin_port(node: Node, report: Report) -> PortEntry | None:
    """An entry of `ports` in an AdminNetworkPolicy; the protocol is TCP unless it is given."""
    return _only(node, ADMIN_PORT, report)


def _only(node: Node, table: Fields, report: Report) -> PortEntry | None:
    if not is_mapping(node, report):
        return None
    found = read(node, table, report).get("entry")
    return found if one_of(node, table, report) and isinstance(found, PortEntry) else None


def _of(protocol: int) -> Reader[PortEntry]:
    """`tcp: { destinationPort: … }`; without a port the whole protocol."""

    def read_protocol(node: Node, report: Report) -> PortEntry | None:
        if not is_mapping(node, report):
            return None
        port = read(node, {"destinationPort": Field("port", _port)}, report).get("port")
        return PortEntry(protocol, port if isinstance(port, PortRange) else None)

    return read_protocol


def _port(node: Node, report: Report) -> PortRange | None:
    if not is_mapping(node, report):
        return None
    values = read(node, NUMBER_OR_RANGE, report)
    one_of(node, NUMBER_OR_RANGE, report)
    number, ports = values.get("number"), values.get("range")
    if isinstance(number, int):
        return PortRange(number, number)
    return ports if isinstance(ports, PortRange) else None


def _range(node: Node, report: Report) -> PortRange | None:
    return _ordered(_Range(**read(node, RANGE, report)), node, report) if is_mapping(node, report) else None  # type: ignore[arg-type]  # by the table


def _ordered(found: _Range, node: Node, report: Report) -> PortRange:
    if found.first > found.last:
        report.error(CODE, node, f"port range {found.first} to {found.last} runs backwards")
    return PortRange(found.first, found.last)


def _admin_range(node: Node, report: Report) -> PortEntry | None:
    if not is_mapping(node, report):
        return None
    make: Callable[..., _Range] = _Range
    found = make(**read(node, RANGE | PROTOCOL, report))
    return PortEntry(PROTOCOLS[found.protocol], _ordered(found, node, report))


def _admin_number(node: Node, report: Report) -> PortEntry | None:
    if not is_mapping(node, report):
        return None
    make: Callable[..., _Range] = _Range
    found = make(**read(node, PROTOCOL | {"port": Field("first", _NUMBER, required=CODE, placeholder=0)}, report))
    return PortEntry(PROTOCOLS[found.protocol], PortRange(found.first, found.first))


def _named(node: Node, report: Report) -> PortEntry | None:
    value = text(node, report)
    if value is None:
        return None
    if is_port_name(value):
        return PortEntry(port=value)
    report.error(CODE, node, f"{quoted(value)} is not a port name")
    return None


PROTOCOL: Fields = {"protocol": Field("protocol", _PROTOCOL)}
RANGE: Fields = {
    "start": Field("first", _NUMBER, required=CODE, placeholder=0),
    "end": Field("last", _NUMBER, required=CODE, placeholder=MAX_PORT),
}
NUMBER_OR_RANGE: Fields = {"number": Field("number", _NUMBER), "range": Field("range", _range)}
CLUSTER_PROTOCOL: Fields = {
    "tcp": Field("entry", _of(TCP)),
    "udp": Field("entry", _of(UDP)),
    "sctp": Field("entry", _of(SCTP)),
    "destinationNamedPort": Field("entry", _named),
}
ADMIN_PORT: Fields = {
    "portNumber": Field("entry", _admin_number),
    "portRange": Field("entry", _admin_range),
    "namedPort": Field("entry", _named),
}
