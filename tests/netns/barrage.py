"""Packets that are meant to hurt: forged, then cut, bent and mixed up; and a reading of what came out of the node.

Law: nothing is sent that could arrive with a hop limit of 63 or 64: what does was made by a kernel on the way (a reset,
an error) and proves nothing. The reading shares no code with the decoder that it judges.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import NamedTuple

from scapy.layers.inet import (
    ICMP,
    IP,
    TCP,
    UDP,
    IPOption_LSRR,
    IPOption_NOP,
    IPOption_Router_Alert,
    IPOption_RR,
    fragment,
)
from scapy.layers.inet6 import (
    ICMPv6Unknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    fragment6,
)
from scapy.layers.ipsec import AH
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Packet, Raw

from tests.netns.twofold import OPTIONS, ROUTING, twofold

OPEN = 7000
"""The port that policy allows, TCP and UDP; and the requests of ICMP. Nothing else."""
PORTS = (OPEN, OPEN, OPEN, 22, 53, 80, 7001, 0x1B59)
HOP_LIMITS = (2, 60, 66, 200, 255)
OF_A_KERNEL = frozenset({63, 64})
NEVER_SENT = frozenset({63, 64, 65})
V4_HEADER, V6_HEADER = 20, 40
TCP_NUMBER, UDP_NUMBER, ICMP_NUMBER, ICMPV6 = 6, 17, 1, 58
EXTENSIONS = frozenset({0, 43, 60})
FRAGMENT, AUTHENTICATION = 44, 51
REQUESTS = MappingProxyType({ICMP_NUMBER: 8, ICMPV6: 128})
ERRORS: Mapping[int, frozenset[int]] = MappingProxyType({1: frozenset({3, 4, 5, 11, 12}), 58: frozenset({1, 2, 3, 4})})
DISCOVERY = frozenset({133, 134, 135, 136, 137})
"""From a link, with the highest hop limit (D27)."""
FROM_WORKLOAD = frozenset({130, 131, 132, 133, 135, 136})
"""To its own host, whatever the hop limit (semantics 4.9)."""
REDIRECT = 137
NEEDED = MappingProxyType({TCP_NUMBER: 20, UDP_NUMBER: 8})


class Ends(NamedTuple):
    """A source and a destination of one family."""

    src: str
    dst: str


def templates(random: Random, pairs: Sequence[Ends], shapes: int) -> list[list[bytes]]:
    """Groups of packets that belong together: a single one, or the fragments of one, in some order. `shapes` each."""
    made: list[list[bytes]] = []
    for ends in pairs:
        for number in range(shapes):
            made += ([bytes(whole(random, ends))] for _ in range(4))
            made.append([bytes(error(random, ends))])
            if number % 2:
                made.append([bytes(part) for part in pieces(random, ends)])
    return made


def outer(random: Random, ends: Ends, protocol: int) -> Packet:
    """An IP header, now and then with options or extension headers."""
    limit = random.choice(HOP_LIMITS)
    if ":" not in ends.src:
        options = random.choice([[], [], [], [IPOption_NOP()], [IPOption_RR()], [IPOption_Router_Alert()]])
        options = random.choice([options, options, [IPOption_LSRR(routers=[ends.dst])]])
        return IP(src=ends.src, dst=ends.dst, ttl=limit, id=random.getrandbits(16), options=options, proto=protocol)
    kinds = random.choices([0, 43, 44, 51, 60], k=random.choice([0, 0, 1, 2, 5, 18]))
    chain = [*kinds, protocol]
    packet: Packet = IPv6(src=ends.src, dst=ends.dst, hlim=limit, nh=chain[0])
    for kind, following in zip(kinds, chain[1:], strict=True):
        packet /= extension(random, ends, kind, following)
    return packet


def extension(random: Random, ends: Ends, kind: int, following: int) -> Packet:
    """An extension header; the fragment headers among them are atomic, or lie."""
    makers: Mapping[int, Callable[[], Packet]] = {
        0: lambda: IPv6ExtHdrHopByHop(nh=following),
        43: lambda: IPv6ExtHdrRouting(
            nh=following, addresses=[ends.dst], segleft=random.choice([0, 1]), type=random.choice([0, 2, 4])
        ),
        44: lambda: IPv6ExtHdrFragment(
            nh=following, offset=random.choice([0, 0, 0, 1]), m=random.choice([0, 0, 1]), id=random.getrandbits(32)
        ),
        51: lambda: AH(nh=following, payloadlen=4, icv=bytes(12)),
        60: lambda: IPv6ExtHdrDestOpt(nh=following),
    }
    return makers[kind]()


def body(random: Random, ends: Ends) -> tuple[int, Packet]:
    """A transport with its payload, by protocol."""
    sport, dport = random.choice([1024, 5353, 40000, OPEN, 22]), random.choice(PORTS)
    payload = Raw(b"hostile;" * random.choice([0, 1, 4, 60]))
    flags = random.choice(["S", "S", "S", "SA", "A", "R", "F", "FPU", "", "SFRPAUEC", "SF", "SR"])
    v4 = ":" not in ends.src
    inner = IP(src=ends.src, dst=ends.dst) / UDP(sport=1, dport=OPEN) if v4 else IPv6(src=ends.src, dst=ends.dst)
    message = random.choice([0, 8, 8, 13, 17, 30]) if v4 else random.choice([128, 128, 129, 130, 134, 135, 137, 200])
    icmp = (
        ICMP(type=message, code=random.choice([0, 0, 1]), id=random.getrandbits(8), seq=1)
        if v4
        else ICMPv6Unknown(type=message, code=random.choice([0, 0, 1]), msgbody=bytes(4))
    )
    known = [
        (TCP_NUMBER, TCP(sport=sport, dport=dport, flags=flags, seq=random.getrandbits(32)) / payload),
        (TCP_NUMBER, TCP(sport=sport, dport=dport, flags="S", options=[("MSS", 1460), ("WScale", 7)]) / payload),
        (UDP_NUMBER, UDP(sport=sport, dport=dport) / payload),
        (ICMP_NUMBER if v4 else ICMPV6, icmp / payload),
    ]
    strange = [
        (136, UDP(sport=sport, dport=dport) / payload),
        (132, SCTP(sport=sport, dport=dport) / SCTPChunkInit(init_tag=1)),
        (ICMPV6 if v4 else ICMP_NUMBER, Raw(b"\x08\x00\x00\x00" + bytes(8))),
        (4 if v4 else 41, inner),
        (random.choice([0, 2, 43, 47, 50, 59, 60, 89, 103, 135, 139, 255]), payload),
    ]
    return random.choice([*known, *known, *strange])


def whole(random: Random, ends: Ends) -> Packet:
    """One packet."""
    if ":" in ends.src and not random.randrange(8):
        protocol, kind = random.choice(["tcp", "udp"]), random.choice([OPTIONS, ROUTING])
        return twofold(ends.src, ends.dst, protocol, OPEN, random.choice(PORTS), b"hidden", kind)
    protocol, transport = body(random, ends)
    return outer(random, ends, protocol) / transport


def pieces(random: Random, ends: Ends) -> list[Packet]:
    """Fragments: in order or not, some missing, some twice, some of another packet of the same id."""
    number, limit = random.getrandbits(16), random.choice(HOP_LIMITS)
    size = random.choice([8, 16, 64])

    def cut(port: int, size: int) -> list[Packet]:
        transport = random.choice([UDP(sport=5, dport=port), TCP(sport=5, dport=port, flags="S")])
        data = Raw(b"piece %5d;" % port * 12)
        if ":" not in ends.src:
            return list(fragment(IP(src=ends.src, dst=ends.dst, id=number, ttl=limit) / transport / data, size))
        head = IPv6(src=ends.src, dst=ends.dst, hlim=limit) / IPv6ExtHdrFragment(id=number)
        return list(fragment6(head / transport / data, V6_HEADER + 8 + size))

    parts = cut(random.choice(PORTS), size)
    match random.randrange(5):
        case 0:
            random.shuffle(parts)
        case 1:
            parts = parts[:1]
        case 2:
            parts = parts[1:]
        case 3:
            parts = [part for pair in zip(parts, cut(random.choice(PORTS), size * 2), strict=False) for part in pair]
        case _:
            parts.insert(random.randrange(len(parts)), random.choice(parts))
    return parts[:8]


def error(random: Random, ends: Ends) -> Packet:
    """An ICMP error that quotes some packet of the target's, or only a part of one."""
    turned = Ends(ends.dst, ends.src)
    quoted = bytes(whole(random, turned))[: random.choice([8, 20, 28, 40, 48, 60, 200])]
    if ":" not in ends.src:
        head = IP(src=ends.src, dst=ends.dst, ttl=random.choice(HOP_LIMITS))
        return head / ICMP(type=random.choice(sorted(ERRORS[1])), code=random.choice([0, 1, 3, 4])) / Raw(quoted)
    message = ICMPv6Unknown(type=random.choice(sorted(ERRORS[58])), code=0, msgbody=bytes(4) + quoted)
    return IPv6(src=ends.src, dst=ends.dst, hlim=random.choice(HOP_LIMITS)) / message


def barrage(random: Random, groups: Sequence[Sequence[bytes]], count: int) -> Iterator[bytes]:
    """So many packets; two of three groups have a bent one among them."""
    made = 0
    while made < count:
        group = random.choice(groups)
        victim = random.randrange(len(group)) if random.random() < 2 / 3 else -1
        for number, packet in enumerate(group[: count - made]):
            made += 1
            yield bent(random, packet) if number == victim else packet


def bent(random: Random, packet: bytes) -> bytes:
    """Cut, lengthened, or with other bytes; the header's checksum is mostly right again, or nobody would read on."""
    data = bytearray(packet)
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        random.choice(BENDS)(random, data)
    return finished(random, data)


def finished(random: Random, data: bytearray) -> bytes:
    """With a hop limit that no kernel gives, and a header checksum that mostly is right."""
    if len(data) >= V4_HEADER and data[0] >> 4 == 4:
        if data[8] in NEVER_SENT:
            data[8] = 66
        length = max(V4_HEADER, min((data[0] & 15) * 4, len(data)) & ~1)
        if random.random() < 0.95:
            data[10:12] = b"\0\0"
            total = sum(struct.unpack_from(f"!{length // 2}H", data))
            total = (total & 0xFFFF) + (total >> 16)
            data[10:12] = struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)
    elif len(data) >= V6_HEADER and data[7] in NEVER_SENT:
        data[7] = 66
    return bytes(data)


def _cut(random: Random, data: bytearray) -> None:
    """A packet that ends early; the lengths in it say so, or not."""
    kept = random.randrange(len(data)) + 1
    del data[kept:]
    if random.random() < 0.8:
        _true_length(random, data)


def _true_length(_: Random, data: bytearray) -> None:
    if len(data) >= V4_HEADER and data[0] >> 4 == 4:
        data[2:4] = struct.pack("!H", len(data))
    elif len(data) >= V6_HEADER:
        data[4:6] = struct.pack("!H", len(data) - V6_HEADER)


def _byte(random: Random, data: bytearray) -> None:
    data[random.randrange(len(data))] = random.choice([0, 1, 0x7F, 0x80, 0xFF, random.getrandbits(8)])


def _head(random: Random, data: bytearray) -> None:
    """A byte of the headers, but not of the addresses."""
    data[random.randrange(min(len(data), 12 if data[0] >> 4 == 4 else 8))] = random.getrandbits(8)


def _transport(random: Random, data: bytearray) -> None:
    """A byte of what stands behind the first header: ports, offsets, flags, lengths, next headers."""
    start = V4_HEADER if data[0] >> 4 == 4 else V6_HEADER
    if len(data) > start:
        data[start + random.randrange(min(len(data) - start, 24))] = random.getrandbits(8)


def _length(random: Random, data: bytearray) -> None:
    """A wrong total or payload length."""
    at = 2 if data[0] >> 4 == 4 else 4
    if len(data) > at + 1:
        data[at : at + 2] = struct.pack("!H", random.choice([0, 1, 19, 20, 39, 40, len(data) - 1, 1500, 65535]))


def _fragment(random: Random, data: bytearray) -> None:
    """Other fragment bits, also the reserved one."""
    if len(data) >= V4_HEADER and data[0] >> 4 == 4:
        data[6:8] = struct.pack(
            "!H", random.choice([0x2000, 0x4000, 0x8000, 1, 0x2001, 0x1FFF, random.getrandbits(16)])
        )
    else:
        _transport(random, data)


def _more(random: Random, data: bytearray) -> None:
    """Bytes that nothing speaks of, in the middle or at the end."""
    at = random.randrange(len(data) + 1)
    data[at:at] = random.randbytes(random.choice([1, 4, 8, 40]))
    if random.random() < 0.5:
        _true_length(random, data)


BENDS: tuple[Callable[[Random, bytearray], None], ...] = (
    *(_cut, _byte, _head, _transport, _transport, _length, _fragment, _more),
)


# What came out


class Reading:
    """Judges what arrives. `own`: the networks a workload may send from, by address length; none: anybody's."""

    def __init__(self, own: Mapping[int, bytes] = MappingProxyType({})) -> None:
        self.own = own
        self.begun: set[tuple[bytes, ...]] = set()
        self.arrived = 0
        self.wrong: list[str] = []

    def take(self, packet: bytes, *, routed: bool) -> None:
        """Notes what arrived beyond the node (`routed`) or at it, and must not have arrived."""
        if why := self.forbids(packet, routed=routed):
            self.wrong.append(f"{'beyond' if routed else 'at'} the node, {why}: {packet.hex()}")

    def forbids(self, packet: bytes, *, routed: bool) -> str:
        """Why this must not have arrived; "" when policy allows it, or a kernel made it."""
        v4 = packet[0] >> 4 == 4
        limit = packet[8 if v4 else 7]
        if limit in OF_A_KERNEL or (is_of_the_link(packet) if routed else self._is_discovery(packet)):
            return ""
        self.arrived += 1
        if not self._is_own(packet[12:16] if v4 else packet[8:24]):
            return "from a foreign source"
        protocol, data, offset, key = upper(packet)
        if offset:
            return "" if key in self.begun else "a fragment of nothing that may pass"
        if self.own and not routed and is_error(packet, protocol, data):
            return ""  # about something that the host sent to its workload, which is nobody's to judge
        why = told(packet, protocol, data)
        if key and not why:
            self.begun.add(key)
        return why

    def _is_own(self, source: bytes) -> bool:
        return not self.own or source.startswith((self.own.get(len(source), b"?"), b"\xfe\x80"))

    def _is_discovery(self, packet: bytes) -> bool:
        """What the node must hear for IPv6 to work at all."""
        if packet[0] >> 4 == 4 or packet[6] != ICMPV6 or len(packet) <= V6_HEADER:
            return False
        found, of_the_link = packet[V6_HEADER], packet[7] == 0xFF
        if self.own:
            return found in FROM_WORKLOAD or (found == REDIRECT and of_the_link)
        return found in DISCOVERY and of_the_link


def is_of_the_link(packet: bytes) -> bool:
    """What no router let through: to a group, from or to a link's own address, or with the highest hop limit."""
    if packet[0] >> 4 == 4:
        return packet[16] >= 0xE0
    return packet[24] == 0xFF or packet[7] == 0xFF or b"\xfe\x80" in {packet[8:10], packet[24:26]}


def told(packet: bytes, protocol: int, data: bytes) -> str:
    """Why a packet, or the first fragment of one, is forbidden."""
    family_icmp = ICMP_NUMBER if packet[0] >> 4 == 4 else ICMPV6
    if protocol in NEEDED:
        if len(data) < NEEDED[protocol]:
            return "its transport header is not whole"
        (dport,) = struct.unpack_from("!H", data, 2)
        return "" if dport == OPEN else f"protocol {protocol} to port {dport}"
    if protocol != family_icmp:
        return f"protocol {protocol}"
    if len(data) < 4:
        return "an ICMP message that is not whole"
    if is_error(packet, protocol, data):
        return "" if quotes_what_may_pass(data[8:]) else f"an ICMP error of type {data[0]} about nothing that may pass"
    return "" if data[0] == REQUESTS[protocol] else f"ICMP type {data[0]}"


def is_error(packet: bytes, protocol: int, data: bytes) -> bool:
    """Whether it is an ICMP error of its family."""
    return protocol == (1 if packet[0] >> 4 == 4 else ICMPV6) and len(data) > 8 and data[0] in ERRORS[protocol]


def quotes_what_may_pass(quoted: bytes) -> bool:
    """Whether the quoted packet belongs to a flow that may pass, in either direction."""
    if len(quoted) < V4_HEADER or (quoted[0] >> 4 == 6 and len(quoted) < V6_HEADER):
        return False
    protocol, data, offset, _ = upper(quoted)
    if offset:
        return False
    if protocol in NEEDED and len(data) >= 4:
        return OPEN in struct.unpack_from("!HH", data)
    if not data or protocol not in REQUESTS:
        return False
    return data[0] in {0, 8, 128, 129} or (quoted[0] >> 4 == 6 and quoted[7] == 0xFF and data[0] in DISCOVERY)


def upper(packet: bytes) -> tuple[int, bytes, int, tuple[bytes, ...]]:
    """Protocol, what it holds, fragment offset, and what all fragments of it share (empty when it is whole)."""
    if packet[0] >> 4 == 4:
        total, _, bits = struct.unpack_from("!HHH", packet, 2)
        key = (packet[12:20], packet[9:10], packet[4:6]) if bits & 0x3FFF else ()
        return packet[9], packet[(packet[0] & 15) * 4 : total], bits & 0x1FFF, key
    protocol, at, key = packet[6], V6_HEADER, ()
    while at + 8 <= len(packet):
        if protocol in EXTENSIONS:
            protocol, at = packet[at], at + (packet[at + 1] + 1) * 8
        elif protocol == AUTHENTICATION:
            protocol, at = packet[at], at + (packet[at + 1] + 2) * 4
        elif protocol == FRAGMENT:
            (bits,) = struct.unpack_from("!H", packet, at + 2)
            if bits & 0xFFF9:
                key = (packet[8:40], packet[at + 4 : at + 8])
            if bits & 0xFFF8:
                return packet[at], b"", bits >> 3, key
            protocol, at = packet[at], at + 8
        else:
            break
    return protocol, packet[at:], 0, key
