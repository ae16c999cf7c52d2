"""The end of a cut connection that did not send the refused packet is told by a reset too (`cut_with_reset`).

Law: a reset goes only where that packet was going, at its place in the stream, and through conntrack as it: addresses
that are translated for the packet are translated for the reset. Bounded: who is not told learns of it when it speaks.
"""

import time
from contextlib import suppress

import msgspec
import structlog

from calicod.model.protocol import TCP
from calicod.netfilter import conntrack
from calicod.netfilter.flow import FlowTuple
from calicod.netfilter.pickup import inverse
from calicod.netfilter.segment import RawSender, reset
from calicod.packet.decode import decode
from calicod.packet.turn import payload
from calicod.packet.value import Malformed

log = structlog.get_logger()

A_SECOND = 1000
"""Resets sent in one second at most."""
SEQUENCE, FLAGS = 4, 13
SYN, RST = 0x02, 0x04


class Segment(msgspec.Struct, frozen=True):
    """A TCP segment: whence and where, and its place in the stream."""

    flow: FlowTuple
    sequence: int


class Resets:
    """Opens its sockets when it first needs them."""

    def __init__(self) -> None:
        self._sender: RawSender | None = None
        self._second = self._sent = 0

    def answer(self, packet: bytes) -> None:
        """Tells the receiver of a refused packet that its connection is over."""
        found = segment(packet)
        if found is None or not self._room():
            return
        try:
            flow = tracked(found.flow)
            self._sender = self._sender or RawSender()
            self._sender.send(reset(flow, found.sequence), flow.dst)
        except OSError as failure:
            log.debug("reset.unsent", error=str(failure))

    def _room(self) -> bool:
        now = int(time.monotonic())
        if now != self._second:
            self._second, self._sent = now, 0
        self._sent += 1
        return self._sent <= A_SECOND


def segment(packet: bytes) -> Segment | None:
    """What the packet holds; None when it is no TCP segment, or one that begins or resets a connection."""
    found = decode(packet)
    if isinstance(found, Malformed) or found.protocol != TCP or found.fragment:
        return None
    start, _ = payload(packet)
    if len(packet) <= start + FLAGS or packet[start + FLAGS] & (SYN | RST):
        return None
    sequence = int.from_bytes(packet[start + SEQUENCE : start + SEQUENCE + 4])
    return Segment(FlowTuple(TCP, found.src, found.dst, found.sport, found.dport), sequence)


def tracked(flow: FlowTuple) -> FlowTuple:
    """The same direction as conntrack knows it before translation; where both ends are translated, as it is.

    The packet was seen between the two translations: its source is the sender's own, its destination the receiver's.
    """
    back = inverse(flow)
    for question in (flow, back):
        with suppress(OSError):
            known = conntrack.lookup(question)
            if known is not None:
                return known.original if known.original == flow or known.reply == back else known.reply
    return flow
