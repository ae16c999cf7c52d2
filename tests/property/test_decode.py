"""Any bytes decode; what scapy forged is read as scapy reads it; turning twice gives the packet again."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, IPv6

from calicod.model.network import V4_LENGTH, V6_LENGTH
from calicod.packet.ambiguous import is_ambiguous
from calicod.packet.decode import decode, decode_v4, decode_v6
from calicod.packet.turn import is_error, quoted, turned
from calicod.packet.value import Malformed, Packet
from tests.property.forge import FORGED, V4_ADDRESSES, V6_ADDRESSES, seen_by_scapy, truncations, v4_bytes, v6_bytes
from tests.property.rulesets import DATA, Choices

V4_ERRORS = [ICMP(type=kind, code=1) for kind in (3, 4, 5, 11, 12)]
V6_ERRORS = [ICMPv6DestUnreach(code=1), ICMPv6PacketTooBig()]
CHANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=6)


def check_answer(raw: bytes) -> None:
    """An answer that is whole, whatever the bytes."""
    answer = decode(raw)
    inner = quoted(raw)
    assert is_ambiguous(raw) in {True, False}

    assert isinstance(answer, Packet | Malformed)
    assert inner is None or isinstance(inner, Packet | Malformed)
    if isinstance(answer, Packet):
        length = V4_LENGTH if answer.family == 4 else V6_LENGTH
        assert len(answer.src) == len(answer.dst) == length
        assert -1 <= answer.sport <= 65535 and -1 <= answer.dport <= 65535
        assert not (answer.fragment and (answer.sport >= 0 or answer.icmp_type >= 0))
        assert (answer.sport < 0 and answer.dport < 0) or answer.icmp_type < 0


def changed(raw: bytes, changes: list[tuple[int, int]]) -> bytes:
    copy = bytearray(raw)
    for position, value in changes:
        copy[position % len(copy)] = value
    return bytes(copy)


@given(st.binary(max_size=200))
def test_any_bytes_decode(raw):
    check_answer(raw)


@given(st.sampled_from([b"\x45", b"\x46", b"\x4f", b"\x60"]), st.binary(max_size=120))
def test_any_bytes_that_begin_like_a_packet_decode(first, rest):
    check_answer(first + rest)


@given(FORGED, CHANGES)
def test_a_packet_with_bytes_changed_decodes(raw, changes):
    check_answer(changed(raw, changes))


@given(FORGED)
def test_a_packet_is_read_as_scapy_reads_it(raw):
    assert decode(raw) == seen_by_scapy(raw)


@given(FORGED)
def test_a_truncated_packet_is_malformed_or_the_same_or_a_fragment_without_its_header(raw):
    whole = decode(raw)
    bare = msgspec.structs.replace(whole, sport=-1, dport=-1, icmp_type=-1, icmp_code=-1, fragment=True, hop_limit=-1)
    for part in truncations(raw):
        answer = decode(part)
        if isinstance(answer, Packet) and answer.protocol == bare.protocol:
            assert answer in {whole, bare}
        else:
            assert isinstance(answer, Malformed) or answer.fragment


@given(FORGED, st.binary(max_size=40))
def test_what_follows_the_packet_in_the_buffer_is_not_part_of_it(raw, rest):
    assert decode(raw + rest) == decode(raw)


@given(FORGED)
def test_turning_twice_gives_the_packet_again(raw):
    packet = decode(raw)

    assert turned(turned(packet)) == packet


@given(DATA)
def test_turning_any_packet_swaps_its_ends_and_nothing_else_but_icmp_types(data):
    choices = Choices(data)
    for packet in [choices.packet() for _ in range(10)]:
        other = turned(packet)

        assert turned(other) == packet
        assert (other.src, other.dst, other.sport, other.dport) == (packet.dst, packet.src, packet.dport, packet.sport)
        assert (other.family, other.protocol, other.icmp_code) == (packet.family, packet.protocol, packet.icmp_code)


@given(v4_bytes(), st.sampled_from(V4_ERRORS), V4_ADDRESSES, V4_ADDRESSES)
def test_an_icmp_error_quotes_the_packet_it_is_about(inner, error, src, dst):
    raw = bytes(IP(src=src, dst=dst) / error) + inner
    raw = bytes(IP(src=src, dst=dst, len=len(raw)) / error) + inner

    assert is_error(decode(raw))
    assert quoted(raw) == decode(inner)


@given(v6_bytes(), st.sampled_from(V6_ERRORS), V6_ADDRESSES, V6_ADDRESSES)
def test_an_icmpv6_error_quotes_the_packet_it_is_about(inner, error, src, dst):
    raw = bytes(IPv6(src=src, dst=dst) / error) + inner
    raw = bytes(IPv6(src=src, dst=dst, plen=len(raw) - 40) / error) + inner

    assert is_error(decode(raw))
    assert quoted(raw) == decode(inner)


@given(FORGED)
def test_what_is_no_icmp_error_quotes_nothing(raw):
    packet = decode(raw)

    assert is_error(packet) or quoted(raw) is None


@given(FORGED, CHANGES, st.integers(0, 80))
def test_what_is_read_at_once_is_what_the_slow_way_reads(raw, changes, cut):
    for each in (raw, changed(raw, changes), changed(raw, changes)[: cut or 1]):
        slow = {4: decode_v4, 6: decode_v6}.get(each[0] >> 4)
        assert slow is None or decode(each) == slow(each)
