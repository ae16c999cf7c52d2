"""A packet in a packet: conntrack sees the outer one, Linux delivers the inner one (calicod/packet/ambiguous.py).

Law: both are whole and their checksums right: neither conntrack nor the stack has another reason to refuse them.
"""

import struct

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrRouting, in6_chksum
from scapy.packet import Packet, Raw

NUMBERS = {"tcp": 6, "udp": 17}
CHECKSUM_AT = {"tcp": 16, "udp": 6}
OPTIONS, ROUTING = 60, 43
HEADERS = {OPTIONS: IPv6ExtHdrDestOpt, ROUTING: IPv6ExtHdrRouting}


def twofold(
    source: str, target: str, protocol: str, shown: int, hidden: int, word: bytes, kind: int = OPTIONS
) -> Packet:
    """An IPv6 packet to port `shown` behind which one to port `hidden` stands, with a word in it.

    What is shown, read as a header of `kind`, names the protocol of what is hidden, and how far it reaches: in its
    source port. Its target port is an option that nobody knows, or the type of a routing header without segments.
    """
    inner = summed(protocol, source, target, bytes(transport(protocol, 5555, hidden) / Raw(word)))
    length = (4 + (shown & 0xFF if kind == OPTIONS else 20) + 7) // 8 * 8
    outer = bytes(transport(protocol, NUMBERS[protocol] << 8 | length // 8 - 1, shown))
    filling = bytes(4 + (shown & 0xFF if kind == OPTIONS else 20) - len(outer))
    rest = length - len(outer) - len(filling)
    padding = bytes([1, rest - 2]) + bytes(rest - 2) if rest > 1 else bytes(rest)
    data = bytearray(outer + filling + padding + inner)
    if protocol == "udp":
        data[4:6] = struct.pack("!H", len(data))
    head = IPv6(src=source, dst=target, nh=kind, hlim=66) / HEADERS[kind](nh=44)
    return head / IPv6ExtHdrFragment(nh=NUMBERS[protocol], id=7) / Raw(summed(protocol, source, target, bytes(data)))


def shown_in(packet: Packet) -> Packet:
    """What is shown, alone: it opens the flow that the whole belongs to."""
    fragment = packet[IPv6ExtHdrFragment]
    protocol = next(name for name, number in NUMBERS.items() if number == fragment.nh)
    sport, dport = struct.unpack_from("!HH", bytes(fragment.payload))
    return transport(protocol, sport, dport)


def transport(protocol: str, sport: int, dport: int) -> Packet:
    """A SYN, or a datagram."""
    return TCP(sport=sport, dport=dport, flags="S", seq=1) if protocol == "tcp" else UDP(sport=sport, dport=dport)


def summed(protocol: str, source: str, target: str, data: bytes) -> bytes:
    """The same with the right checksum."""
    at = CHECKSUM_AT[protocol]
    bare = bytearray(data)
    if protocol == "udp":
        bare[4:6] = struct.pack("!H", len(data))
    bare[at : at + 2] = b"\0\0"
    bare[at : at + 2] = struct.pack("!H", in6_chksum(NUMBERS[protocol], IPv6(src=source, dst=target), bytes(bare)))
    return bytes(bare)
