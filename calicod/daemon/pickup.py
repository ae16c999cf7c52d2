"""TCP that comes up without its SYN: conntrack takes its sender for the caller, and may be wrong (ADR 0017).

Law: it passes as conntrack sees it only if the sender called, or if it may call and be called. When the receiver called
and may, the packet is dropped all the same: conntrack gets the connection the right way round, and its next packet is a
reply. One verdict and one record for each packet.
"""

from collections.abc import Callable

from calicod.intercept.interceptor import Decide
from calicod.model.verdict import Verdict
from calicod.packet.caller import Caller, caller
from calicod.packet.decode import decode
from calicod.packet.value import Malformed, Packet

TOLD_BYTES = 256
REFUSALS = (Verdict.DROP, Verdict.REJECT)
ALLOWING = (Verdict.ACCEPT, Verdict.SPARE)

Allows = Callable[[Packet, int, int, int], bool]
"""Whether policy lets this packet, at these hook and interface numbers, pass as a reply; told to nobody."""


class Pickup:
    """`seen`, `turned`: judge a packet as it was seen, or as the reply that it is. `tell` gets what is to be turned."""

    def __init__(self, seen: Decide, turned: Decide, allows: Allows, tell: Callable[[bytes], object]) -> None:
        self.seen = seen
        self.turned = turned
        self.allows = allows
        self.tell = tell

    def decide(self, payload: bytes, mark: int, hook: int, indev: int, outdev: int) -> Verdict:
        """The verdict."""
        packet = decode(payload)
        who = Caller.SENDER if isinstance(packet, Malformed) else caller(packet)
        if who is Caller.RECEIVER:
            verdict = self.turned(payload, mark, hook, indev, outdev)
            if verdict not in ALLOWING:
                return verdict
            self.tell(payload[:TOLD_BYTES])
            return Verdict.DROP
        if who is Caller.OPEN and isinstance(packet, Packet) and not self.allows(packet, hook, indev, outdev):
            return self.turned(payload, mark, hook, indev, outdev)
        return self.seen(payload, mark, hook, indev, outdev)
