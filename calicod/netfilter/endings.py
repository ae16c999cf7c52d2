"""The ends of connections, many a second, from conntrack's messages to what is told of them and no more.

Law: a message that is laid out like one before is read at once, to the same value as attribute by attribute
(benchmarks/conntrack.py); what is learned is bounded, and nothing depends on it but speed.
"""

from collections.abc import Callable
from struct import Struct

import msgspec

from calicod.netfilter.flow import DELETE, EVENT_HEAD, NFGEN, Flow, parse
from calicod.netfilter.netlink import HEADER
from calicod.netfilter.shape import ABSENT, MAX_SHAPES, REST, Shapes, lay_out

WHOLE = HEADER.size + NFGEN.size
HEAD_MASK = b"\xff" * 6 + bytes(10) + b"\xff" * NFGEN.size
"""Of netlink's header length and type are fixed, flags, sequence number and port id are not."""
ORDER = ("original.src", "reply.src", "original.sport", "reply.sport", "original.protocol", "mark", *REST[3:])
"""What an `Ended` takes."""


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A connection that ended: source before NAT, destination after it (`Flow`, which explains the others).

    The original source stands for a client behind this host's masquerading, the reply's source for a server behind its
    DNAT. ICMP: the identifier, and type and code as one number, stand for the ports.
    """

    src: bytes
    dst: bytes
    sport: int
    dport: int
    protocol: int
    mark: int = 0
    packets: int = -1
    octets: int = -1
    reply_packets: int = -1
    reply_octets: int = -1
    start_ns: int = 0
    stop_ns: int = 0
    icmp_type: int = -1
    icmp_code: int = -1

    @property
    def ends(self) -> tuple[bytes, bytes, int, int, int]:
        """Of the flow (`daemon.flows.Ends`)."""
        return self.src, self.dst, self.sport, self.dport, self.protocol


def ended(flow: Flow) -> Ended:
    """The end of a connection that was read in full."""
    f, original, reply = flow, flow.original, flow.reply
    sport, dport = original.sport, reply.sport
    if original.icmp_type >= 0:
        sport, dport = original.icmp_id, original.icmp_type << 8 | original.icmp_code
    return Ended(
        original.src,
        reply.src,
        sport,
        dport,
        original.protocol,
        f.mark,
        f.packets,
        f.bytes,
        f.reply_packets,
        f.reply_bytes,
        f.start_ns,
        f.stop_ns,
        original.icmp_type,
        original.icmp_code,
    )


class Form(msgspec.Struct, frozen=True):
    """Datagrams whose bytes under `mask` are `value`: `order` of `content`, and of what is `absent`, is an Ended."""

    mask: int
    value: int
    content: Struct
    absent: tuple[int, ...]
    order: Callable[[tuple[object, ...]], tuple[object, ...]]


class Reader:
    """Datagrams of conntrack's events, in any order."""

    def __init__(self) -> None:
        self._forms: dict[int, Form | None] = {}
        self._shapes = Shapes()

    @property
    def learned(self) -> int:
        """How many layouts of ends are read at once."""
        return sum(1 for form in self._forms.values() if form is not None)

    def read(self, data: bytes, began: list[Flow], ends: list[Ended]) -> None:
        """Adds what one datagram tells."""
        form = self._forms.get(len(data))
        if form is not None and int.from_bytes(data) & form.mask == form.value:
            values = form.content.unpack(data)
            ends.append(Ended(*form.order(values + form.absent if form.absent else values)))  # type: ignore[arg-type]  # by `ORDER`
            return
        for event in parse(data, self._shapes.read):
            if event.new:
                began.append(event.flow)
            else:
                ends.append(ended(event.flow))
                if len(data) not in self._forms and len(self._forms) < MAX_SHAPES:
                    self._forms[len(data)] = learn(data)


def learn(data: bytes) -> Form | None:
    """The form of a datagram that was read: one message, the end of a connection with ports; None for any other."""
    length, kind, _, _, _, family = EVENT_HEAD.unpack_from(data)
    layout = lay_out(data[WHOLE:], family)
    if (length, kind) != (len(data), DELETE) or layout is None:
        return None
    absent = ABSENT if {*REST} - {*layout.names} else ()
    mask = int.from_bytes(HEAD_MASK + layout.mask)
    return Form(mask, int.from_bytes(data) & mask, Struct(f">{WHOLE}x{layout.form}"), absent, layout.order(ORDER))
