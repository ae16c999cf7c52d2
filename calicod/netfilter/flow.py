"""A tracked connection as conntrack tells it, read from and written to the bytes of its netlink messages.

Law: any bytes give an answer: what is not a connection gives none, and a connection that is not laid out as this kernel
does it is read the slow way, to the same value. Reading one event must stay under 6 µs (benchmarks/conntrack.py).
"""

import struct
from collections.abc import Callable

import msgspec

from calicod.model.network import V4_LENGTH, V6_LENGTH, family_of
from calicod.netfilter.netlink import HEADER, NLA_F_NESTED, NLA_TYPE_MASK, attribute, attributes

CTNETLINK = 1 << 8
NEW, GET, DELETE = CTNETLINK, CTNETLINK | 1, CTNETLINK | 2
"""IPCTNL_MSG_CT_*: a NEW message is an event of a new connection, an answer or a change; DELETE is its end."""

TUPLE_ORIGINAL, TUPLE_REPLY, STATUS, MARK, COUNTERS_ORIGINAL, COUNTERS_REPLY = 1, 2, 3, 8, 9, 10
PROTOINFO, TUPLE_MASTER, ZONE, TIMESTAMP, MARK_MASK = 4, 14, 18, 20, 21
PROTOINFO_TCP, TCP_STATE = 1, 1
IP, PROTO = 1, 2
PROTO_NUMBER, SOURCE_PORT, DESTINATION_PORT = 1, 2, 3
ICMP_FIELDS = {1: (4, 5, 6), 58: (7, 8, 9)}
"""Protocol -> attributes of identifier, type, code."""
ICMP_IDENTIFIERS, ICMP_TYPES, ICMP_CODES = (4, 7), (5, 8), (6, 9)

FAMILIES = {2: 4, 10: 6}
AF_NUMBERS = {4: 2, 6: 10}
ADDRESS_LENGTHS = {2: V4_LENGTH, 10: V6_LENGTH}
ADDRESS_KINDS = {2: (1, 2), 10: (3, 4)}
"""AF_* -> attributes of source and destination."""

NFGEN = struct.Struct("=BBH")
U32 = struct.Struct(">I")
U16 = struct.Struct(">H")
U64 = struct.Struct(">Q")
ATTRIBUTE_WORD = struct.Struct("=HH")
EVENT_HEAD = struct.Struct("=IHHIIB")
COUNTERS = struct.Struct(">8xQ4xQ")
COUNTERS_LENGTH = 28
START_LENGTH, BOTH_LENGTH = 16, 28

SOURCE_NAT, DESTINATION_NAT = 0x10, 0x20
EXPECTED, SEEN_REPLY = 0x1, 0x2
"""Bits of `status` (IPS_*)."""


class FlowTuple(msgspec.Struct, frozen=True, gc=False):
    """One direction of a connection. Addresses as on the wire; what a protocol has not is -1."""

    protocol: int
    src: bytes
    dst: bytes
    sport: int = -1
    dport: int = -1
    icmp_id: int = -1
    icmp_type: int = -1
    icmp_code: int = -1


class Flow(msgspec.Struct, frozen=True, gc=False):
    """A connection. Counters are -1 without accounting, times 0 without timestamps (`enable_accounting`).

    `master`: the original direction of the connection that a helper expected this one for.
    """

    original: FlowTuple
    reply: FlowTuple
    mark: int = 0
    status: int = 0
    zone: int = 0
    packets: int = -1
    bytes: int = -1
    reply_packets: int = -1
    reply_bytes: int = -1
    start_ns: int = 0
    stop_ns: int = 0
    master: FlowTuple | None = None


class ConntrackEvent(msgspec.Struct, frozen=True, gc=False):
    """A connection began (it was confirmed: its first packet passed every rule), or it ended."""

    new: bool
    flow: Flow


ENDED = range(6, 9)
"""TCP_CONNTRACK_*: LAST_ACK, TIME_WAIT, CLOSE."""

Read = Callable[[bytes, int, int, int], Flow | None]
"""Bytes, where the attributes begin and end in them, family (AF_*)."""


def parse(data: bytes, read_flow: "Read | None" = None) -> list[ConntrackEvent]:
    """The events of one datagram. Changes of connections that go on (the group is not subscribed) are left out.

    `read_flow`: reads a connection quicker than `read`, to the same value.
    """
    read_flow = read_flow or read
    events = []
    offset, end = 0, len(data)
    while offset + HEADER.size + NFGEN.size <= end:
        length, kind, flags, _, _, family = EVENT_HEAD.unpack_from(data, offset)
        stop = offset + length
        if length < HEADER.size or stop > end:
            break
        if family in FAMILIES and (kind == DELETE or (kind == NEW and flags)):
            try:
                flow = read_flow(data, offset + HEADER.size + NFGEN.size, stop, family)
            except struct.error:  # an attribute shorter than its kind
                flow = None
            if flow is not None:
                events.append(ConntrackEvent(kind == NEW, flow))
        offset = (stop + 3) & ~3
    return events


def read(data: bytes, offset: int, end: int, family: int) -> Flow | None:
    """The connection whose attributes lie there; None when it has no two directions."""
    where: dict[int, int] = {}
    while offset + 4 <= end:
        length, kind = ATTRIBUTE_WORD.unpack_from(data, offset)
        if length < 4 or offset + length > end:  # noqa: PLR2004  an attribute's header
            break
        where[kind & NLA_TYPE_MASK] = offset
        offset += (length + 3) & ~3
    if TUPLE_ORIGINAL not in where or TUPLE_REPLY not in where:
        return None
    original = _tuple(data, where[TUPLE_ORIGINAL], family)
    reply = _tuple(data, where[TUPLE_REPLY], family)
    if original is None or reply is None:
        return None
    mark = U32.unpack_from(data, where[MARK] + 4)[0] if MARK in where else 0
    status = U32.unpack_from(data, where[STATUS] + 4)[0] if STATUS in where else 0
    start = stop = 0
    packets = octets = reply_packets = reply_octets = -1
    if TIMESTAMP in where:
        start, stop = _times(data, where[TIMESTAMP])
    if COUNTERS_ORIGINAL in where:
        packets, octets = _counters(data, where[COUNTERS_ORIGINAL])
    if COUNTERS_REPLY in where:
        reply_packets, reply_octets = _counters(data, where[COUNTERS_REPLY])
    zone = U16.unpack_from(data, where[ZONE] + 4)[0] if ZONE in where else 0
    master = _tuple(data, where[TUPLE_MASTER], family) if TUPLE_MASTER in where else None
    return Flow(original, reply, mark, status, zone, packets, octets, reply_packets, reply_octets, start, stop, master)


def has_ended(attributes_: bytes) -> bool:
    """The attributes are those of a TCP connection of which only the memory is left."""
    info = attributes(attributes_).get(PROTOINFO, b"")
    state = attributes(attributes(info).get(PROTOINFO_TCP, b"")).get(TCP_STATE, b"\0")
    return state[0] in ENDED


def write_tuple(kind: int, flow: FlowTuple) -> bytes:
    """A direction as the attribute `kind`, for a question or a change."""
    source, destination = ADDRESS_KINDS[AF_NUMBERS[family_of(flow.src)]]
    address = attribute(source, flow.src) + attribute(destination, flow.dst)
    proto = attribute(PROTO_NUMBER, bytes([flow.protocol]))
    if flow.protocol in ICMP_FIELDS:
        identifier, type_, code = ICMP_FIELDS[flow.protocol]
        proto += attribute(identifier, U16.pack(max(flow.icmp_id, 0)))
        proto += attribute(type_, bytes([max(flow.icmp_type, 0)])) + attribute(code, bytes([max(flow.icmp_code, 0)]))
    elif flow.sport >= 0:
        proto += attribute(SOURCE_PORT, U16.pack(flow.sport)) + attribute(DESTINATION_PORT, U16.pack(flow.dport))
    return attribute(
        kind | NLA_F_NESTED, attribute(IP | NLA_F_NESTED, address) + attribute(PROTO | NLA_F_NESTED, proto)
    )


def head(family: int) -> bytes:
    """The nfgenmsg of a question about this family (4, 6; 0: both)."""
    return NFGEN.pack(AF_NUMBERS.get(family, 0), 0, 0)


def _layout(family: int, tail: tuple[int, ...]) -> tuple[int, int, int]:
    """Length, mask and value of a direction's bytes as the kernel lays them out: headers fixed, contents free."""
    size, (first, second) = ADDRESS_LENGTHS[family], ADDRESS_KINDS[family]
    proto = 4 + sum(8 for _ in tail)
    parts: list[tuple[int, int, int]] = [
        (4 + 4 + 2 * (4 + size) + proto, 0, 0),
        (4 + 2 * (4 + size), IP | NLA_F_NESTED, 0),
        (4 + size, first, size),
        (4 + size, second, size),
        (proto, PROTO | NLA_F_NESTED, 0),
        *((6 if kind in (SOURCE_PORT, DESTINATION_PORT, *ICMP_IDENTIFIERS) else 5, kind, 4) for kind in tail),
    ]
    value = mask = b""
    for number, (length, kind, content) in enumerate(parts):
        value += ATTRIBUTE_WORD.pack(length, kind) + bytes(content)
        mask += (b"\xff\xff\x00\x00" if number == 0 else b"\xff\xff\xff\xff") + bytes(content)
    return len(value), int.from_bytes(mask), int.from_bytes(value)


class PortLayout(msgspec.Struct, frozen=True):
    """A direction with ports, nearly every one there is: its bytes under `mask` are `value`.

    `form`: how `struct` reads source, destination, protocol and both ports.
    """

    size: int
    mask: int
    value: int
    form: str


_PORTS = {
    (family, layout[0]): PortLayout(*layout, form)
    for family, form in ((2, "12x4s4x4s8xB7xH6xH2x"), (10, "12x16s4x16s8xB7xH6xH2x"))
    for layout in [_layout(family, (PROTO_NUMBER, SOURCE_PORT, DESTINATION_PORT))]
}
_CONTENT = {key: struct.Struct(f">{layout.form}") for key, layout in _PORTS.items()}


def port_layout(family: int, length: int) -> PortLayout | None:
    """The layout of a direction of this length, if one with ports has it."""
    return _PORTS.get((family, length))


def _tuple(data: bytes, offset: int, family: int) -> FlowTuple | None:
    length = ATTRIBUTE_WORD.unpack_from(data, offset)[0]
    layout = _PORTS.get((family, length))
    if layout is not None and int.from_bytes(data[offset : offset + layout.size]) & layout.mask == layout.value:
        src, dst, protocol, sport, dport = _CONTENT[family, length].unpack_from(data, offset)
        return FlowTuple(protocol, src, dst, sport, dport)
    return _any_tuple(data[offset + 4 : offset + length], family)


def _any_tuple(body: bytes, family: int) -> FlowTuple | None:
    """The same for any order and any protocol."""
    parts = attributes(body)
    addresses, proto = attributes(parts.get(IP, b"")), attributes(parts.get(PROTO, b""))
    source, destination = ADDRESS_KINDS[family]
    lengths = {len(addresses.get(source, b"")), len(addresses.get(destination, b""))}
    if lengths != {ADDRESS_LENGTHS[family]} or not proto.get(PROTO_NUMBER):
        return None
    return FlowTuple(
        proto[PROTO_NUMBER][0],
        addresses[source],
        addresses[destination],
        _number(proto, SOURCE_PORT),
        _number(proto, DESTINATION_PORT),
        _number(proto, *ICMP_IDENTIFIERS),
        _number(proto, *ICMP_TYPES),
        _number(proto, *ICMP_CODES),
    )


def _number(parts: dict[int, bytes], *kinds: int) -> int:
    return next((int.from_bytes(parts[kind]) for kind in kinds if kind in parts), -1)


def _counters(data: bytes, offset: int) -> tuple[int, int]:
    length = ATTRIBUTE_WORD.unpack_from(data, offset)[0]
    if length == COUNTERS_LENGTH:
        packets, octets = COUNTERS.unpack_from(data, offset)
        return packets, octets
    parts = attributes(data[offset + 4 : offset + length])
    return _number(parts, 1, 3), _number(parts, 2, 4)


def _times(data: bytes, offset: int) -> tuple[int, int]:
    length = ATTRIBUTE_WORD.unpack_from(data, offset)[0]
    if length == START_LENGTH:
        return U64.unpack_from(data, offset + 8)[0], 0
    if length == BOTH_LENGTH:
        start, stop = COUNTERS.unpack_from(data, offset)
        return start, stop
    parts = attributes(data[offset + 4 : offset + length])
    return max(_number(parts, 1), 0), max(_number(parts, 2), 0)
