"""A log group's packets, from the bytes of its messages; a real group is read in tests/netns/test_nflog.py."""

from itertools import product

import pytest

from calicod.model.hook import Hook
from calicod.netfilter.netlink import HEADER, attribute
from calicod.netfilter.nflog import (
    AT_ONCE,
    MAX_KINDS,
    MAX_LENGTHS,
    MAX_SHAPES,
    NFGEN,
    PACKET,
    PACKET_HEADER,
    PAYLOAD,
    PREFIX,
    SEQUENCE,
    SNAP_BYTES,
    U32,
    U32_MASK,
    Alike,
    Reader,
    Run,
)
from tests.unit.netfilter.logged import (
    CLIENT,
    DONE,
    SERVER,
    TCP,
    UDP,
    fragment_header,
    hop_by_hop,
    message,
    packet,
    read,
    slowly,
)

INPUT = b"\x08\x00\1\0"
CAPTURED = bytes.fromhex(
    "8c0000000004000000000000000000000200000708000100080003000d000a006661696c7361666500000000080005000000000108000b00"
    "0000000008000e000000000008000c0000000003400009004500003c24624000400618587f0000017f000001a826006362abdc0400000000"
    "a002ffd7fe3000000204ffd70402080a5dbb4b60000000000103030abc000000000400000000000000000000020000070800010008000100"
    "05000a000000000008000400000000011000080000060000000000000000000006000f000304000006001100000e00001200100000000000"
    "00000000000000000800000014000300000000006b0899d500000000000ae8d908000c0000000004400009004500003c2462400040061858"
    "7f0000017f000001a826006362abdc0400000000a002ffd7fe3000000204ffd70402080a5dbb4b60000000000103030aac00000000040000"
    "00000000000000000200000708000100080001000d000a006661696c73616665000000000800040000000001100008000006000000000000"
    "0000000006000f000304000006001100000e0000120010000000000000000000000000000800000014000300000000006b0899d500000000"
    "000ae90f08000c00000000052500090045000021696540004011d3647f0000017f000001eda80035000dfe20616263646500000014000000"
    "03000000000000000000000000000007"
)
"""A connection through the loopback interface, by two rules, and a datagram (Linux 6.18)."""


def raw(*parts: bytes) -> bytes:
    """A message of these attributes."""
    body = NFGEN.pack(2, 0, 7) + b"".join(parts)
    return HEADER.pack(HEADER.size + len(body), PACKET, 0, 0, 0) + body + bytes(-len(body) % 4)


def learns(data: bytes) -> int:
    """How many layouts, when it is read two times, to the same value as attribute by attribute."""
    reader = Reader()
    assert (read(reader, data, data), reader.lost) == slowly(data, data)
    return reader.learned


def test_what_the_kernel_writes_is_read() -> None:
    loopback = bytes([127, 0, 0, 1])
    flow = (TCP, loopback, loopback, 43046, 99)
    reader = Reader()

    assert read(reader, CAPTURED) == [
        (Hook.OUTPUT, True, *flow),
        (Hook.INPUT, False, *flow),
        (Hook.INPUT, True, UDP, loopback, loopback, 60840, 53),
    ]
    assert (reader.lost, reader.learned) == (0, 2)


@pytest.mark.parametrize(
    ("family", "hook", "failsafe", "ours"),
    list(product((4, 6), (Hook.INPUT, Hook.FORWARD, Hook.OUTPUT), (False, True), (False, True))),
)
def test_a_packet_is_told_with_hook_prefix_addresses_and_ports(
    family: int, hook: Hook, failsafe: bool, ours: bool
) -> None:
    prefix = "failsafe" if failsafe else ""
    some = b"".join(
        message(n, packet(family, TCP, 40000 + n, 443), hook=hook, prefix=prefix, sent_by_us=ours) for n in range(3)
    )
    reader = Reader()
    expected = [(hook, failsafe, TCP, CLIENT[family], SERVER[family], 40000 + n, 443) for n in range(3)]

    assert read(reader, some + DONE) == expected
    assert read(Reader(), some + DONE, some) == expected * 2
    assert (reader.lost, reader.learned) == (0, 1)


@pytest.mark.parametrize("protocol", [TCP, UDP])
@pytest.mark.parametrize("stamped", [False, True])
def test_messages_of_two_families_and_lengths_in_one_datagram_are_all_told_in_order(
    protocol: int, stamped: bool
) -> None:
    packets = [packet(4, protocol), packet(6, protocol), packet(4, protocol, size=60), packet(4, protocol)]
    data = b"".join(message(n, each, stamped=stamped and n != 2) for n, each in enumerate(packets)) + DONE
    reader = Reader()

    found = read(reader, data, data)

    assert [len(one[3]) for one in found] == [4, 16, 4, 4] * 2
    assert reader.lost == U32_MASK + 1 - 4  # the second time from number 0 again


@pytest.mark.parametrize("family", [4, 6])
def test_a_byte_that_differs_is_read_as_if_nothing_had_been_learned(family: int) -> None:
    usual = message(1, packet(family))
    for at, other in product(range(len(usual)), (0, 0x55, 0xFF)):
        changed = usual[:at] + bytes([other]) + usual[at + 1 :]
        some = (usual, changed, usual + changed, changed + usual)
        reader = Reader()
        assert (read(reader, *some), reader.lost) == slowly(*some), at


@pytest.mark.parametrize("family", [4, 6])
def test_of_many_that_are_alike_one_that_differs_is_read_as_what_it_is(family: int) -> None:
    some = [message(n, packet(family, sport=1024 + n)) for n in range(AT_ONCE)]
    usual = b"".join(some)
    reader, runs = Reader(), list[Run | Alike]()
    for _ in range(3):
        reader.parse(usual, runs)
    assert [(type(run), len(run[-1])) for run in runs[-2:]] == [(Alike, AT_ONCE)] * 2

    for at in range(len(some[7])):
        other = some[7][:at] + bytes([some[7][at] ^ 0x55]) + some[7][at + 1 :]
        data = b"".join((*some[:7], other, *some[8:]))
        reader = Reader()
        assert (read(reader, usual, usual, data), reader.lost) == slowly(usual, usual, data), at


def test_who_sends_does_not_choose_how_much_is_remembered() -> None:
    reader = Reader()
    for size, source in product(range(26, 66, 4), range(MAX_KINDS)):
        some = bytearray(packet(size=size))
        some[12:16] = bytes([198, 51, 100, source])
        data = b"".join(message(0, bytes(some)) for _ in range(AT_ONCE))
        runs: list[Run | Alike] = []
        for _ in range(3):
            reader.parse(data, runs)
        assert isinstance(runs[-1], Alike)
        assert runs[-1].src == some[12:16]

    assert 0 < len(reader._kinds) <= MAX_KINDS
    assert all(len(shape._several) <= 2 for shapes in reader._shapes.values() for shape in shapes)


UNUSUAL = {
    "UDP": (packet(4, UDP), True),
    "SCTP": (packet(4, 132), False),
    "ICMP": (packet(4, 1), False),
    "options": (packet(4, options=bytes(4)), True),
    "a first fragment": (packet(4, bits=0x2000), True),
    "a later fragment": (packet(4, bits=7), False),
    "a short later fragment": (packet(4, bits=7, size=0)[:21], False),
    "an extension header": (packet(6, extensions=hop_by_hop(TCP)), True),
    "a first fragment of IPv6": (packet(6, extensions=fragment_header(TCP, 1)), True),
    "a later fragment of IPv6": (packet(6, extensions=fragment_header(TCP, 9)), False),
    "no whole header": (packet(4)[:30], False),
    "no packet": (b"", False),
}


@pytest.mark.parametrize(("unusual", "told"), UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_no_plain_tcp_is_read_the_slow_way_or_counted_as_lost(unusual: bytes, told: bool) -> None:
    reader = Reader()

    found = read(reader, message(1, unusual), message(2, unusual) + message(3, packet()))

    assert (len(found), reader.lost) == ((3, 0) if told else (1, 2))
    assert reader.learned == 1


def test_a_header_that_says_the_packet_ends_before_its_ports_is_not_read_at_once() -> None:
    short, usual = bytearray(packet()), packet()
    short[2:4] = (30).to_bytes(2)
    reader = Reader()

    assert len(read(reader, message(1, usual), message(2, bytes(short)))) == 1
    assert reader.lost == 1


ODD = {
    "an attribute without length": raw(
        attribute(PACKET_HEADER, INPUT), attribute(SEQUENCE, U32.pack(1)), attribute(PAYLOAD, packet()), bytes(8)
    ),
    "an attribute that goes on": raw(
        attribute(PACKET_HEADER, INPUT), attribute(SEQUENCE, U32.pack(1)), attribute(PAYLOAD, packet()), b"\x40\0\1\0"
    ),
    "two numbers": raw(
        attribute(PACKET_HEADER, INPUT), attribute(SEQUENCE, U32.pack(1)) * 2, attribute(PAYLOAD, packet())
    ),
    "a longer number": raw(
        attribute(PACKET_HEADER, INPUT), attribute(SEQUENCE, bytes(6)), attribute(PAYLOAD, packet())
    ),
    "a shorter number": raw(
        attribute(PACKET_HEADER, INPUT), attribute(SEQUENCE, bytes(1)), attribute(PAYLOAD, packet())
    ),
    "no number": raw(attribute(PACKET_HEADER, INPUT), attribute(PAYLOAD, packet())),
    "two packets": raw(
        attribute(PACKET_HEADER, INPUT), attribute(SEQUENCE, U32.pack(1)), attribute(PAYLOAD, packet()) * 2
    ),
    "the number behind": raw(
        attribute(PACKET_HEADER, INPUT), attribute(PAYLOAD, packet()), attribute(SEQUENCE, U32.pack(1))
    ),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_what_is_laid_out_as_no_kernel_does_is_read_and_not_learned(odd: bytes) -> None:
    assert len(read(Reader(), odd)) == 1
    assert learns(odd) == 0


@pytest.mark.parametrize(
    "odd",
    [
        raw(attribute(SEQUENCE, U32.pack(1)), attribute(PAYLOAD, packet())),
        raw(attribute(PACKET_HEADER, b"\x08\0\0\0"), attribute(SEQUENCE, U32.pack(1)), attribute(PAYLOAD, packet())),
        raw(attribute(PACKET_HEADER, b"\x08"), attribute(SEQUENCE, U32.pack(1)), attribute(PAYLOAD, packet())),
        raw(),
    ],
    ids=["no packet header", "another hook", "a short packet header", "nothing"],
)
def test_a_packet_whose_hook_is_not_known_is_lost(odd: bytes) -> None:
    assert slowly(odd) == ([], 1)
    assert learns(odd) == 0


def test_an_order_of_attributes_that_is_new_is_learned_too() -> None:
    """The kernel may come to write them in another one."""
    other = raw(attribute(SEQUENCE, U32.pack(1)), attribute(PAYLOAD, packet(size=27)), attribute(PACKET_HEADER, INPUT))

    assert learns(other) == 1


@pytest.mark.parametrize("prefix", ["other", "failsafe2", "fail"])
def test_another_prefix_is_no_failsafe(prefix: str) -> None:
    assert [one[1] for one in read(Reader(), message(1, packet(), prefix=prefix))] == [False]


NO_PACKETS = {
    "nothing": b"",
    "less than a header": DONE[:-1],
    "zeros": bytes(400),
    "a length of 0": HEADER.pack(0, PACKET, 0, 0, 0) + message(1, packet())[16:],
    "a length of a header": HEADER.pack(16, PACKET, 0, 0, 0) + message(1, packet())[16:],
    "a length beyond": HEADER.pack(4096, PACKET, 0, 0, 0) + message(1, packet())[16:],
    "the greatest length": HEADER.pack(U32_MASK, PACKET, 0, 0, 0) + message(1, packet())[16:],
    "another message": HEADER.pack(len(message(1, packet())), 2, 0, 0, 0) + message(1, packet())[16:],
    "cut": message(1, packet())[:-1],
    "the end of a series": DONE,
}


@pytest.mark.parametrize("data", NO_PACKETS.values(), ids=NO_PACKETS)
def test_what_is_no_packet_is_none_whatever_was_learned(data: bytes) -> None:
    reader = Reader()
    usual = message(1, packet())

    assert len(read(reader, usual, data)) == 1
    assert read(reader, data) == []
    assert reader.lost == 0


def test_what_is_cut_off_is_counted_when_the_next_one_comes() -> None:
    some = b"".join(message(n, packet()) for n in range(4))
    reader = Reader()

    assert len(read(reader, some[:-1], message(4, packet()))) == 4
    assert reader.lost == 1


@pytest.mark.parametrize("protocol", [TCP, UDP], ids=["at once", "slowly"])
def test_gaps_are_counted_also_where_the_numbers_begin_anew(protocol: int) -> None:
    reader = Reader()
    for number in (U32_MASK - 1, U32_MASK, 0, 1, 5, 6, 8):
        assert len(read(reader, message(number, packet(4, protocol)) + DONE)) == 1

    assert reader.lost == 3 + 1


def test_nothing_is_lost_before_the_first_one_whatever_its_number() -> None:
    reader = Reader()
    read(reader, message(1234, packet()))

    assert reader.lost == 0


def test_what_is_learned_is_bounded() -> None:
    reader, payload = Reader(), packet(size=80)[:SNAP_BYTES]
    for total, size in product(range(1000, 1002 + MAX_SHAPES), range(0, 4 * MAX_LENGTHS + 12, 4)):
        long = attribute(PAYLOAD, payload[:2] + total.to_bytes(2) + payload[4:])
        head = attribute(PACKET_HEADER, INPUT) + attribute(100, bytes(size))
        assert len(read(reader, raw(head, attribute(SEQUENCE, U32.pack(1)), long))) == 1

    assert reader.learned == MAX_SHAPES * MAX_LENGTHS


def test_a_packet_without_anything_behind_a_series_is_lost() -> None:
    usual, reader = message(1, packet()), Reader()

    assert len(read(reader, usual, message(2, packet()) + raw())) == 2
    assert reader.lost == 1


def test_what_cannot_be_learned_takes_no_room_from_what_can() -> None:
    reader = Reader()
    for size in range(0, 8 * MAX_LENGTHS, 4):
        head = attribute(PACKET_HEADER, INPUT) + attribute(PREFIX, bytes(size))
        read(reader, raw(head, attribute(PAYLOAD, packet(4, UDP))))
    read(reader, message(1, packet()))

    assert reader.learned == 1
