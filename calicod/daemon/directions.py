"""The direction of TCP connections that conntrack met without their SYN is set right (ADR 0017).

Law: only where ports tell who called. At the first enforcement all that are there, before anything is judged; later
those that a worker tells of. Bounded: what is not set right was dropped, comes up again, and is told of again.
"""

import time

import structlog

from calicod.daemon.resets import segment
from calicod.netfilter import pickup
from calicod.netfilter.flow import FlowTuple
from calicod.packet.caller import Caller, caller
from calicod.packet.value import Packet

log = structlog.get_logger()

A_SECOND = 1000


class Directions:
    """One per supervisor."""

    def __init__(self) -> None:
        self._second = self._turned = 0

    def turn(self, packet: bytes) -> None:
        """A reply came up as the first packet of its connection, and was dropped: its connection is entered."""
        found, now = segment(packet), int(time.monotonic())
        if now != self._second:
            self._second, self._turned = now, 0
        self._turned += 1
        if found is None or self._turned > A_SECOND:
            return
        try:
            pickup.establish(pickup.inverse(found.flow))
        except OSError as failure:
            log.warning("connection.unturned", error=str(failure))


def set_right() -> int:
    """Turns every connection round that runs the wrong way; how many. Raises OSError."""
    wrong = [flow.original for flow in pickup.picked_up() if runs_backwards(flow.original)]
    return sum(pickup.turn(flow) for flow in wrong)


def runs_backwards(flow: FlowTuple) -> bool:
    """Whether the end that conntrack takes for the called one has called."""
    return caller(Packet(4, flow.protocol, b"", b"", flow.sport, flow.dport)) is Caller.RECEIVER
