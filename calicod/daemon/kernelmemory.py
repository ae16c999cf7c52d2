"""What is decided again and again is remembered in the kernel.

Refusals that come in a flood, so that they cannot starve the queue (ADR 0022), and TCP connections that are allowed
often, so that they need no queue at all (ADR 0025).

Law: what is remembered is what every packet of that path, protocol, pair of addresses and destination port gets while
this revision is in force: nothing where policy asks for source ports, nothing that was logged, nothing that is rare.
Each packet that the kernel refuses so is told as a count, each connection that it allows by an event of its own.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from calicod.daemon.beginnings import Known
from calicod.daemon.enforcer import recalled, write_atomically
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.interface import is_nameable
from calicod.model.protocol import SCTP, TCP, UDP, UDPLITE
from calicod.model.record import Batch, Record
from calicod.model.steering import FlowKind
from calicod.model.verdict import Reason, Verdict
from calicod.ruleset.program import RuleSet

FLOOD = 1_000
"""Refusals in one look (a second) from which on the kernel is asked to help."""
OFTEN = 50
"""Packets of one kind in one look that make its refusal worth remembering, in a flood."""
LIMIT = 64
"""Refusals remembered at a time: each is a rule that every new packet passes before it is queued."""
IDLE_LOOKS = 10
BUSY = 200
"""New connections of one kind in one look that make it worth allowing them in the kernel."""
BUSY_LIMIT = 32
BUSY_IDLE_LOOKS = 30
TELL_SECONDS = 5.0
REST_SECONDS = 60.0
"""How long the queue slows connections down again after there were too many to tell."""
WITH_PORTS = frozenset({TCP, UDP, SCTP, UDPLITE})
BY_POLICY = frozenset({Reason.RULE, Reason.END_OF_TIER, Reason.PROFILE, Reason.NO_PROFILE})
DECISIONS = 4_096

Remember = Callable[[int, tuple[FlowKind, ...], tuple[FlowKind, ...]], Awaitable[bool]]
"""Revision, what to refuse and what to allow: brings both into the kernel, unless the revision changed (False)."""

NOTE_FILE = "allowed.msgpack"

_DECISION = msgspec.msgpack.Decoder(Decision)


class Seen:
    """Packets of one verdict since the last look: how many of each kind, and one of them."""

    def __init__(self, protocols: frozenset[int]) -> None:
        self.protocols = protocols
        self._counts: Counter[tuple[object, ...]] = Counter()
        self._samples: dict[tuple[object, ...], Record] = {}

    def see(self, r: Record) -> None:
        """One more."""
        # id(): an Enum's own hash is a Python function, and its members are there for ever
        key = (id(r.hook), r.in_interface, r.out_interface, r.protocol, r.src, r.dst, r.dport)
        self._counts[key] += 1
        self._samples[key] = r

    def take(self, least: int, limit: int) -> list[tuple[FlowKind, Record]]:
        """Those that came at least so often, the most frequent first; all are forgotten."""
        frequent = [(key, n) for key, n in self._counts.most_common(limit) if n >= least]
        kinds = [(kind_of(self._samples[key]), self._samples[key]) for key, _ in frequent]
        self.clear()
        return [(kind, sample) for kind, sample in kinds if kind is not None]

    def total(self) -> int:
        """All of them."""
        return self._counts.total()

    def clear(self) -> None:
        """Forgets."""
        self._counts.clear()
        self._samples.clear()


class Refused:
    """A kind that is refused, with the packet that made it so; `count`: packets not told yet."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.total = self.count = self.idle = 0
        self.told_at = time.monotonic()

    def look(self, total: int) -> None:
        """What the kernel has counted; a counter that fell began anew."""
        grown = total - self.total if total >= self.total else total
        self.total = total
        self.count += grown
        self.idle = 0 if grown else self.idle + 1


class KernelMemory:
    """One per supervisor. `tell` gets counts of refused packets; `know` what the kernel is about to allow by itself.

    `can_allow`: without a log group the kernel allows nothing, whatever it is told, so nothing is learned of that.
    `allows`: the kernel was ever told to allow something, so it may do so still, even if the attempt was given up.
    """

    def __init__(
        self,
        remember: Remember,
        tell: Callable[[Record, int], None],
        know: Callable[[Iterable[Known]], None] = lambda _: None,
        *,
        can_allow: bool = True,
    ) -> None:
        self.denied: dict[FlowKind, Refused] = {}
        self.allowed: dict[FlowKind, Known] = {}
        self._remember = remember
        self._tell = tell
        self._know = know
        self._can_allow = can_allow
        self.allows = False
        self._able = False
        self._revision = 0
        self._lost = 0
        self._rests_until = 0.0
        self._refusals, self._allowances = Seen(WITH_PORTS), Seen(frozenset({TCP}))
        self._eligible: dict[bytes, Seen | None] = {}

    def begin(self, ruleset: RuleSet) -> None:
        """Before this policy comes into force."""
        self._able = not any(
            rule.source_ports is not None or rule.not_source_ports is not None
            for policy in ruleset.policies
            for rule in (*policy.ingress, *policy.egress)
        )

    def batch(self, batch: Batch) -> None:
        """What one worker judged."""
        if not self._able or batch.revision < self._revision:
            return
        if batch.revision > self._revision:
            self._revision = batch.revision
            self._forget()
        eligible = self._eligible
        for r in batch.records:
            decision = r.decision
            seen = eligible[decision] if decision in eligible else self._judge(decision)
            if seen is None or r.protocol not in seen.protocols:
                continue
            if not (r.known or r.reply or r.quoted or r.untracked):
                seen.see(r)

    async def look(self, counted: Mapping[FlowKind, int] | None, lost: int = 0) -> None:
        """Once a second: what is frequent now, and what is no more. Raises CalicodError.

        `counted`: what the kernel has refused; None: nobody has looked since. `lost`: connections that it allowed and
        that could not be told.
        """
        before = tuple(self.denied), tuple(self.allowed)
        if counted is not None:
            self._count(counted)
        self.denied = {kind: refused for kind, refused in self.denied.items() if refused.idle < IDLE_LOOKS}
        if self._refusals.total() >= FLOOD:
            for kind, sample in self._refusals.take(OFTEN, LIMIT):
                if len(self.denied) < LIMIT:
                    self.denied.setdefault(kind, Refused(sample))
        self._refusals.clear()
        self._allow(lost)
        now = tuple(self.denied), tuple(self.allowed)
        if now == before:
            return
        self.allows = self.allows or bool(self.allowed)
        done = False
        try:
            self._know(self.allowed.values())
            done = await self._remember(self._revision, *now)
        finally:
            if not done:
                self._forget()

    def _allow(self, lost: int) -> None:
        for known in self.allowed.values():
            known.look()
        self.allowed = {kind: known for kind, known in self.allowed.items() if known.idle < BUSY_IDLE_LOOKS}
        if lost > self._lost:
            self._lost, self._rests_until = lost, time.monotonic() + REST_SECONDS
            self.allowed.clear()
        found = self._allowances.take(BUSY, BUSY_LIMIT)
        if time.monotonic() < self._rests_until:
            return
        ends = {known.ends for known in self.allowed.values()}
        for kind, sample in found:
            known = Known(sample, self._revision)
            if len(self.allowed) < BUSY_LIMIT and known.ends not in ends:  # its beginning does not tell its path
                ends.add(known.ends)
                self.allowed[kind] = known

    def _count(self, counted: Mapping[FlowKind, int]) -> None:
        for kind, refused in self.denied.items():
            refused.look(counted.get(kind, 0))
            if refused.idle or time.monotonic() - refused.told_at >= TELL_SECONDS:
                self._told(refused)

    def _told(self, refused: Refused) -> None:
        refused.told_at = time.monotonic()
        if refused.count:
            self._tell(refused.record, refused.count)
            refused.count = 0

    def _forget(self) -> None:
        """They are in the kernel no more: another policy is in force."""
        for refused in self.denied.values():
            self._told(refused)
        self.denied.clear()
        self.allowed.clear()
        self._refusals.clear()
        self._allowances.clear()
        self._eligible.clear()

    def _judge(self, encoded: bytes) -> Seen | None:
        if len(self._eligible) >= DECISIONS:
            self._eligible.clear()
        decision = _DECISION.decode(encoded)
        found = None
        if decision.reason in BY_POLICY and not decision.logged:
            if decision.verdict is not Verdict.ACCEPT:
                found = self._refusals
            elif self._can_allow:
                found = self._allowances
        self._eligible[encoded] = found
        return found


class Note(msgspec.Struct, frozen=True):
    """What the kernel allows by itself, for a supervisor that comes after this one."""

    revision: int
    records: tuple[Record, ...]


def save(path: Path, allowed: Iterable[Known]) -> None:
    """Before the kernel allows it. Without the note a successor tells such connections without their policy."""
    known = tuple(allowed)
    revision = max((one.revision for one in known), default=0)
    note = Note(revision, tuple(one.record for one in known))
    with suppress(OSError):
        write_atomically(path, msgspec.msgpack.encode(note))


def noted(path: Path) -> tuple[Known, ...]:
    """What a former supervisor noted."""
    note = recalled(path, Note)
    return () if note is None else tuple(Known(record, note.revision) for record in note.records)


def kind_of(record: Record) -> FlowKind | None:
    """What of the packet decides; None where the kernel's rule could not tell its path from others."""
    if record.hook is Hook.INPUT and record.in_interface:
        path = (record.in_interface, "")
    elif record.hook is Hook.FORWARD and record.in_interface and record.out_interface:
        path = (record.in_interface, record.out_interface)
    else:
        return None
    if not all(is_nameable(name) for name in path if name):
        return None
    return FlowKind(*path, record.protocol, record.src, record.dst, record.dport)
