"""How this kernel lays out the messages about connections, learned from those that came.

Law: a message that is laid out like one before is read at once, to the same value as attribute by attribute; any other
is read the slow way. What is learned is bounded, and nothing depends on it but speed: at 10,000 connections a second,
reading their ends was the largest part of the supervisor's work.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from struct import Struct

import msgspec

from calicod.netfilter import flow as ct
from calicod.netfilter.flow import ATTRIBUTE_WORD, Flow, FlowTuple, read
from calicod.netfilter.netlink import NLA_TYPE_MASK

MAX_SHAPES = 32
ENDS = ("src", "dst", "protocol", "sport", "dport")
"""What the content of a direction is called, as it lies there."""
REST = ("mark", "status", "zone", "packets", "bytes", "reply_packets", "reply_bytes", "start_ns", "stop_ns")
ABSENT = (0, 0, 0, -1, -1, -1, -1, 0, 0)
"""`REST` of a message that has none of it."""
ORDER = tuple(f"{side}.{end}" for side in ("original", "reply") for end in ("protocol", *ENDS[:2], *ENDS[3:]))
"""What the two FlowTuples of a Flow take."""
TUPLES = {ct.TUPLE_ORIGINAL: "original", ct.TUPLE_REPLY: "reply"}
COUNTED = "8xQ4xQ"
NUMBERS = {
    (ct.MARK, 8): ("4xI", ("mark",)),
    (ct.STATUS, 8): ("4xI", ("status",)),
    (ct.ZONE, 6): ("4xH", ("zone",)),
    (ct.COUNTERS_ORIGINAL, ct.COUNTERS_LENGTH): (COUNTED, ("packets", "bytes")),
    (ct.COUNTERS_REPLY, ct.COUNTERS_LENGTH): (COUNTED, ("reply_packets", "reply_bytes")),
    (ct.TIMESTAMP, ct.BOTH_LENGTH): (COUNTED, ("start_ns", "stop_ns")),
    (ct.TIMESTAMP, ct.START_LENGTH): ("8xQ", ("start_ns",)),
}
"""Attribute and length -> how its content is read, and what that is called. Those with Q are nested."""
READ = frozenset(kind for kind, _ in NUMBERS) | frozenset({ct.TUPLE_MASTER})
"""What must not be passed over."""
HEAD = b"\xff" * ATTRIBUTE_WORD.size
"""The mask of an attribute's header."""


class Shape(msgspec.Struct, frozen=True):
    """Messages whose bytes under `mask` are `value`; `content` reads the others, `order` is that of a Flow."""

    mask: int
    value: int
    content: Struct
    order: Callable[[tuple[object, ...]], tuple[object, ...]]


class Shapes:
    """What was learned so far, by length and family."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Shape | None] = {}

    @property
    def learned(self) -> int:
        """How many layouts are read at once."""
        return sum(1 for shape in self._known.values() if shape is not None)

    def read(self, data: bytes, offset: int, end: int, family: int) -> Flow | None:
        """As `flow.read`."""
        shape = self._known.get((end - offset, family))
        if shape is not None and int.from_bytes(data[offset:end]) & shape.mask == shape.value:
            values = shape.order(shape.content.unpack_from(data, offset) + ABSENT)
            return Flow(FlowTuple(*values[:5]), FlowTuple(*values[5:10]), *values[10:])  # type: ignore[arg-type]  # by `order`
        found = read(data, offset, end, family)
        if found is not None and (end - offset, family) not in self._known and len(self._known) < MAX_SHAPES:
            self._known[end - offset, family] = learn(data[offset:end], family)
        return found


class Layout(msgspec.Struct, frozen=True):
    """A whole message: which of its bits are fixed, how its content is read, what that is called."""

    mask: bytes
    form: str
    names: tuple[str, ...]

    def order(self, wanted: Sequence[str]) -> Callable[[tuple[object, ...]], tuple[object, ...]]:
        """Puts what was read, followed by what is `ABSENT`, in the order of these names."""
        places = {name: len(self.names) + number for number, name in enumerate(REST)}
        places |= {name: number for number, name in enumerate(self.names)}
        return itemgetter(*(places[name] for name in wanted))


def learn(body: bytes, family: int) -> Shape | None:
    """The shape of a message that was read; None when it is one of those that must be read the slow way."""
    layout = lay_out(body, family)
    if layout is None:
        return None
    number = int.from_bytes(layout.mask)
    return Shape(number, int.from_bytes(body) & number, Struct(f">{layout.form}"), layout.order((*ORDER, *REST)))


def lay_out(body: bytes, family: int) -> Layout | None:
    """Of the attributes of a connection with ports; None when it must be read the slow way."""
    mask, form, names = b"", "", list[str]()
    while len(mask) < len(body):
        part = describe(body[len(mask) :], family)
        if part is None:
            return None
        padding = -len(part.mask) % 4
        mask += part.mask + bytes(padding)
        form += f"{part.form}{padding}x"
        names += part.names
    if len(mask) != len(body) or not {*ORDER} <= {*names} or len({*names}) < len(names):
        return None
    return Layout(mask, form, tuple(names))


class Part(msgspec.Struct, frozen=True):
    """One attribute: which of its bits are fixed, how its content is read, what that is called."""

    mask: bytes
    form: str
    names: tuple[str, ...] = ()


def describe(body: bytes, family: int) -> Part | None:
    """The attribute that begins the bytes; None: not as this kernel lays it out, or one that is seldom."""
    if len(body) < ATTRIBUTE_WORD.size:
        return None
    length, kind = ATTRIBUTE_WORD.unpack_from(body)
    kind &= NLA_TYPE_MASK
    if not ATTRIBUTE_WORD.size <= length <= len(body):
        return None
    if kind in TUPLES:
        return direction(TUPLES[kind], body[:length], family)
    content = bytes(length - len(HEAD))
    if (kind, length) in NUMBERS:
        form, names = NUMBERS[kind, length]
        return Part(HEAD + ((HEAD + bytes(8)) * len(names) if "Q" in form else content), form, names)
    return None if kind in READ else Part(HEAD + content, f"{length}x")


def direction(side: str, body: bytes, family: int) -> Part | None:
    """A direction with ports."""
    layout = ct.port_layout(family, len(body))
    if layout is None or int.from_bytes(body) & layout.mask != layout.value:
        return None
    mask = HEAD + layout.mask.to_bytes(layout.size)[len(HEAD) :]
    return Part(mask, layout.form, tuple(f"{side}.{end}" for end in ENDS))
