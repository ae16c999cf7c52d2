"""Bytes to a Packet, totally: IPv4, IPv6 with extension headers, TCP, UDP, UDPLite, SCTP, ICMP, ICMPv6.

Law: every byte string gives an answer and no exception. Only headers must be there: the queue copies a part of each
packet, so a payload that ends early is no fault. Nothing is copied but the two addresses.
"""

from collections.abc import Mapping
from struct import Struct
from types import MappingProxyType

from calicod.model.protocol import ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE
from calicod.packet.value import Malformed, Packet

V4 = Struct("!BxHxxHxBxx4s4s")
"""Version and header length, total length, fragment bits, protocol, source, destination (RFC 791)."""
V6 = Struct("!xxxxHBx16s16s")
"""Payload length, next header, source, destination (RFC 8200)."""
PORTS = Struct("!HH")
V4_PORTS, V6_PORTS = Struct("!xxHxxHxBxx4s4sHH"), Struct("!xxxxHBx16s16sHH")
"""`V4` and `V6` with the ports behind them, where they are when no options or extension headers are in between."""
FRAGMENT = Struct("!BxH")

IPV4, IPV6 = 4, 6
V4_PLAIN = 0x45
"""The first byte of an IPv4 header without options."""
V4_HEADER, V6_HEADER = 20, 40
V4_PROTOCOL, V6_NEXT_HEADER, V6_HOP_LIMIT = 9, 6, 7
HOP_BY_HOP, ROUTING, FRAGMENT_HEADER, AUTHENTICATION, OPTIONS = 0, 43, 44, 51, 60
EXTENSIONS = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT_HEADER, AUTHENTICATION, OPTIONS})
"""INVARIANT: those that conntrack walks, and no others: what is judged must be the flow that gets the stamp. To Linux a
mobility, HIP or shim6 header (135, 139, 140) is what the packet is about, whatever follows it."""
IN_EIGHTS = frozenset({HOP_BY_HOP, ROUTING, OPTIONS})
"""Those that say their length in units of eight bytes, without the first (RFC 8200)."""
SMALLEST_EXTENSION = 8
MAX_EXTENSIONS = 16
"""Headers walked before a packet counts as malformed (D23)."""

MORE_OR_OFFSET_V4, OFFSET_V4 = 0x3FFF, 0x1FFF
MORE_OR_OFFSET_V6, OFFSET_V6 = 0xFFF9, 0xFFF8

WITH_PORTS: Mapping[int, int] = MappingProxyType({TCP: 20, UDP: 8, SCTP: 12, UDPLITE: 8})
"""Bytes of transport header that must be there (RFC 9293, 768, 9260, 3828)."""
HAS_PORTS, LONGEST = frozenset(WITH_PORTS), max(WITH_PORTS.values())
V4_ROOM, V6_ROOM = V4_HEADER + LONGEST, V6_HEADER + LONGEST
"""Where there is so much, no transport header is cut off."""
NEEDED_V4: Mapping[int, int] = MappingProxyType({**WITH_PORTS, ICMP: 8})
NEEDED_V6: Mapping[int, int] = MappingProxyType({**WITH_PORTS, ICMPV6: 4})
"""ICMP is ICMP only in IPv4, ICMPv6 only in IPv6 (D7); the smallest messages of RFC 792 and RFC 4443."""


def decode(raw: bytes) -> Packet | Malformed:
    """The packet in `raw`, from its IP header on; what follows the headers may be cut off."""
    first, length = (raw[0], len(raw)) if raw else (0, 0)
    if first == V4_PLAIN:  # what nearly all packets are is read at once, to what the slow way reads
        if length >= V4_ROOM and raw[V4_PROTOCOL] in HAS_PORTS:
            total, bits, protocol, src, dst, sport, dport = V4_PORTS.unpack_from(raw)
            if total >= V4_ROOM and not bits & MORE_OR_OFFSET_V4:
                return Packet(4, protocol, src, dst, sport, dport)
        return decode_v4(raw)
    if first >> 4 == IPV6:
        if length >= V6_ROOM and raw[V6_NEXT_HEADER] in HAS_PORTS:
            payload, protocol, src, dst, sport, dport = V6_PORTS.unpack_from(raw)
            if payload >= LONGEST:
                return Packet(6, protocol, src, dst, sport, dport)
        return decode_v6(raw)
    if first >> 4 == IPV4:
        return decode_v4(raw)
    return Malformed("version" if raw else "empty")


def decode_v4(raw: bytes, needed: Mapping[int, int] = NEEDED_V4) -> Packet | Malformed:
    """An IPv4 packet; its header length counts options. `needed`: bytes of transport that must be there."""
    if len(raw) < V4_HEADER:
        return Malformed("short-header", IPV4)
    first, total, bits, protocol, src, dst = V4.unpack_from(raw)
    start, end = (first & 15) * 4, len(raw)
    if total < end and not (total == 0 and protocol == TCP):  # 0: longer than 65,535 (BIG TCP, Linux 6.3)
        end = total
    if start < V4_HEADER or start > end:
        return Malformed("header-length", 4, protocol, src, dst)
    if bits & MORE_OR_OFFSET_V4:
        return fragment(raw, start, end, needed, 4, protocol, src, dst, bits & OFFSET_V4)
    return transport(raw, start, end, needed, 4, protocol, src, dst)


def decode_v6(raw: bytes, needed: Mapping[int, int] = NEEDED_V6) -> Packet | Malformed:
    """An IPv6 packet; extension headers are walked up to a bound."""
    if len(raw) < V6_HEADER:
        return Malformed("short-header", IPV6)
    length, protocol, src, dst = V6.unpack_from(raw)
    end = len(raw)
    if length and V6_HEADER + length < end:  # 0: jumbo payload (RFC 2675), BIG TCP
        end = V6_HEADER + length
    if protocol not in EXTENSIONS:
        return transport(raw, V6_HEADER, end, needed, 6, protocol, src, dst)
    walked = walk(raw, end, protocol)
    if isinstance(walked, str):
        return Malformed(walked, 6, protocol, src, dst)
    start, protocol, bits = walked
    if not bits and protocol in HAS_PORTS and start + LONGEST <= end:
        sport, dport = PORTS.unpack_from(raw, start)
        return Packet(6, protocol, src, dst, sport, dport)
    if bits & MORE_OR_OFFSET_V6:
        return fragment(raw, start, end, needed, 6, protocol, src, dst, bits & OFFSET_V6)
    return transport(raw, start, end, needed, 6, protocol, src, dst)


def walk(raw: bytes, end: int, following: int) -> tuple[int, int, int] | str:
    """Where the upper layer begins behind the extension headers, its protocol, and the fragment bits; or why not.

    A first fragment that ends within an extension header (forbidden by RFC 7112) is told like a later one.
    """
    start, bits, seen = V6_HEADER, 0, 0
    while following in IN_EIGHTS and seen < MAX_EXTENSIONS and start + SMALLEST_EXTENSION <= end:
        following, length = raw[start], raw[start + 1] * 8 + 8
        seen += 1
        start += length
        if start > end:
            return "short-extension"
    for _ in range(seen, MAX_EXTENSIONS):
        if following not in EXTENSIONS or bits & OFFSET_V6:
            return start, following, bits
        if start + SMALLEST_EXTENSION > end:
            return (start, following, OFFSET_V6) if bits else "short-extension"
        if following == FRAGMENT_HEADER:
            following, more = FRAGMENT.unpack_from(raw, start)
            bits |= more & MORE_OR_OFFSET_V6
            start += SMALLEST_EXTENSION
            continue
        length = length_of(following, raw, start)
        if start + length > end:
            return (start, following, OFFSET_V6) if bits else "short-extension"
        following = raw[start]
        start += length
    return "extensions"


def length_of(kind: int, raw: bytes, start: int) -> int:
    """Bytes of an extension header of this kind, by its second byte."""
    if kind == FRAGMENT_HEADER:
        return SMALLEST_EXTENSION
    return (raw[start + 1] + 2) * 4 if kind == AUTHENTICATION else (raw[start + 1] + 1) * 8


def transport(  # noqa: PLR0913, PLR0917  the hot path: values already read are handed on, not packed up
    raw: bytes, start: int, end: int, needed: Mapping[int, int], family: int, protocol: int, src: bytes, dst: bytes
) -> Packet | Malformed:
    """The packet with the ports, or the ICMP type and code, of what begins at `start`."""
    need = needed.get(protocol)
    if need is None:
        return Packet(family, protocol, src, dst)
    if start + need > end:
        return Malformed("short-transport", family, protocol, src, dst)
    if protocol in HAS_PORTS:
        sport, dport = PORTS.unpack_from(raw, start)
        return Packet(family, protocol, src, dst, sport, dport)
    hop_limit = raw[V6_HOP_LIMIT] if protocol == ICMPV6 else -1
    return Packet(family, protocol, src, dst, -1, -1, raw[start], raw[start + 1], False, hop_limit)


def fragment(  # noqa: PLR0913, PLR0917  as `transport`
    raw: bytes,
    start: int,
    end: int,
    needed: Mapping[int, int],
    family: int,
    protocol: int,
    src: bytes,
    dst: bytes,
    offset: int,
) -> Packet:
    """A fragment: only a first one that holds its whole transport header is known by its ports (D22)."""
    if offset == 0:
        found = transport(raw, start, end, needed, family, protocol, src, dst)
        if isinstance(found, Packet):
            return found
    return Packet(family, protocol, src, dst, fragment=True)
