import pytest

from calicod.model.protocol import TCP, UDP
from calicod.packet.ambiguous import is_ambiguous
from calicod.packet.decode import MAX_EXTENSIONS
from tests.netns.twofold import OPTIONS, ROUTING, twofold
from tests.unit.packet.raw import SRC6, TCP_SEGMENT, UDP_DATAGRAM, authentication, options, v4, v6

HOP_BY_HOP, AUTHENTICATION = 0, 51
TARGET = "fd00:192::1"
LONG = bytes(400)


def defragmented(raw: bytes) -> bytes:
    """What conntrack leaves of a packet with one extension header and an atomic fragment header."""
    at = 40 + (raw[41] + 1) * 8
    length = (len(raw) - 48).to_bytes(2, "big")
    return raw[:4] + length + raw[6:40] + raw[at : at + 1] + raw[41:at] + raw[at + 8 :]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(("kind", "shown"), [(OPTIONS, 8080), (OPTIONS, 443), (OPTIONS, 7000), (ROUTING, 0x1B00)])
def test_a_packet_behind_a_packet_is_found(protocol, kind, shown):
    raw = bytes(twofold(SRC6, TARGET, protocol, shown, 22, b"word", kind))

    assert is_ambiguous(defragmented(raw))


@pytest.mark.parametrize("before", [options(OPTIONS), options(OPTIONS, 3)])
def test_hop_by_hop_options_hide_nothing(before):
    raw = defragmented(bytes(twofold(SRC6, TARGET, "tcp", 8080, 22, b"")))

    assert is_ambiguous(v6(HOP_BY_HOP, before + raw[40:]))


def test_it_is_found_behind_further_headers():
    hidden = bytes([TCP, 0, 1, 4, 0, 0, 0, 0]) + TCP_SEGMENT

    assert is_ambiguous(v6(OPTIONS, bytes([AUTHENTICATION, 0, 1, 4, 0, 0, 0, 0]) + authentication(TCP) + hidden))
    assert not is_ambiguous(v6(AUTHENTICATION, authentication(TCP) + hidden))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        v4(TCP, TCP_SEGMENT),
        v6(TCP, TCP_SEGMENT),
        v6(HOP_BY_HOP, options(TCP) + TCP_SEGMENT),
        v6(HOP_BY_HOP, b"\0"),
        v6(OPTIONS, b""),
        v6(OPTIONS, options(TCP) + TCP_SEGMENT),
        v6(ROUTING, options(UDP) + UDP_DATAGRAM + LONG),
    ],
)
def test_what_can_be_read_in_one_way_only_is_not_ambiguous(raw):
    assert not is_ambiguous(raw)


@pytest.mark.parametrize("option", [0x40, 0x80, 0xC0])
def test_an_option_that_makes_the_receiver_drop_the_packet_hides_nothing(option):
    segment = bytes([TCP, 1, option, 12]) + bytes(12) + TCP_SEGMENT

    assert not is_ambiguous(v6(OPTIONS, options(TCP) + segment))
    assert is_ambiguous(v6(OPTIONS, options(TCP) + bytes([TCP, 1, 0x1E, 12]) + bytes(12) + TCP_SEGMENT))


@pytest.mark.parametrize(("kind", "segments", "found"), [(0, 1, False), (0, 0, True), (4, 1, True)])
def test_a_routing_header_with_segments_left_is_followed_only_where_linux_does(kind, segments, found):
    assert is_ambiguous(v6(ROUTING, options(TCP) + bytes([TCP, 0, kind, segments]) + bytes(40))) is found


def test_a_chain_that_is_too_long_is_ambiguous():
    assert is_ambiguous(v6(OPTIONS, bytes([OPTIONS, 0, 0x80, 9, 0, 0, 0, 0]) * (MAX_EXTENSIONS + 2)))
