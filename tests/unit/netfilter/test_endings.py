from dataclasses import dataclass, field

import pytest

from benchmarks.conntrack import connection, ended, event
from calicod.netfilter.endings import Ended, Reader
from calicod.netfilter.endings import ended as end_of
from calicod.netfilter.flow import (
    DELETE,
    NEW,
    TUPLE_MASTER,
    TUPLE_ORIGINAL,
    TUPLE_REPLY,
    Flow,
    FlowTuple,
    head,
    parse,
    write_tuple,
)
from calicod.netfilter.netlink import HEADER
from calicod.netfilter.shape import MAX_SHAPES
from tests.unit.netfilter.test_shape import changed

TCP, ICMP = 6, 1
CLIENT, SERVER, INSIDE = (bytes([10, 0, 0, n]) for n in (1, 2, 3))


@dataclass
class Told:
    """What one reader has told so far."""

    reader: Reader = field(default_factory=Reader)
    began: list[Flow] = field(default_factory=list)
    ends: list[Ended] = field(default_factory=list)

    def read(self, *datagrams: bytes) -> "Told":
        for data in datagrams:
            self.reader.read(data, self.began, self.ends)
        return self


def slowly(data: bytes) -> tuple[list[Flow], list[Ended]]:
    """The same, attribute by attribute."""
    events = parse(data)
    return [e.flow for e in events if e.new], [end_of(e.flow) for e in events if not e.new]


def end(original: FlowTuple, reply: FlowTuple, rest: bytes = b"") -> bytes:
    return event(DELETE, head(4) + write_tuple(TUPLE_ORIGINAL, original) + write_tuple(TUPLE_REPLY, reply) + rest)


@pytest.mark.parametrize("family", [4, 6])
def test_an_end_has_the_source_before_nat_and_the_destination_after_it(family: int) -> None:
    told = Told().read(ended(family), ended(family))

    (first, second), size = told.ends, {4: 4, 6: 16}[family]
    assert first == second
    assert (len(first.src), first.src[-1], first.dst[-1], first.sport, first.dport) == (size, 1, 2, 40000, 443)
    assert (first.protocol, first.mark, first.icmp_type) == (TCP, 0x22300, -1)
    assert (first.packets, first.octets, first.reply_packets, first.reply_octets) == (12, 3456, 12, 3456)
    assert first.stop_ns - first.start_ns == 1_000_000_000
    assert (told.began, told.reader.learned) == ([], 1)


def test_with_destination_nat_the_replys_source_is_the_destination() -> None:
    data = end(FlowTuple(TCP, CLIENT, SERVER, 1025, 80), FlowTuple(TCP, INSIDE, CLIENT, 8080, 1025))

    told = Told().read(data, data)

    assert [one.ends for one in told.ends] == [(CLIENT, INSIDE, 1025, 8080, TCP)] * 2
    assert (told.ends[1].packets, told.ends[1].start_ns, told.ends[1].mark) == (-1, 0, 0)


def test_of_a_ping_identifier_type_and_code_stand_for_the_ports() -> None:
    request, answer = FlowTuple(ICMP, CLIENT, SERVER, -1, -1, 7, 8, 0), FlowTuple(ICMP, SERVER, CLIENT, -1, -1, 7, 0, 0)

    told = Told().read(end(request, answer))

    assert [(one.ends, one.icmp_type, one.icmp_code) for one in told.ends] == [
        ((CLIENT, SERVER, 7, 8 << 8, ICMP), 8, 0)
    ]
    assert told.reader.learned == 0


@pytest.mark.parametrize("family", [4, 6])
def test_a_byte_that_differs_is_read_as_if_nothing_had_been_learned(family: int) -> None:
    usual = ended(family)
    for at in range(len(usual)):
        other = changed(usual, at)
        told = Told().read(usual, other, usual)
        assert (told.began, told.ends) == tuple(
            [one for data in (usual, other, usual) for one in slowly(data)[side]] for side in (0, 1)
        ), at


def test_what_begins_and_several_in_one_datagram_are_read_too() -> None:
    began = event(NEW, connection(4))

    told = Told().read(began, ended(4) + began + ended(6), ended(4))

    assert (len(told.began), len(told.ends), told.reader.learned) == (2, 3, 1)


def test_what_was_expected_by_a_helper_is_read_the_slow_way() -> None:
    flow = FlowTuple(TCP, CLIENT, SERVER, 1, 2)
    data = end(flow, flow, write_tuple(TUPLE_MASTER, flow))

    assert Told().read(data, data).reader.learned == 0


def test_what_is_learned_is_bounded() -> None:
    told = Told()
    for size in range(2 * MAX_SHAPES):
        told.read(end(FlowTuple(TCP, CLIENT, SERVER, 1, 2), FlowTuple(TCP, SERVER, CLIENT, 2, 1), attributes(size)))

    assert len(told.ends) == 2 * MAX_SHAPES
    assert told.reader.learned == MAX_SHAPES


def attributes(size: int) -> bytes:
    """One that nobody knows."""
    length = 4 + 4 * size
    return length.to_bytes(2, "little") + (100).to_bytes(2, "little") + bytes(4 * size)


@pytest.mark.parametrize("data", [b"", b"\0", ended(4)[: HEADER.size], ended(4)[:-1]], ids=len)
def test_what_is_cut_short_tells_nothing(data: bytes) -> None:
    told = Told().read(ended(4), data)

    assert (told.began, len(told.ends)) == ([], 1)
