"""One enforcement, ready to judge: bytes in, verdict out, a record for each packet.

Law: every packet gets a verdict and a record, whatever it holds. What cannot be parsed is dropped, whatever the failure
mode; what the engine fails on gets the verdict of the failure mode. The hot path: nothing is formatted, nothing waits.
"""

from collections.abc import Callable
from time import time_ns

import msgspec

from calicod.daemon.pickup import Pickup
from calicod.daemon.places import Asks, Places, turned_place
from calicod.daemon.rejection import Rejection
from calicod.daemon.totals import Totals
from calicod.engine.bitmap import BitmapEngine
from calicod.intercept.interceptor import Decide
from calicod.model.decision import Decision
from calicod.model.marks import MarkLayout
from calicod.model.record import Record
from calicod.model.verdict import Reason, Verdict
from calicod.packet.ambiguous import LEADING, NEXT_HEADER, is_ambiguous
from calicod.packet.decode import decode
from calicod.packet.turn import identifier, is_error, quoted, turned
from calicod.packet.value import Malformed, Packet
from calicod.ruleset.enforcement import Enforcement

ACCEPT, SPARE = Verdict.ACCEPT, Verdict.SPARE
RULE = Reason.RULE
MALFORMED = Decision(verdict=Verdict.DROP, reason=Reason.MALFORMED)
FAILED_CLOSED = Decision(verdict=Verdict.DROP, reason=Reason.FAILURE)
FAILED_OPEN = Decision(verdict=Verdict.ACCEPT, reason=Reason.FAILURE)
NOTHING = Packet(0, -1, b"", b"")
"""Stands for a packet of which nothing could be read."""
QUIET = Rejection()
ARRIVING = frozenset({0, 1})
"""Numbers of the hooks behind which this host's own stack reads the packet: PREROUTING, INPUT."""
MAX_ENCODED = 16384
"""Encoded decisions remembered; all are forgotten when there are more."""


class Judge:
    """Judges by one enforcement; `note` gets each record. `marks`: what the bits of packet marks mean.

    `rejection`: which refused packets are answered. `picked`: the bit of TCP that comes up without its SYN; `tell` gets
    what of it is to be turned. `former`: the judge whose place this one takes, which has worked out the IP sets.
    """

    def __init__(  # noqa: PLR0913  a composition: each is a collaborator or a value of the settings
        self,
        enforcement: Enforcement,
        totals: Totals,
        note: Callable[[Record], None],
        *,
        marks: MarkLayout,
        fail_open: bool,
        rejection: Rejection = QUIET,
        picked: int = 0,
        tell: Callable[[bytes], object] = len,
        former: "Judge | None" = None,
    ) -> None:
        self.revision = enforcement.revision
        known_sets = None if former is None else former.engine
        self.engine: BitmapEngine = BitmapEngine(enforcement.ruleset, enforcement.interfaces, known_sets)
        self.names = {interface.index: interface.name for interface in enforcement.interfaces if interface.index}
        self.totals = totals
        self.note = note
        self.marks = marks
        self.failure = FAILED_OPEN if fail_open else FAILED_CLOSED
        self.rejection = rejection
        self._encoder = msgspec.msgpack.Encoder()
        self._encoded: dict[int, tuple[Decision, bytes]] = {}
        self.picked = picked
        self.tell = tell
        self.asked: list[Asks] = []
        self.reply = self._decider(reply=True)
        self.original = self._decider(reply=False)

    def _decider(self, *, reply: bool) -> Decide:
        """The deciding function of one queue. A packet from the reply queue is turned round before it is judged."""
        places, encoded = Places(self.names, self.marks, reply=reply), self._encoded
        asks, evidence = Asks(places, self.engine), self.marks.evidence
        self.asked.append(asks)
        totals, note, known_bit = self.totals, self.note, self.marks.known
        refuse, quiet = self.rejection.refuse, self.rejection.quiet
        picked_bit = 0 if reply else self.picked

        def decide(payload: bytes, mark: int, hook: int, indev: int, outdev: int) -> Verdict:
            if mark & picked_bit:
                return met(payload, mark & ~picked_bit, hook, indev, outdev)
            key = (hook, indev, outdev, mark & evidence)
            where, known = places[key], mark & known_bit != 0
            packet, quoting, decision = NOTHING, False, None
            try:
                found = decode(payload)
                if type(found) is Malformed:
                    packet, decision = stand_in(found, reply=reply), MALFORMED
                elif payload[NEXT_HEADER] in LEADING and hook in ARRIVING and is_ambiguous(payload):
                    packet, decision = turned(found) if reply else found, MALFORMED
                elif found.icmp_type >= 0 and is_error(found) and not where.untracked:
                    packet, quoting = quoted_flow(found, payload, reply=reply)
                    decision = None if quoting else MALFORMED
                else:
                    packet = turned(found) if reply else found
                if decision is None:
                    decision = asks[key](packet)
            except Exception as failure:  # noqa: BLE001  whatever fails, the packet gets its verdict (design 9)
                totals.fail(failure, payload)
                decision = MALFORMED if packet is NOTHING else self.failure
            held = encoded.get(id(decision))
            note(
                Record(
                    time_ns(),
                    held[1] if held is not None else self._encode(decision),
                    where.hook,
                    where.in_interface,
                    where.out_interface,
                    packet.protocol,
                    packet.src,
                    packet.dst,
                    packet.sport,
                    packet.dport,
                    packet.icmp_type,
                    packet.icmp_code,
                    known,
                    reply,
                    quoting,
                    identifier(payload, quoting=quoting) if packet.icmp_type >= 0 else -1,
                    where.untracked,
                )
            )
            verdict = decision.verdict
            totals.judged += 1
            if verdict is ACCEPT:
                return SPARE if where.sparing and (where.spared or decision.reason is RULE) else ACCEPT
            totals.refuse(malformed=decision is MALFORMED)
            if quiet or quoting:
                return verdict
            return refuse(decision, where.hook, packet, payload, known=known)

        met = Pickup(decide, decide if reply else self.reply, self._allows_reply, self.tell).decide
        return decide

    def prepare(self, former: "Judge") -> None:
        """Works out what the former judge was asked for, so that the first packets need not wait for it."""
        for asks, asked in zip(self.asked, former.asked, strict=True):
            asks.prepare(asked)

    def _allows_reply(self, packet: Packet, hook: int, indev: int, outdev: int) -> bool:
        """Whether the packet may pass as a reply."""
        where = turned_place(Places(self.names, self.marks, reply=False)[hook, indev, outdev, 0])
        decision = self.engine.decide(turned(packet), where.hook, where.in_interface, where.out_interface)
        return where.known and decision.verdict is ACCEPT

    def _encode(self, decision: Decision) -> bytes:
        """Msgpack of the decision, made once: the decision is kept, so its identity stays its own."""
        if len(self._encoded) >= MAX_ENCODED:
            self._encoded.clear()
        data = self._encoder.encode(decision)
        self._encoded[id(decision)] = decision, data
        return data


def stand_in(malformed: Malformed, *, reply: bool) -> Packet:
    """What was read of a malformed packet, as its flow's."""
    packet = Packet(malformed.family, malformed.protocol, malformed.src, malformed.dst)
    return turned(packet) if reply else packet


def quoted_flow(error: Packet, payload: bytes, *, reply: bool) -> tuple[Packet, bool]:
    """The flow's packet that an ICMP error quotes, and True; the error's own, and False, when its quote is malformed.

    So it is when the error does not go to whom it quotes. Conntrack sees to that, but not for what is UNTRACKED.

    The error shares the connection of the flow that it quotes: an error in the reply direction answers, so quotes, a
    packet of the original direction; one in the original direction quotes a reply.
    """
    inner = quoted(payload)
    if not isinstance(inner, Packet) or inner.src != error.dst:
        return turned(error) if reply else error, False
    return inner if reply else turned(inner), True
