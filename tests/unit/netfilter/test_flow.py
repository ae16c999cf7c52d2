"""Connections and events, from the bytes of conntrack's messages."""

import pytest

from benchmarks.conntrack import connection, ended, event
from calicod.netfilter.flow import (
    DELETE,
    IP,
    NEW,
    PROTO,
    PROTOINFO,
    PROTOINFO_TCP,
    STATUS,
    TCP_STATE,
    TUPLE_MASTER,
    TUPLE_ORIGINAL,
    TUPLE_REPLY,
    ZONE,
    ConntrackEvent,
    Flow,
    FlowTuple,
    has_ended,
    head,
    parse,
    write_tuple,
)
from calicod.netfilter.netlink import HEADER, NLA_F_NESTED, attribute

CLIENT = {4: bytes([10, 0, 0, 1]), 6: bytes(15) + b"\x01"}
SERVER = {4: bytes([10, 0, 0, 2]), 6: bytes(15) + b"\x02"}

TUPLES = [
    pytest.param(FlowTuple(6, CLIENT[4], SERVER[4], 40000, 443), id="tcp4"),
    pytest.param(FlowTuple(17, CLIENT[6], SERVER[6], 1, 65535), id="udp6"),
    pytest.param(FlowTuple(132, CLIENT[4], SERVER[4], 0, 0), id="sctp-port-0"),
    pytest.param(FlowTuple(1, CLIENT[4], SERVER[4], -1, -1, 77, 8, 0), id="icmp4"),
    pytest.param(FlowTuple(58, CLIENT[6], SERVER[6], -1, -1, 77, 128, 0), id="icmp6"),
    pytest.param(FlowTuple(47, CLIENT[4], SERVER[4]), id="gre-without-keys"),
    pytest.param(FlowTuple(47, CLIENT[6], SERVER[6]), id="generic6"),
]


def family_of(flow: FlowTuple) -> int:
    return 4 if len(flow.src) == 4 else 6


def message(kind: int, flow: FlowTuple, rest: bytes = b"") -> bytes:
    """An event whose reply has addresses and ports exchanged."""
    reply = FlowTuple(flow.protocol, flow.dst, flow.src, flow.dport, flow.sport, *_icmp(flow))
    body = head(family_of(flow)) + write_tuple(TUPLE_ORIGINAL, flow) + write_tuple(TUPLE_REPLY, reply) + rest
    return event(kind, body)


def _icmp(flow: FlowTuple) -> tuple[int, int, int]:
    return flow.icmp_id, flow.icmp_type, flow.icmp_code


@pytest.mark.parametrize("family", [4, 6])
def test_the_end_of_a_connection_is_told_with_everything(family: int) -> None:
    original = FlowTuple(6, CLIENT[family], SERVER[family], 40000, 443)
    reply = FlowTuple(6, SERVER[family], CLIENT[family], 443, 40000)

    assert parse(ended(family)) == [
        ConntrackEvent(
            new=False,
            flow=Flow(
                original,
                reply,
                mark=0x22300,
                status=0x18E,
                packets=12,
                bytes=3456,
                reply_packets=12,
                reply_bytes=3456,
                start_ns=1_790_000_000_000_000_000,
                stop_ns=1_790_000_001_000_000_000,
            ),
        )
    ]


def test_a_beginning_has_no_counters_and_no_times() -> None:
    (began,) = parse(event(NEW, connection(4)))

    assert began.new
    assert (began.flow.packets, began.flow.reply_bytes, began.flow.start_ns, began.flow.stop_ns) == (-1, -1, 0, 0)


@pytest.mark.parametrize("flow", TUPLES)
def test_a_direction_is_read_as_it_was_written(flow: FlowTuple) -> None:
    (began,) = parse(message(NEW, flow))

    assert began.flow.original == flow


def test_zone_and_master_are_read() -> None:
    master = FlowTuple(6, CLIENT[4], SERVER[4], 50000, 21)
    rest = attribute(ZONE, b"\x00\x07") + write_tuple(TUPLE_MASTER, master)

    (began,) = parse(message(NEW, FlowTuple(6, CLIENT[4], SERVER[4], 1, 2), rest))

    assert (began.flow.zone, began.flow.master) == (7, master)


def test_a_direction_laid_out_otherwise_is_read_to_the_same_value() -> None:
    flow = FlowTuple(6, CLIENT[4], SERVER[4], 40000, 443)
    address = attribute(2, flow.dst) + attribute(1, flow.src)
    proto = attribute(3, b"\x01\xbb") + attribute(2, b"\x9c\x40") + attribute(1, b"\x06")
    other = attribute(TUPLE_ORIGINAL | NLA_F_NESTED, attribute(PROTO, proto) + attribute(IP, address))
    body = head(4) + other + write_tuple(TUPLE_REPLY, flow)

    (began,) = parse(event(NEW, body))

    assert began.flow.original == began.flow.reply == flow


def test_several_events_in_one_datagram_are_all_told() -> None:
    assert [e.new for e in parse(event(NEW, connection(4)) + ended(6) + event(NEW, connection(6)))] == [
        True,
        False,
        True,
    ]


def test_a_change_of_a_connection_that_goes_on_is_no_event() -> None:
    body = connection(4)

    assert parse(HEADER.pack(HEADER.size + len(body), NEW, 0, 0, 0) + body) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        event(NEW, head(4)),
        event(NEW, b"\x07\0\0\0" + connection(4)[4:]),
        event(NEW, connection(4))[:-1],
        event(99, connection(4)),
        event(NEW, head(6) + connection(4)[4:]),
        event(NEW, connection(4) + attribute(STATUS, b"")),
        event(DELETE, write_tuple(TUPLE_ORIGINAL, FlowTuple(6, b"", b""))),
    ],
)
def test_what_is_no_connection_is_no_event(data: bytes) -> None:
    assert parse(data) == []


@pytest.mark.parametrize(
    ("state", "gone"), [(1, False), (3, False), (5, False), (6, True), (7, True), (8, True), (9, False)]
)
def test_a_tcp_connection_of_which_only_the_memory_is_left_has_ended(state: int, gone: bool) -> None:
    info = attribute(PROTOINFO_TCP | NLA_F_NESTED, attribute(TCP_STATE, bytes([state])))

    assert has_ended(attribute(STATUS, bytes(4)) + attribute(PROTOINFO | NLA_F_NESTED, info)) is gone


def test_what_has_no_states_has_not_ended() -> None:
    assert not has_ended(attribute(STATUS, bytes(4)))
