"""Which refused packets get an answer, and of which cut connections the other end must be told.

Law: silence for whatever cannot be trusted to come from whom it says, and for errors, so that nothing answers an
answer. The kernel answers neither broadcasts nor multicasts, nor a reset with a reset. The event stays the same.
"""

from collections.abc import Callable

from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.protocol import TCP
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet

ANSWERING = frozenset({Hook.INPUT, Hook.FORWARD, Hook.OUTPUT})
"""Where the kernel can answer (the target REJECT)."""
SILENT = frozenset(
    {Reason.MALFORMED, Reason.FRAGMENT, Reason.UNKNOWN_INTERFACE, Reason.FAILURE, Reason.INVALID, Reason.SPOOFED}
)
SEVERED_BYTES = 256
"""Of a packet that is told: enough for its headers."""
REMEMBERED = 65_536
"""Cut connections whose other end was told; all are forgotten when there are more."""


class Rejection:
    """The verdict that takes the place of a drop. `rejects`: every refusal is answered (`deny_action: reject`).

    `sever` gets the first packet of each TCP connection that is cut (`cut_with_reset`); None: nobody is told.
    """

    def __init__(self, *, rejects: bool = False, sever: Callable[[bytes], None] | None = None) -> None:
        self.rejects = rejects
        self.sever = sever
        self.quiet = not rejects and sever is None
        self._told: set[tuple[bytes, bytes, int, int]] = set()

    def refuse(self, decision: Decision, hook: Hook, packet: Packet, payload: bytes, *, known: bool) -> Verdict:
        """REJECT or DROP, for a packet that is not allowed. `packet`: the flow's, `payload`: as it came."""
        if hook not in ANSWERING or decision.reason in SILENT:
            return Verdict.DROP
        if self.sever is None or not known or packet.protocol != TCP:
            return Verdict.REJECT if self.rejects else Verdict.DROP
        flow = (packet.src, packet.dst, packet.sport, packet.dport)
        if flow not in self._told:
            if len(self._told) >= REMEMBERED:
                self._told.clear()
            self._told.add(flow)
            self.sever(payload[:SEVERED_BYTES])
        return Verdict.REJECT
