"""Whatever bytes a log group gives, they are read; at once to the same value as attribute by attribute."""

from hypothesis import given
from hypothesis import strategies as st

from calicod.model.hook import Hook
from calicod.netfilter.nflog import AT_ONCE, U32_MASK, Reader
from tests.unit.netfilter.logged import DONE, TCP, UDP, fragment_header, hop_by_hop, message, packet, read, slowly

PROTOCOLS = st.sampled_from([TCP, TCP, TCP, UDP, 1, 47, 132])
PORTS = st.integers(0, 65535)
SIZES = st.sampled_from([6, 26, 26, 26, 27, 66])
BITS = st.sampled_from([0, 0, 0, 0x4000, 0x2000, 0x2007, 7])
"""Of a fragment: don't, more, and where."""
HOOKS = [Hook.INPUT, Hook.FORWARD, Hook.OUTPUT]
CHANGES = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=3)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    protocol, ports, size = draw(PROTOCOLS), (draw(PORTS), draw(PORTS)), draw(SIZES)
    if draw(st.booleans()):
        options = draw(st.sampled_from([b"", b"", b"", bytes(4), bytes(40)]))
        return packet(4, protocol, *ports, size=size, options=options, bits=draw(BITS))
    more = draw(st.sampled_from([b"", b"", b"", hop_by_hop(protocol), fragment_header(protocol, draw(BITS))]))
    return packet(6, protocol, *ports, size=size, extensions=more)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    made = message(
        draw(st.integers(0, 3) | st.integers(U32_MASK - 3, U32_MASK) | st.integers(0, U32_MASK)),
        draw(packets()),
        hook=draw(st.sampled_from(HOOKS)),
        prefix=draw(st.sampled_from(["", "", "failsafe", "other"])),
        sent_by_us=draw(st.booleans()),
        stamped=draw(st.booleans()),
    )
    return changed(made, draw(CHANGES | st.just([])))


def changed(message: bytes, changes: list[tuple[int, int]]) -> bytes:
    """The same with other bytes in some places."""
    data = bytearray(message)
    for place, value in changes:
        data[place % len(data)] = value
    return bytes(data)


@st.composite
def datagrams(draw: st.DrawFn) -> bytes:
    some = draw(st.lists(messages(), max_size=4))
    if draw(st.booleans()):
        some = some[:1] * draw(st.integers(0, 5)) + some
    data = b"".join(some) + draw(st.sampled_from([DONE, DONE, b"", bytes(3)]))
    return data[: len(data) - draw(st.sampled_from([0, 0, 0, 1, 4, 21, 90]))]


@st.composite
def full(draw: st.DrawFn) -> list[bytes]:
    """Datagrams with as many messages as the kernel gives at once, most of them alike but for port and number."""
    family, number = draw(st.sampled_from([4, 6])), draw(st.integers(0, 9) | st.integers(U32_MASK - 60, U32_MASK))
    made = []
    for _ in range(draw(st.integers(2, 4))):
        first, step = draw(PORTS), draw(st.integers(0, 3))
        some = [
            message(number + n & U32_MASK, packet(family, TCP, first + step * n & 0xFFFF), hook=Hook.FORWARD)
            for n in range(AT_ONCE)
        ]
        number += AT_ONCE + draw(st.sampled_from([0, 0, 0, 5]))
        for at in draw(st.lists(st.integers(0, AT_ONCE - 1), max_size=2)):
            some[at] = changed(some[at], draw(CHANGES))
        made.append(b"".join(some) + draw(st.sampled_from([DONE, b""])))
    return made


@given(full())
def test_full_datagrams_of_one_kind_are_read_to_the_same_value(some: list[bytes]) -> None:
    reader = Reader()

    assert (read(reader, *some), reader.lost) == slowly(*some)


@given(st.lists(datagrams(), max_size=4))
def test_what_is_read_at_once_is_what_is_read_attribute_by_attribute(some: list[bytes]) -> None:
    reader = Reader()

    found = read(reader, *some, *some)

    assert (found, reader.lost) == slowly(*some, *some)
    assert all(0 <= one[5] <= 65535 and 0 <= one[6] <= 65535 for one in found)


@given(messages(), CHANGES, st.integers(0, 200))
def test_a_message_that_almost_is_like_one_before_is_read_as_if_it_were_the_first(
    message: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    almost = changed(message, changes)
    almost = almost[: len(almost) - cut % len(almost)]
    reader = Reader()

    found = read(reader, message, almost, message + almost)

    assert (found, reader.lost) == slowly(message, almost, message + almost)


@given(st.lists(st.binary(max_size=400), max_size=5))
def test_any_bytes_give_an_answer(some: list[bytes]) -> None:
    reader = Reader()

    assert (read(reader, *some), reader.lost) == slowly(*some)


@given(st.integers(0, U32_MASK), st.lists(st.tuples(st.integers(1, 40), st.integers(0, 1000)), min_size=1, max_size=6))
def test_of_every_packet_it_is_known_whether_it_came(first: int, series: list[tuple[int, int]]) -> None:
    """So many messages in a datagram, and so many lost after it."""
    reader, number, missed = Reader(), first, 0
    for count, gap in series:
        some = [message(number + n & U32_MASK, packet()) for n in range(count)]
        assert len(read(reader, b"".join(some) + DONE)) == count
        assert reader.lost == missed
        number += count + gap
        missed += gap
