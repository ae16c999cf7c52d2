import pytest

from calicod.packet.value import Malformed, Packet


def test_what_a_packet_has_not_is_minus_one():
    bare = Packet(4, 47, bytes(4), bytes(4))

    assert (bare.sport, bare.dport, bare.icmp_type, bare.icmp_code, bare.hop_limit) == (-1,) * 5
    assert not bare.fragment


def test_packets_are_values():
    first, second = (Packet(4, 6, bytes(4), bytes(4), 1, 2) for _ in range(2))

    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(AttributeError):
        first.dport = 3


def test_what_is_malformed_says_why_and_what_was_read():
    assert Malformed("empty") == Malformed("empty", 0, -1, b"", b"")
