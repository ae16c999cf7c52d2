"""A packet seen from the other side: a flow's first direction from its reply, the flow behind an ICMP error.

Law: turning twice gives the packet again.
"""

from collections.abc import Mapping
from types import MappingProxyType

from calicod.model import protocol as ip
from calicod.packet.decode import NEEDED, V6_HEADER, decode, decode_v4, decode_v6, walk
from calicod.packet.value import Malformed, Packet

V4_TURNED: Mapping[int, int] = MappingProxyType({0: 8, 8: 0, 14: 13, 13: 14, 16: 15, 15: 16, 18: 17, 17: 18})
"""ICMP queries and replies (RFC 792, 950)."""
V6_TURNED: Mapping[int, int] = MappingProxyType({129: 128, 128: 129, 140: 139, 139: 140})
"""ICMPv6 echo (RFC 4443) and node information (RFC 4620)."""
V4_ERRORS = frozenset({3, 4, 5, 11, 12})
V6_ERRORS = frozenset({1, 2, 3, 4})
ERROR_HEADER = 8
QUOTED: Mapping[int, int] = MappingProxyType(dict.fromkeys(NEEDED, 4))
"""An error quotes at least 8 bytes of transport (RFC 792); ports, or type and code, are in the first four."""


def turned(packet: Packet) -> Packet:
    """The packet of the other direction: addresses and ports swapped, an ICMP reply becomes its request."""
    kind = packet.icmp_type
    if packet.protocol == ip.ICMP:
        kind = V4_TURNED.get(kind, kind)
    elif packet.protocol == ip.ICMPV6:
        kind = V6_TURNED.get(kind, kind)
    return Packet(
        packet.family,
        packet.protocol,
        packet.dst,
        packet.src,
        packet.dport,
        packet.sport,
        kind,
        packet.icmp_code,
        packet.fragment,
    )


def is_error(packet: Packet) -> bool:
    """An ICMP or ICMPv6 error message: it speaks of another packet, which it quotes."""
    if packet.family == 4:
        return packet.protocol == ip.ICMP and packet.icmp_type in V4_ERRORS
    return packet.protocol == ip.ICMPV6 and packet.icmp_type in V6_ERRORS


def quoted(raw: bytes) -> Packet | Malformed | None:
    """The packet that an ICMP error quotes, which may be cut after the first bytes of its transport; else None."""
    outer = decode(raw)
    if isinstance(outer, Malformed) or not is_error(outer):
        return None
    inner = raw[transport_start(raw) + ERROR_HEADER :]
    if not inner:
        return Malformed("no-quote", outer.family)
    if inner[0] >> 4 != outer.family:
        return Malformed("quoted-version", outer.family)
    return decode_v4(inner, QUOTED) if outer.family == 4 else decode_v6(inner, QUOTED)


def transport_start(raw: bytes) -> int:
    """Where the transport header of a packet that `decode` accepted begins."""
    if raw[0] >> 4 == 4:
        return (raw[0] & 15) * 4
    walked = walk(raw, len(raw), raw[6])
    return V6_HEADER if isinstance(walked, str) else walked[0]
