"""Bytes to a Packet, totally: IPv4, IPv6 with extension headers, TCP, UDP, UDPLite, SCTP, ICMP, ICMPv6.

Law: every byte string gives an answer and no exception. Only headers must be there: the queue copies a part of each
packet, so a payload that ends early is no fault. Nothing is copied but the two addresses.
"""

from collections.abc import Mapping
from struct import Struct
from types import MappingProxyType

from calicod.model import protocol as ip
from calicod.packet.value import Malformed, Packet

V4 = Struct("!BxHxxHxBxx4s4s")
"""Version and header length, total length, fragment bits, protocol, source, destination (RFC 791)."""
V6 = Struct("!xxxxHBx16s16s")
"""Payload length, next header, source, destination (RFC 8200)."""
PORTS = Struct("!HH")
FRAGMENT = Struct("!BxH")

V4_HEADER, V6_HEADER = 20, 40
HOP_BY_HOP, ROUTING, FRAGMENT_HEADER, AUTHENTICATION, NO_NEXT = 0, 43, 44, 51, 59
OPTIONS, MOBILITY, HIP, SHIM6 = 60, 135, 139, 140
EXTENSIONS = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT_HEADER, AUTHENTICATION, OPTIONS, MOBILITY, HIP, SHIM6})
MAX_EXTENSIONS = 16
"""Headers walked before a packet counts as malformed (D23)."""

MORE_OR_OFFSET_V4, OFFSET_V4 = 0x3FFF, 0x1FFF
MORE_OR_OFFSET_V6, OFFSET_V6 = 0xFFF9, 0xFFF8

NEEDED: Mapping[int, int] = MappingProxyType(
    {ip.TCP: 20, ip.UDP: 8, ip.UDPLITE: 8, ip.SCTP: 12, ip.ICMP: 8, ip.ICMPV6: 4}
)
"""Bytes of a transport header that must be there."""


def decode(raw: bytes) -> Packet | Malformed:
    """The packet in `raw`, which begins with its IP header (512 bytes of it are enough, or all there is)."""
    version = raw[0] >> 4 if raw else -1
    if version == 4:
        return decode_v4(raw)
    if version == 6:
        return decode_v6(raw)
    return Malformed("version" if raw else "empty")


def decode_v4(raw: bytes, needed: Mapping[int, int] = NEEDED) -> Packet | Malformed:
    """An IPv4 packet; its header length counts options. `needed`: bytes of transport that must be there."""
    if len(raw) < V4_HEADER:
        return Malformed("short-header", 4)
    first, total, bits, protocol, src, dst = V4.unpack_from(raw)
    start = (first & 15) * 4
    if start < V4_HEADER or start > len(raw) or 0 < total < start:
        return Malformed("header-length", 4, protocol, src, dst)
    end = min(len(raw), total) if total else len(raw)
    if bits & MORE_OR_OFFSET_V4:
        return partial(raw, start, end, (4, protocol, src, dst), later=bits & OFFSET_V4 != 0)
    return transport(raw, start, end, needed, 4, protocol, src, dst)


def decode_v6(raw: bytes, needed: Mapping[int, int] = NEEDED) -> Packet | Malformed:
    """An IPv6 packet; extension headers are walked up to a bound."""
    if len(raw) < V6_HEADER:
        return Malformed("short-header", 6)
    length, protocol, src, dst = V6.unpack_from(raw)
    end = min(len(raw), V6_HEADER + length) if length else len(raw)
    if protocol not in EXTENSIONS:
        return transport(raw, V6_HEADER, end, needed, 6, protocol, src, dst)
    walked = walk(raw, end, protocol)
    if isinstance(walked, str):
        return Malformed(walked, 6, protocol, src, dst)
    start, protocol, bits = walked
    if bits & MORE_OR_OFFSET_V6:
        return partial(raw, start, end, (6, protocol, src, dst), later=bits & OFFSET_V6 != 0)
    return transport(raw, start, end, needed, 6, protocol, src, dst)


def walk(raw: bytes, end: int, following: int) -> tuple[int, int, int] | str:
    """Where the upper layer begins behind the extension headers, its protocol, and the fragment bits; or why not."""
    start, bits = V6_HEADER, 0
    for _ in range(MAX_EXTENSIONS):
        if following not in EXTENSIONS or bits & OFFSET_V6:
            return start, following, bits
        if start + 8 > end:
            return "short-extension"
        size = raw[start + 1]
        if following == FRAGMENT_HEADER:
            following, bits = FRAGMENT.unpack_from(raw, start)
            start += 8
            continue
        length = (size + 2) * 4 if following == AUTHENTICATION else (size + 1) * 8
        following = raw[start]
        start += length
        if start > end:
            return "short-extension"
    return "extensions"


def transport(  # noqa: PLR0913  the hot path: values already read are handed on, not packed up
    raw: bytes, start: int, end: int, needed: Mapping[int, int], family: int, protocol: int, src: bytes, dst: bytes
) -> Packet | Malformed:
    """The packet with the ports or the ICMP type of what begins at `start`."""
    need = needed.get(protocol)
    if need is None:
        return Packet(family, protocol, src, dst)
    if start + need > end:
        return Malformed("short-transport", family, protocol, src, dst)
    if protocol in (ip.ICMP, ip.ICMPV6):
        return Packet(family, protocol, src, dst, -1, -1, raw[start], raw[start + 1])
    sport, dport = PORTS.unpack_from(raw, start)
    return Packet(family, protocol, src, dst, sport, dport)


def partial(
    raw: bytes, start: int, end: int, about: tuple[int, int, bytes, bytes], *, later: bool
) -> Packet | Malformed:
    """A fragment: a later one, or a first one that does not hold its whole header, has no ports (D22)."""
    if not later:
        found = transport(raw, start, end, NEEDED, *about)
        if isinstance(found, Packet):
            return found
    return Packet(*about, fragment=True)
