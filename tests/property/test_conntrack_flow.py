"""Whatever bytes come, conntrack's reader answers; whatever it writes, it reads."""

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.conntrack import connection, ended, event
from calicod.netfilter.flow import NEW, TUPLE_ORIGINAL, TUPLE_REPLY, FlowTuple, head, parse, write_tuple
from calicod.netfilter.shape import Shapes

PORTS = st.integers(0, 65535)


@st.composite
def tuples(draw: st.DrawFn) -> FlowTuple:
    size = draw(st.sampled_from([4, 16]))
    src, dst = draw(st.binary(min_size=size, max_size=size)), draw(st.binary(min_size=size, max_size=size))
    protocol = draw(st.integers(0, 255))
    if protocol in {1, 58}:
        return FlowTuple(protocol, src, dst, -1, -1, draw(PORTS), draw(st.integers(0, 255)), draw(st.integers(0, 255)))
    if draw(st.booleans()):
        return FlowTuple(protocol, src, dst, draw(PORTS), draw(PORTS))
    return FlowTuple(protocol, src, dst)


@given(tuples())
def test_a_direction_is_read_as_it_was_written(flow: FlowTuple) -> None:
    family = 4 if len(flow.src) == 4 else 6
    body = head(family) + write_tuple(TUPLE_ORIGINAL, flow) + write_tuple(TUPLE_REPLY, flow)

    (told,) = parse(event(NEW, body))

    assert told.flow.original == told.flow.reply == flow


@given(st.binary(max_size=400))
def test_any_bytes_give_an_answer(data: bytes) -> None:
    assert isinstance(parse(data), list)


@given(
    st.sampled_from([ended(4), ended(6), event(NEW, connection(4))]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
    st.integers(0, 300),
)
def test_a_damaged_event_gives_an_answer_and_the_same_one_when_it_was_learned(
    message: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    damaged = bytearray(message)
    for position, value in changes:
        damaged[position % len(damaged)] = value

    data, shapes = bytes(damaged[: len(damaged) - cut]), Shapes()
    slowly = parse(data)

    assert parse(data, shapes.read) == parse(data, shapes.read) == slowly
    assert parse(message, shapes.read) == parse(message)
