"""One enforcement, ready to judge: bytes in, verdict out, a record for each packet.

Law: every packet gets a verdict and a record, whatever it holds. What cannot be parsed is dropped, whatever the failure
mode; what the engine fails on gets the verdict of the failure mode. The hot path: nothing is formatted, nothing waits.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from time import monotonic, time_ns
from types import MappingProxyType

import msgspec

from calicod.daemon.pickup import Pickup
from calicod.daemon.rejection import Rejection
from calicod.engine.bitmap import BitmapEngine
from calicod.intercept.interceptor import HOOKS, Decide
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.record import Record
from calicod.model.verdict import Reason, Verdict
from calicod.packet.ambiguous import LEADING, NEXT_HEADER, is_ambiguous
from calicod.packet.decode import decode
from calicod.packet.turn import identifier, is_error, quoted, turned
from calicod.packet.value import Malformed, Packet
from calicod.ruleset.enforcement import Enforcement

ACCEPT = Verdict.ACCEPT
MALFORMED = Decision(verdict=Verdict.DROP, reason=Reason.MALFORMED)
UNKNOWN = Decision(verdict=Verdict.DROP, reason=Reason.UNKNOWN_INTERFACE)
FAILED_CLOSED = Decision(verdict=Verdict.DROP, reason=Reason.FAILURE)
FAILED_OPEN = Decision(verdict=Verdict.ACCEPT, reason=Reason.FAILURE)
NOTHING = Packet(0, -1, b"", b"")
"""Stands for a packet of which nothing could be read."""
QUIET = Rejection()
LOOPBACK = "lo"
ARRIVING = frozenset({0, 1})
"""Numbers of the hooks behind which this host's own stack reads the packet: PREROUTING, INPUT."""
MAX_ENCODED = 16384
"""Encoded decisions remembered; all are forgotten when there are more."""
FAILURE_SECONDS = 1.0
"""The last failure is described at most this often."""
TURNED_HOOKS: Mapping[Hook, Hook] = MappingProxyType({Hook.INPUT: Hook.OUTPUT, Hook.OUTPUT: Hook.INPUT})


class Where(msgspec.Struct, frozen=True):
    """Where a flow's packet was, as its original direction sees it. Not `known`: an interface has no name here."""

    hook: Hook
    in_interface: str
    out_interface: str
    known: bool


class Places(dict[tuple[int, int, int], Where]):
    """(hook number, incoming, outgoing interface index) to Where; worked out once for each."""

    def __init__(self, names: Mapping[int, str], *, reply: bool) -> None:
        super().__init__()
        self._names = names
        self._reply = reply

    def __missing__(self, key: tuple[int, int, int]) -> Where:
        number, indev, outdev = key
        hook = HOOKS.get(number, Hook.INPUT)
        known = number in HOOKS and all(not index or index in self._names for index in (indev, outdev))
        where = Where(hook, self._name(indev), self._name(outdev), known)
        self[key] = found = turned_place(where) if self._reply else where
        return found

    def _name(self, index: int) -> str:
        return self._names.get(index, f"#{index}") if index else ""


class Judges(dict[tuple[int, int, int], Callable[[Packet], Decision]]):
    """What decides at a place, by the key of `Places`; made ready when its first packet comes."""

    def __init__(self, engine: BitmapEngine) -> None:
        super().__init__()
        self._engine = engine

    def learn(self, key: tuple[int, int, int], where: Where) -> Callable[[Packet], Decision]:
        """Raises what the engine fails with."""
        known = where.known
        judge = self._engine.judge_at(where.hook, where.in_interface, where.out_interface) if known else unknown
        self[key] = judge
        return judge


def unknown(_: Packet) -> Decision:
    """For packets of an interface without a name."""
    return UNKNOWN


def turned_place(where: Where) -> Where:
    """Where the original direction of a flow was whose reply is here.

    `lo` is judged in OUTPUT for both directions (design 6): its replies were sent from there too.
    """
    if where.hook is Hook.OUTPUT and where.out_interface == LOOPBACK:
        return where
    hook = TURNED_HOOKS.get(where.hook, where.hook)
    return Where(hook, where.out_interface, where.in_interface, where.known)


class Totals:
    """What this process has done so far, whichever enforcement it judged by."""

    __slots__ = ("denied", "described_at", "failed", "judged", "last_failure", "malformed")

    def __init__(self) -> None:
        self.judged = self.denied = self.malformed = self.failed = 0
        self.last_failure = ""
        self.described_at = -FAILURE_SECONDS

    def refuse(self, decision: Decision) -> None:
        """One of the packets that were judged is not allowed."""
        self.denied += 1
        if decision is MALFORMED:
            self.malformed += 1

    def fail(self, failure: Exception, payload: bytes) -> None:
        """Counts a failure of ours; describes it, with the digest of the packet, unless one was just described."""
        self.failed += 1
        now = monotonic()
        if now - self.described_at >= FAILURE_SECONDS:
            self.described_at = now
            digest = sha256(payload).hexdigest()[:16]
            self.last_failure = f"{type(failure).__name__}: {failure} (packet of {len(payload)} bytes, sha256 {digest})"


class Judge:
    """Judges by one enforcement; `note` gets each record. `known`: the packet mark's bit of that name.

    `rejection`: which refused packets are answered. `picked`: the bit of TCP that comes up without its SYN; `tell` gets
    what of it is to be turned. `former`: the judge whose place this one takes, which has worked out the IP sets.
    """

    def __init__(  # noqa: PLR0913  a composition: each is a collaborator or a value of the settings
        self,
        enforcement: Enforcement,
        totals: Totals,
        note: Callable[[Record], None],
        *,
        known: int,
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
        self.known = known
        self.failure = FAILED_OPEN if fail_open else FAILED_CLOSED
        self.rejection = rejection
        self._encoder = msgspec.msgpack.Encoder()
        self._encoded: dict[int, tuple[Decision, bytes]] = {}
        self.picked = picked
        self.tell = tell
        self.reply = self._decider(reply=True)
        self.original = self._decider(reply=False)

    def _decider(self, *, reply: bool) -> Decide:
        """The deciding function of one queue. A packet from the reply queue is turned round before it is judged."""
        places, judges, encoded = Places(self.names, reply=reply), Judges(self.engine), self._encoded
        totals, note, known_bit = self.totals, self.note, self.known
        refuse, quiet = self.rejection.refuse, self.rejection.quiet
        picked_bit = 0 if reply else self.picked

        def decide(payload: bytes, mark: int, hook: int, indev: int, outdev: int) -> Verdict:
            if mark & picked_bit:
                return met(payload, mark & ~picked_bit, hook, indev, outdev)
            place = (hook, indev, outdev)
            where, known = places[place], mark & known_bit != 0
            packet, quoting, decision = NOTHING, False, None
            try:
                found = decode(payload)
                if type(found) is Malformed:
                    packet, decision = stand_in(found, reply=reply), MALFORMED
                elif payload[NEXT_HEADER] in LEADING and hook in ARRIVING and is_ambiguous(payload):
                    packet, decision = turned(found) if reply else found, MALFORMED
                elif found.icmp_type >= 0 and is_error(found):
                    packet, quoting = quoted_flow(found, payload, reply=reply)
                    decision = None if quoting else MALFORMED
                else:
                    packet = turned(found) if reply else found
                if decision is None:
                    judge = judges.get(place) or judges.learn(place, where)
                    decision = judge(packet)
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
                )
            )
            verdict = decision.verdict
            totals.judged += 1
            if verdict is ACCEPT:
                return verdict
            totals.refuse(decision)
            if quiet or quoting:
                return verdict
            return refuse(decision, where.hook, packet, payload, known=known)

        met = Pickup(decide, decide if reply else self.reply, self._allows_reply, self.tell).decide
        return decide

    def _allows_reply(self, packet: Packet, hook: int, indev: int, outdev: int) -> bool:
        """Whether the packet may pass as a reply."""
        where = turned_place(Places(self.names, reply=False)[hook, indev, outdev])
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
