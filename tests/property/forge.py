"""Packets made by scapy, and what scapy reads in bytes: the forge and the oracle of the decoder's properties."""

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_Router_Alert, IPOption_RR
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6Unknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Packet as Layer
from scapy.packet import Raw

from calicod.model.network import format_address, parse_address
from calicod.model.protocol import ICMP as ICMP_NUMBER
from calicod.model.protocol import ICMPV6, UDPLITE
from calicod.model.protocol import SCTP as SCTP_NUMBER
from calicod.model.protocol import TCP as TCP_NUMBER
from calicod.model.protocol import UDP as UDP_NUMBER
from calicod.packet.value import Packet

EXTENSIONS = {0: IPv6ExtHdrHopByHop, 43: IPv6ExtHdrRouting, 44: IPv6ExtHdrFragment, 51: AH, 60: IPv6ExtHdrDestOpt}
WITH_PORTS = {TCP_NUMBER: TCP, UDP_NUMBER: UDP, SCTP_NUMBER: SCTP, UDPLITE: UDP}
"""scapy does not know UDPLite; its header is as long as UDP's, and the ports are at the same place."""
MESSAGES = {(4, ICMP_NUMBER): ICMP, (6, ICMPV6): ICMPv6Unknown}
LAST = (1 << 16) - 1

PORTS = st.integers(0, LAST)
PAYLOADS = st.binary(max_size=20)
V4_ADDRESSES = st.binary(min_size=4, max_size=4).map(format_address)
V6_ADDRESSES = st.binary(min_size=16, max_size=16).map(format_address)
OPTIONS = st.lists(
    st.sampled_from([IPOption_NOP(), IPOption_Router_Alert(), IPOption_RR(routers=["0.0.0.0", "0.0.0.0"])]), max_size=3
)
BYTE = st.integers(0, 255)


def with_data(transports: st.SearchStrategy[Layer]) -> st.SearchStrategy[Layer]:
    return st.builds(lambda transport, data: transport / Raw(data) if data else transport, transports, PAYLOADS)


TCP_SEGMENTS = st.builds(
    TCP,
    sport=PORTS,
    dport=PORTS,
    options=st.sampled_from([[], [("MSS", 1460)], [("Timestamp", (1, 2)), ("NOP", None)]]),
)
UDP_DATAGRAMS = st.builds(UDP, sport=PORTS, dport=PORTS)
SCTP_PACKETS = st.builds(lambda sport, dport: SCTP(sport=sport, dport=dport) / SCTPChunkInit(), PORTS, PORTS)
UDPLITE_DATAGRAMS = UDP_DATAGRAMS.map(lambda datagram: Raw(bytes(datagram)))
OTHERS = st.tuples(st.sampled_from([4, 47, 50, 59, 89, 253]), PAYLOADS.map(Raw))
COMMON = st.one_of(
    st.tuples(st.just(TCP_NUMBER), with_data(TCP_SEGMENTS)),
    st.tuples(st.just(UDP_NUMBER), with_data(UDP_DATAGRAMS)),
    st.tuples(st.just(SCTP_NUMBER), SCTP_PACKETS),
    st.tuples(st.just(UDPLITE), with_data(UDPLITE_DATAGRAMS)),
    OTHERS,
)
V4_TRANSPORTS = COMMON | st.tuples(st.just(ICMP_NUMBER), with_data(st.builds(ICMP, type=BYTE, code=BYTE)))
V6_TRANSPORTS = COMMON | st.tuples(
    st.just(ICMPV6),
    with_data(
        st.one_of(
            st.builds(ICMPv6EchoRequest, code=BYTE),
            st.builds(ICMPv6ND_NS, code=BYTE),
            st.builds(ICMPv6Unknown, type=BYTE, code=BYTE),
        )
    ),
)


@st.composite
def v4_bytes(draw: st.DrawFn) -> bytes:
    protocol, transport = draw(V4_TRANSPORTS)
    flags, offset = draw(st.sampled_from([("", 0), ("", 0), ("DF", 0), ("MF", 0), ("MF", 3), ("", 8191)]))
    header = IP(
        src=draw(V4_ADDRESSES), dst=draw(V4_ADDRESSES), options=draw(OPTIONS), flags=flags, frag=offset, proto=protocol
    )
    return bytes(header / transport)


@st.composite
def v6_bytes(draw: st.DrawFn) -> bytes:
    """Extension headers of each kind, in any order, also twice."""
    protocol, transport = draw(V6_TRANSPORTS)
    kinds = draw(st.lists(st.sampled_from(sorted(EXTENSIONS)), max_size=5))
    chain = [*kinds, protocol]
    packet = IPv6(src=draw(V6_ADDRESSES), dst=draw(V6_ADDRESSES), nh=chain[0], hlim=draw(BYTE))
    for kind, following in pairwise(chain):
        packet /= draw(extension(kind, following))
    return bytes(packet / transport)


def extension(kind: int, nh: int) -> st.SearchStrategy[Layer]:
    match kind:
        case 43:
            return st.lists(V6_ADDRESSES, max_size=2).map(
                lambda addresses: IPv6ExtHdrRouting(nh=nh, addresses=addresses)
            )
        case 44:
            fragments = st.sampled_from([(0, 0), (0, 1), (0, 1), (3, 1), (8191, 0)])
            return fragments.map(lambda bits: IPv6ExtHdrFragment(nh=nh, offset=bits[0], m=bits[1]))
        case 51:
            return st.sampled_from([1, 3, 5]).map(lambda words: AH(nh=nh, payloadlen=words + 1, icv=bytes(4 * words)))
        case _:
            return st.just(EXTENSIONS[kind](nh=nh))


FORGED = v4_bytes() | v6_bytes()


def seen_by_scapy(raw: bytes) -> Packet:
    """What scapy reads in a whole packet, put as `decode` puts it."""
    outer = IP(raw) if raw[0] >> 4 == 4 else IPv6(raw)
    family, data = 4 if isinstance(outer, IP) else 6, bytes(outer.payload)
    protocol, fragment, data = (outer.proto, outer.frag > 0, data) if family == 4 else walked(outer.nh, data)
    src, dst = parse_raw(outer.src), parse_raw(outer.dst)
    if fragment:
        return Packet(family, protocol, src, dst, fragment=True)
    if protocol in WITH_PORTS:
        transport = WITH_PORTS[protocol](data)
        return Packet(family, protocol, src, dst, transport.sport, transport.dport)
    if (family, protocol) in MESSAGES:
        message = MESSAGES[family, protocol](data)
        hop_limit = outer.hlim if family == 6 else -1
        return Packet(family, protocol, src, dst, icmp_type=message.type, icmp_code=message.code, hop_limit=hop_limit)
    return Packet(family, protocol, src, dst)


def walked(protocol: int, data: bytes) -> tuple[int, bool, bytes]:
    """The upper layer's protocol, whether it is part of a later fragment, and its bytes.

    Header by header: scapy alone reads nothing behind an authentication header.
    """
    while protocol in EXTENSIONS:
        layer = EXTENSIONS[protocol](data)
        protocol, data = layer.nh, bytes(layer.payload)
        if isinstance(layer, IPv6ExtHdrFragment) and layer.offset:
            return protocol, True, data
    return protocol, False, data


def parse_raw(text: str) -> bytes:
    """The bytes of an address as they were, mapped ones too."""
    packed = parse_address(text)
    return packed if (len(packed) == 4) == ("." in text and ":" not in text) else bytes(10) + b"\xff\xff" + packed


def truncations(raw: bytes) -> Iterable[bytes]:
    """What a queue might copy of it."""
    return (raw[:length] for length in range(len(raw)))
