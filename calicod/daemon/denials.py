"""Refusals that come in a flood are remembered in the kernel, so that they cannot starve the queue (ADR 0022).

Law: what is remembered is what every packet of that path, protocol, pair of addresses and destination port gets while
this revision is in force: nothing where policy asks for source ports, nothing that was logged, nothing without a flood.
Each packet that the kernel refuses so is told as a count.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.interface import is_nameable
from calicod.model.record import Batch, Record
from calicod.model.steering import Denied
from calicod.model.verdict import Reason, Verdict
from calicod.ruleset.program import RuleSet

FLOOD = 1_000
"""Refusals in one look (a second) from which on the kernel is asked to help."""
OFTEN = 50
"""Packets of one kind in one look that make it worth remembering."""
LIMIT = 64
"""Kinds remembered at a time: each is a rule that every new packet passes before it is queued."""
IDLE_LOOKS = 10
TELL_SECONDS = 5.0
WITH_PORTS = frozenset({6, 17, 132, 136})
BY_POLICY = frozenset({Reason.RULE, Reason.END_OF_TIER, Reason.PROFILE, Reason.NO_PROFILE})
DECISIONS = 4_096

_DECISION = msgspec.msgpack.Decoder(Decision)


class Entry:
    """One that is remembered, with the packet that made it so; `count`: packets not told yet."""

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


class Denials:
    """One per supervisor. `remember` brings them into the kernel unless the revision changed; `tell` gets counts."""

    def __init__(
        self,
        remember: Callable[[int, tuple[Denied, ...]], Awaitable[bool]],
        tell: Callable[[Record, int], None],
    ) -> None:
        self.entries: dict[Denied, Entry] = {}
        self._remember = remember
        self._tell = tell
        self._able = False
        self._revision = 0
        self._seen: Counter[Denied] = Counter()
        self._samples: dict[Denied, Record] = {}
        self._eligible: dict[bytes, bool] = {}

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
        for record in batch.records:
            eligible = self._eligible.get(record.decision)
            if eligible is None:
                eligible = self._judge(record.decision)
            other = record.known or record.reply or record.quoted or record.untracked
            if eligible and record.protocol in WITH_PORTS and not other:
                kind = kind_of(record)
                if kind is not None:
                    self._seen[kind] += 1
                    self._samples[kind] = record

    async def look(self, counted: Mapping[Denied, int] | None) -> None:
        """Once a second: what is a flood now, and what is none any more. Raises CalicodError.

        `counted`: what the kernel has counted; None: nobody has looked since.
        """
        if counted is not None:
            for kind, entry in self.entries.items():
                entry.look(counted.get(kind, 0))
                if entry.idle or time.monotonic() - entry.told_at >= TELL_SECONDS:
                    self._told(entry)
        before = tuple(self.entries)
        for kind in [kind for kind, entry in self.entries.items() if entry.idle >= IDLE_LOOKS]:
            del self.entries[kind]
        if self._seen.total() >= FLOOD:
            for kind, count in self._seen.most_common(LIMIT):
                if count >= OFTEN and len(self.entries) < LIMIT:
                    self.entries.setdefault(kind, Entry(self._samples[kind]))
        self._seen.clear()
        self._samples.clear()
        if tuple(self.entries) == before:
            return
        done = False
        try:
            done = await self._remember(self._revision, tuple(self.entries))
        finally:
            if not done:
                self._forget()

    def _told(self, entry: Entry) -> None:
        entry.told_at = time.monotonic()
        if entry.count:
            self._tell(entry.record, entry.count)
            entry.count = 0

    def _forget(self) -> None:
        """They are in the kernel no more: another policy is in force."""
        for entry in self.entries.values():
            self._told(entry)
        self.entries.clear()
        self._seen.clear()
        self._samples.clear()
        self._eligible.clear()

    def _judge(self, encoded: bytes) -> bool:
        if len(self._eligible) >= DECISIONS:
            self._eligible.clear()
        decision = _DECISION.decode(encoded)
        found = decision.verdict is not Verdict.ACCEPT and decision.reason in BY_POLICY and not decision.logged
        self._eligible[encoded] = found
        return found


def kind_of(record: Record) -> Denied | None:
    """What of the packet decides; None where the kernel's rule could not tell its path from others."""
    if record.hook is Hook.INPUT and record.in_interface:
        path = (record.in_interface, "")
    elif record.hook is Hook.FORWARD and record.in_interface and record.out_interface:
        path = (record.in_interface, record.out_interface)
    else:
        return None
    if not all(is_nameable(name) for name in path if name):
        return None
    return Denied(*path, record.protocol, record.src, record.dst, record.dport)
