import pytest

from benchmarks.conntrack import connection, ended, event
from calicod.netfilter.flow import (
    DELETE,
    NEW,
    TUPLE_MASTER,
    TUPLE_ORIGINAL,
    TUPLE_REPLY,
    ZONE,
    FlowTuple,
    head,
    parse,
    write_tuple,
)
from calicod.netfilter.netlink import attribute
from calicod.netfilter.shape import MAX_SHAPES, Shapes

OTHERS = {
    "ports, ended, IPv4": ended(4),
    "ports, ended, IPv6": ended(6),
    "ports, begun": event(NEW, connection(4)),
}


def changed(message: bytes, at: int) -> bytes:
    """The same with another byte there."""
    return message[:at] + bytes([message[at] ^ 0x55]) + message[at + 1 :]


@pytest.mark.parametrize("message", OTHERS.values(), ids=OTHERS)
def test_what_is_laid_out_like_one_before_is_read_to_the_same_value(message: bytes) -> None:
    shapes = Shapes()
    assert parse(message, shapes.read) == parse(message)

    for at in range(len(message)):
        other = changed(message, at)
        assert parse(other, shapes.read) == parse(other), at


@pytest.mark.parametrize("message", OTHERS.values(), ids=OTHERS)
def test_the_usual_messages_are_learned(message: bytes) -> None:
    shapes = Shapes()
    parse(message, shapes.read)

    assert shapes.learned == 1


def test_what_is_seldom_is_read_the_slow_way_each_time() -> None:
    flow = FlowTuple(6, bytes(4), bytes(4), 1, 2)
    ping = FlowTuple(1, bytes(4), bytes(4), -1, -1, 7, 8, 0)
    both = write_tuple(TUPLE_ORIGINAL, flow) + write_tuple(TUPLE_REPLY, flow)
    bodies = (
        head(4) + both + write_tuple(TUPLE_MASTER, flow),
        head(4) + write_tuple(TUPLE_ORIGINAL, ping) + write_tuple(TUPLE_REPLY, ping),
        head(4) + both + attribute(ZONE, b"\0\0\0\7"),
        head(4) + both + both,
    )
    shapes = Shapes()
    for message in (event(DELETE, body) for body in bodies):
        assert parse(message, shapes.read) == parse(message, shapes.read) == parse(message)

    assert shapes.learned == 0


def test_what_is_learned_is_bounded() -> None:
    flow = FlowTuple(6, bytes(4), bytes(4), 1, 2)
    both = head(4) + write_tuple(TUPLE_ORIGINAL, flow) + write_tuple(TUPLE_REPLY, flow)
    shapes = Shapes()
    for size in range(4 * MAX_SHAPES):
        parse(event(DELETE, both + attribute(100, bytes(4 * size))), shapes.read)

    assert shapes.learned == MAX_SHAPES
