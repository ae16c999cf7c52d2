import pytest

from calicod.model.network import parse_address
from calicod.model.protocol import ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE
from calicod.packet.decode import MAX_EXTENSIONS, decode
from calicod.packet.value import Malformed, Packet
from tests.unit.packet.raw import (
    DST,
    DST6,
    ECHO_REQUEST,
    ECHO_REQUEST_6,
    PORTS,
    SCTP_PACKET,
    SRC,
    SRC6,
    TCP_SEGMENT,
    UDP_DATAGRAM,
    authentication,
    fragment,
    options,
    v4,
    v6,
)

ENDS4 = (parse_address(SRC), parse_address(DST))
ENDS6 = (parse_address(SRC6), parse_address(DST6))
TRANSPORTS = [(TCP, TCP_SEGMENT), (UDP, UDP_DATAGRAM), (UDPLITE, UDP_DATAGRAM), (SCTP, SCTP_PACKET)]
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION, NO_NEXT = 0, 43, 44, 51, 60, 59
MOBILITY, HIP, SHIM6, ESP = 135, 139, 140, 50
MORE_V4 = 0x2000


def why(raw: bytes) -> str:
    found = decode(raw)
    assert isinstance(found, Malformed)
    return found.why


# IPv4


@pytest.mark.parametrize(("protocol", "transport"), TRANSPORTS)
def test_protocols_with_ports_are_read_with_their_ports(protocol, transport):
    assert decode(v4(protocol, transport)) == Packet(4, protocol, *ENDS4, 40000, 80)
    assert decode(v6(protocol, transport)) == Packet(6, protocol, *ENDS6, 40000, 80)


def test_icmp_is_read_with_type_and_code_and_only_in_its_own_family():
    assert decode(v4(ICMP, ECHO_REQUEST)) == Packet(4, ICMP, *ENDS4, icmp_type=8, icmp_code=0)
    assert decode(v6(ICMPV6, ECHO_REQUEST_6)) == Packet(6, ICMPV6, *ENDS6, icmp_type=128, icmp_code=0, hop_limit=64)
    assert decode(v4(ICMPV6, ECHO_REQUEST_6)) == Packet(4, ICMPV6, *ENDS4)
    assert decode(v6(ICMP, ECHO_REQUEST)) == Packet(6, ICMP, *ENDS6)


def test_the_hop_limit_tells_neighbour_discovery_of_this_link():
    assert decode(v6(ICMPV6, bytes([135, 0, 0, 0]), hop_limit=255)).hop_limit == 255


def test_other_protocols_have_no_ports():
    assert decode(v4(47, b"")) == Packet(4, 47, *ENDS4)
    assert decode(v6(NO_NEXT, b"")) == Packet(6, NO_NEXT, *ENDS6)
    assert decode(v6(ESP, bytes(8))) == Packet(6, ESP, *ENDS6)


def test_the_transport_begins_behind_the_options():
    assert decode(v4(TCP, TCP_SEGMENT, options=bytes([1] * 40))) == Packet(4, TCP, *ENDS4, 40000, 80)


def test_the_packet_ends_where_its_length_says_whatever_follows():
    assert decode(v4(UDP, UDP_DATAGRAM) + bytes(100)) == Packet(4, UDP, *ENDS4, 40000, 80)
    assert why(v4(UDP, UDP_DATAGRAM, total=24) + bytes(100)) == "short-transport"
    assert why(v6(UDP, UDP_DATAGRAM, length=4) + bytes(100)) == "short-transport"


def test_a_payload_that_the_queue_cut_off_is_no_fault():
    whole = v4(TCP, TCP_SEGMENT + bytes(1000))

    assert decode(whole[:40]) == decode(whole)


def test_packets_longer_than_their_length_field_can_tell_are_read():
    """BIG TCP: total length, or payload length, 0."""
    assert decode(v4(TCP, TCP_SEGMENT, total=0)) == Packet(4, TCP, *ENDS4, 40000, 80)
    assert decode(v6(TCP, TCP_SEGMENT, length=0)) == Packet(6, TCP, *ENDS6, 40000, 80)
    assert why(v4(UDP, UDP_DATAGRAM, total=0)) == "header-length"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "empty"),
        (b"\x00", "version"),
        (b"\x50" + bytes(60), "version"),
        (b"\x45", "short-header"),
        (v4(TCP, TCP_SEGMENT)[:19], "short-header"),
        (b"\x44" + v4(TCP, TCP_SEGMENT)[1:], "header-length"),
        (b"\x4f" + v4(UDP, UDP_DATAGRAM)[1:], "header-length"),
        (v4(TCP, TCP_SEGMENT, total=19), "header-length"),
        (v4(TCP, TCP_SEGMENT[:19]), "short-transport"),
        (v4(UDP, UDP_DATAGRAM[:7]), "short-transport"),
        (v4(ICMP, ECHO_REQUEST[:7]), "short-transport"),
        (b"\x60", "short-header"),
        (v6(TCP, TCP_SEGMENT)[:39], "short-header"),
        (v6(TCP, TCP_SEGMENT[:19]), "short-transport"),
        (v6(ICMPV6, ECHO_REQUEST_6[:3]), "short-transport"),
        (v6(HOP_BY_HOP, options(TCP)[:7]), "short-extension"),
        (v6(HOP_BY_HOP, options(TCP, 4)[:12]), "short-extension"),
        (v6(AUTHENTICATION, authentication(TCP)[:20]), "short-extension"),
    ],
)
def test_what_cannot_be_read_says_why(raw, expected):
    assert why(raw) == expected


def test_what_was_read_of_a_malformed_packet_is_told():
    assert decode(v4(TCP, b"")) == Malformed("short-transport", 4, TCP, *ENDS4)
    assert decode(v6(HOP_BY_HOP, b"")) == Malformed("short-extension", 6, HOP_BY_HOP, *ENDS6)


# Extension headers


def test_extension_headers_are_walked_whatever_their_order():
    headers = options(DESTINATION) + options(AUTHENTICATION, 2) + authentication(ROUTING) + options(TCP)

    assert decode(v6(HOP_BY_HOP, headers + TCP_SEGMENT)) == Packet(6, TCP, *ENDS6, 40000, 80)


def test_the_headers_walked_are_bounded():
    def behind(count):
        return v6(DESTINATION, options(DESTINATION) * (count - 1) + options(UDP) + UDP_DATAGRAM)

    assert decode(behind(MAX_EXTENSIONS - 1)) == Packet(6, UDP, *ENDS6, 40000, 80)
    assert why(behind(MAX_EXTENSIONS)) == "extensions"


@pytest.mark.parametrize("kind", [MOBILITY, HIP, SHIM6])
def test_a_signalling_header_is_the_packets_protocol_whatever_follows_it(kind):
    """Conntrack stops there too: its flow would be stamped for a segment that only we saw."""
    assert decode(v6(kind, options(NO_NEXT))) == Packet(6, kind, *ENDS6)
    assert decode(v6(kind, options(TCP) + TCP_SEGMENT)) == Packet(6, kind, *ENDS6)


# Fragments


def test_a_later_fragment_has_no_ports():
    assert decode(v4(TCP, TCP_SEGMENT, bits=5)) == Packet(4, TCP, *ENDS4, fragment=True)
    assert decode(v6(FRAGMENT, fragment(TCP, 5) + TCP_SEGMENT)) == Packet(6, TCP, *ENDS6, fragment=True)


def test_a_first_fragment_that_holds_its_header_is_known_by_its_ports():
    assert decode(v4(TCP, TCP_SEGMENT, bits=MORE_V4)) == Packet(4, TCP, *ENDS4, 40000, 80)
    assert decode(v6(FRAGMENT, fragment(TCP, 0, 1) + TCP_SEGMENT)) == Packet(6, TCP, *ENDS6, 40000, 80)


def test_a_first_fragment_too_short_for_its_header_is_like_a_later_one():
    """An overlapping fragment could fill in what is missing."""
    assert decode(v4(TCP, PORTS, bits=MORE_V4)) == Packet(4, TCP, *ENDS4, fragment=True)
    assert decode(v6(FRAGMENT, fragment(TCP, 0, 1) + PORTS)) == Packet(6, TCP, *ENDS6, fragment=True)


def test_a_first_fragment_that_ends_within_an_extension_header_is_like_a_later_one():
    raw = v6(FRAGMENT, fragment(DESTINATION, 0, 1) + options(TCP)[:6])

    assert decode(raw) == Packet(6, DESTINATION, *ENDS6, fragment=True)


def test_an_atomic_fragment_is_a_whole_packet():
    """RFC 6946: a fragment header without offset and without more."""
    assert decode(v6(FRAGMENT, fragment(UDP) + UDP_DATAGRAM)) == Packet(6, UDP, *ENDS6, 40000, 80)
    assert why(v6(FRAGMENT, fragment(UDP) + PORTS)) == "short-transport"


def test_what_stands_behind_a_later_fragments_header_is_data_and_not_walked():
    raw = v6(FRAGMENT, fragment(DESTINATION, 3) + options(TCP) + TCP_SEGMENT)

    assert decode(raw) == Packet(6, DESTINATION, *ENDS6, fragment=True)


def test_of_two_fragment_headers_each_counts():
    raw = v6(FRAGMENT, fragment(FRAGMENT, 0, 1) + fragment(TCP) + PORTS)

    assert decode(raw) == Packet(6, TCP, *ENDS6, fragment=True)
