"""A packet seen from the other side: a flow's first direction from its reply, the flow behind an ICMP error.

Law: turning twice gives the packet again.
"""

from collections.abc import Mapping
from types import MappingProxyType

from calicod.model.protocol import ICMP, ICMPV6
from calicod.packet.decode import IPV4, NEEDED_V4, NEEDED_V6, V4, V6_HEADER, decode, decode_v4, decode_v6, walk
from calicod.packet.value import Malformed, Packet

PAIRS_V4 = ((8, 0), (13, 14), (15, 16), (17, 18), (42, 43))
"""ICMP request and reply: echo, timestamp, information (RFC 792), address mask (RFC 950), extended echo (RFC 8335)."""
PAIRS_V6 = ((128, 129), (139, 140), (160, 161))
"""ICMPv6 request and reply: echo (RFC 4443), node information (RFC 4620), extended echo (RFC 8335)."""
TURNED: Mapping[tuple[int, int], int] = MappingProxyType(
    {
        (family, kind): other
        for family, pairs in ((4, PAIRS_V4), (6, PAIRS_V6))
        for request, reply in pairs
        for kind, other in ((request, reply), (reply, request))
    }
)
ERRORS = frozenset({(4, 3), (4, 4), (4, 5), (4, 11), (4, 12), (6, 1), (6, 2), (6, 3), (6, 4)})
"""Family and type of the messages that quote the packet they are about (RFC 792, RFC 4443)."""
ERROR_HEADER = 8
IDENTIFIER = 4
"""Where the identifier of a query lies (RFC 792, RFC 4443)."""
QUOTED_V4: Mapping[int, int] = MappingProxyType({protocol: min(need, 8) for protocol, need in NEEDED_V4.items()})
QUOTED_V6: Mapping[int, int] = MappingProxyType({protocol: min(need, 8) for protocol, need in NEEDED_V6.items()})
"""Of a quoted packet 8 bytes of transport are enough: "internet header + 64 bits of original data" (RFC 792)."""


def turned(packet: Packet) -> Packet:
    """The packet of the other direction: addresses and ports swapped, an ICMP reply becomes its request."""
    return Packet(
        packet.family,
        packet.protocol,
        packet.dst,
        packet.src,
        packet.dport,
        packet.sport,
        TURNED.get((packet.family, packet.icmp_type), packet.icmp_type),
        packet.icmp_code,
        packet.fragment,
        packet.hop_limit,
    )


def is_error(packet: Packet) -> bool:
    """An ICMP or ICMPv6 error message: it speaks of another packet, which it quotes."""
    return packet.protocol in (ICMP, ICMPV6) and (packet.family, packet.icmp_type) in ERRORS


def quoted(raw: bytes) -> Packet | Malformed | None:
    """The packet that an ICMP error quotes; None when this is no such error; Malformed when either cannot be read."""
    outer = decode(raw)
    if isinstance(outer, Malformed):
        return outer
    if not is_error(outer):
        return None
    start, end = payload(raw)
    inner = raw[start + ERROR_HEADER : end]
    if not inner:
        return Malformed("no-quote", outer.family, outer.protocol, outer.src, outer.dst)
    if inner[0] >> 4 != outer.family:
        return Malformed("quoted-version", outer.family, outer.protocol, outer.src, outer.dst)
    return decode_v4(inner, QUOTED_V4) if outer.family == IPV4 else decode_v6(inner, QUOTED_V6)


def payload(raw: bytes) -> tuple[int, int]:
    """Where the upper layer of a packet that `decode` read begins and ends."""
    if raw[0] >> 4 == IPV4:
        first, total, *_ = V4.unpack_from(raw)
        return (first & 15) * 4, total
    length = int.from_bytes(raw[4:6])
    end = V6_HEADER + length if length else len(raw)
    walked = walk(raw, min(end, len(raw)), raw[6])
    return V6_HEADER if isinstance(walked, str) else walked[0], end


def identifier(raw: bytes, *, quoting: bool = False) -> int:
    """The identifier of an ICMP query or its reply, or of the one that an ICMP error quotes; -1 when it is cut off.

    For packets that `decode`, or `quoted`, has read.
    """
    start, _ = payload(raw)
    if quoting:
        raw = raw[start + ERROR_HEADER :]
        start, _ = payload(raw)
    field = raw[start + IDENTIFIER : start + IDENTIFIER + 2]
    return int.from_bytes(field) if len(field) == 2 else -1  # noqa: PLR2004  a field of 16 bits
