import pytest

from calicod.model.protocol import ICMP, ICMPV6, TCP, UDP
from calicod.packet.decode import decode
from calicod.packet.turn import TURNED, identifier, is_error, quoted, turned
from calicod.packet.value import Malformed, Packet
from tests.build import OUTSIDE, OUTSIDE6, W6, W, icmp, tcp
from tests.unit.packet.raw import (
    ECHO_REQUEST,
    ECHO_REQUEST_6,
    PORTS,
    TCP_SEGMENT,
    UDP_DATAGRAM,
    authentication,
    options,
    v4,
    v6,
)

UNREACHABLE, UNREACHABLE_6 = bytes([3, 1]) + bytes(6), bytes([1, 4]) + bytes(6)


def test_a_packet_of_the_other_direction_has_its_ends_swapped():
    assert turned(tcp(80, OUTSIDE, W, sport=40000)) == tcp(40000, W, OUTSIDE, sport=80)


@pytest.mark.parametrize(("request_", "reply"), [(8, 0), (13, 14), (15, 16), (17, 18), (42, 43)])
def test_an_icmp_reply_becomes_its_request_and_back(request_, reply):
    assert turned(icmp(reply, 0, W, OUTSIDE)) == icmp(request_, 0, OUTSIDE, W)
    assert turned(icmp(request_, 0, W, OUTSIDE)) == icmp(reply, 0, OUTSIDE, W)


@pytest.mark.parametrize(("request_", "reply"), [(128, 129), (139, 140), (160, 161)])
def test_an_icmpv6_reply_becomes_its_request_and_back(request_, reply):
    assert turned(icmp(reply, 0, W6, OUTSIDE6)) == icmp(request_, 0, OUTSIDE6, W6)


def test_types_without_a_pair_stay_as_they_are():
    assert turned(icmp(3, 1)).icmp_type == 3
    assert turned(icmp(8, 0, OUTSIDE6, W6)).icmp_type == 8
    assert all(TURNED[family, other] == kind for (family, kind), other in TURNED.items())


def test_a_fragment_stays_one_and_a_hop_limit_stays():
    packet = Packet(6, ICMPV6, b"a" * 16, b"b" * 16, icmp_type=135, icmp_code=0, hop_limit=255)

    assert turned(packet).hop_limit == 255
    assert turned(Packet(4, TCP, b"abcd", b"efgh", fragment=True)).fragment


def test_errors_are_messages_that_quote():
    assert {kind for kind in range(256) if is_error(icmp(kind))} == {3, 4, 5, 11, 12}
    assert {kind for kind in range(256) if is_error(icmp(kind, 0, OUTSIDE6, W6))} == {1, 2, 3, 4}
    assert not is_error(tcp(80))


@pytest.mark.parametrize("inner", [v4(TCP, TCP_SEGMENT), v4(UDP, UDP_DATAGRAM), v4(ICMP, ECHO_REQUEST)])
def test_an_error_quotes_its_packet(inner):
    assert quoted(v4(ICMP, UNREACHABLE + inner)) == decode(inner)


def test_eight_bytes_of_the_quoted_transport_are_enough():
    """RFC 792: the internet header plus the first 64 bits."""
    inner = v4(TCP, TCP_SEGMENT)

    assert quoted(v4(ICMP, UNREACHABLE + inner[:28])) == decode(inner)
    assert quoted(v4(ICMP, UNREACHABLE + inner[:27])).why == "short-transport"


def test_an_icmpv6_error_quotes_a_packet_behind_extension_headers():
    inner = v6(0, options(51) + authentication(TCP) + TCP_SEGMENT)
    error = v6(60, options(ICMPV6) + UNREACHABLE_6 + inner)

    assert quoted(error) == decode(inner)


def test_what_is_no_error_quotes_nothing():
    assert quoted(v4(TCP, TCP_SEGMENT)) is None
    assert quoted(v4(ICMP, ECHO_REQUEST)) is None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (v4(TCP, PORTS), "short-transport"),
        (v4(ICMP, UNREACHABLE), "no-quote"),
        (v4(ICMP, UNREACHABLE + v6(TCP, TCP_SEGMENT)), "quoted-version"),
        (v6(ICMPV6, UNREACHABLE_6 + v4(TCP, TCP_SEGMENT)), "quoted-version"),
        (v4(ICMP, UNREACHABLE + v4(TCP, TCP_SEGMENT)[:12]), "short-header"),
    ],
)
def test_an_error_whose_quote_cannot_be_read_says_why(raw, expected):
    found = quoted(raw)

    assert isinstance(found, Malformed)
    assert found.why == expected


def test_what_follows_the_error_in_the_buffer_is_not_quoted():
    error = v4(ICMP, UNREACHABLE + v4(TCP, TCP_SEGMENT)[:24])

    assert quoted(error + TCP_SEGMENT).why == "short-transport"


def test_a_query_has_an_identifier_and_so_has_the_one_that_an_error_quotes():
    assert identifier(v4(ICMP, ECHO_REQUEST)) == identifier(v6(60, options(ICMPV6) + ECHO_REQUEST_6)) == 0x1234
    assert identifier(v4(ICMP, UNREACHABLE + v4(ICMP, ECHO_REQUEST)), quoting=True) == 0x1234


def test_an_identifier_that_is_cut_off_is_not_known():
    assert identifier(v6(ICMPV6, ECHO_REQUEST_6[:5])) == -1
