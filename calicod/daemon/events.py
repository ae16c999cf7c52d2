"""From what workers and conntrack tell to event lines (contract.md, "How many").

Law: a new connection gives one event when it is decided; the same refusal again within a minute none, but a summary; a
flow that is judged again one only if its verdict or rule changed on that path. Memory is bounded, and what is forgotten
or lost is told. Time is an argument; nothing here blocks or fails on content.
"""

from collections import Counter, deque
from collections.abc import Iterable
from itertools import chain
from operator import attrgetter

import msgspec

from calicod.daemon.beginnings import SAME_FLOW_SECONDS, Beginnings, Known
from calicod.daemon.closings import ALLOWED, Closings
from calicod.daemon.directory import Directory
from calicod.daemon.flows import UNKNOWN, Ends, FlowNames, Memory, icmp_ends
from calicod.daemon.folding import Folding, LogRate
from calicod.daemon.history import History
from calicod.daemon.lines import Lines, Moment
from calicod.daemon.places import EARLY
from calicod.daemon.templates import LogRule, Route, Template, TemplateKey, template_key
from calicod.model.decision import Decision
from calicod.model.event import Event, EventsLost, PolicyApplied, encode
from calicod.model.interface import Interface
from calicod.model.marks import MarkLayout
from calicod.model.moment import NANOSECONDS, timestamp
from calicod.model.protocol import ICMP, ICMPV6
from calicod.model.record import Batch, Record
from calicod.netfilter.endings import Ended
from calicod.netfilter.flow import Flow
from calicod.netfilter.nflog import Alike, Run
from calicod.ruleset.program import RuleSet

DENIED, CUT, LOGGED = "connection.denied", "connection.cut", "rule.logged"
TRACKED_ICMP = {ICMP: frozenset({8, 13, 15, 17}), ICMPV6: frozenset({128, 139})}
"""ICMP types that begin a connection; conntrack does not track the others, so each packet is judged by itself."""
EARLY_WORDS = 16_384
"""What preDNAT rules have allowed and filter has not told yet."""
LOSS_INTERVAL_NS = 10_000_000_000
ON_ITS_WAY_NS = 50_000_000
"""How long what began is on its way here at most: the kernel holds back what it logs for 20 ms, a worker its records
for 5, and who gathers these another 20."""
HELD_NS = 10_000_000
"""How long the kernel has held back what it logs, on an average."""
LOOKS_NS = 200_000_000
"""More than lies between two looks while something comes; after a pause the first look is at once."""
STOPPED = attrgetter("stop_ns")
NO_ENDS: deque[Ended] = deque(maxlen=0)

PolicyCounts = dict[tuple[str, str, str], list[int]]

_DECISION = msgspec.msgpack.Decoder(Decision)


class EventLog:
    """The assembler. Each method returns the lines to be written, in order, as pieces of one or more."""

    def __init__(self, node: str, marks: MarkLayout, history: History | None = None) -> None:
        self.node = node
        self._names = FlowNames(node)
        self._history = history or History()
        self._lines = Lines(node, Directory())
        self._closings = Closings(self._names, self._history, self._lines, marks)
        self._beginnings = Beginnings(
            self._names, self._history, self._lines, self._closings, self._template, self._count
        )
        self._folding = Folding()
        self._log_rate = LogRate()
        self._losses: Counter[tuple[str, str]] = Counter()
        self._losses_told_ns: int | None = None
        self._looked_ns = 0
        self._counts: PolicyCounts = {}
        self._words = Memory(EARLY_WORDS)
        self._revision = 0
        self._out: list[bytes] = []

    def adopt(self, ruleset: RuleSet, interfaces: Iterable[Interface]) -> None:
        """From now on addresses are told by this RuleSet; counters of policies that are gone are dropped."""
        local = (address for interface in interfaces for address in interface.addresses)
        self._lines.directory = Directory(ruleset.known, local)
        self._history.templates.clear()
        names = {(p.kind, p.namespace, p.name) for p in ruleset.policies}
        self._counts = {name: counts for name, counts in self._counts.items() if name in names}

    def seed(self, flows: Iterable[Flow]) -> None:
        """Remembers live flows that bear our stamp, as a former supervisor knew them (a dump, with timestamps)."""
        self._closings.seed(flows)

    def know(self, allowed: Iterable[Known]) -> None:
        """What the kernel is about to allow by itself. What it allowed before may still be on its way here."""
        self._beginnings.know(allowed)

    def begun(self, logged: Iterable[Run | Alike], ends: deque[Ended], now_ns: int) -> list[bytes]:
        """Connections that the kernel let pass by itself. Of `ends` those of earlier ones are told before."""
        hasty: dict[int, list[Ended]] = {}
        while ends and ends[0].stop_ns <= now_ns:
            e = ends.popleft()
            identity = hash(e.ends)
            if self._history.start(identity) is None:
                hasty.setdefault(identity, []).append(e)  # of one that is told here, or is on its way
            else:
                self._close(e, now_ns)
        for part, at_ns in self._moments(list(logged), now_ns):
            self._out += self._beginnings.lines(part, hasty, at_ns)
        waiting = []
        for end in chain.from_iterable(hasty.values()):
            if self._early(end, now_ns):
                waiting.append(end)
            else:
                self._close(end, now_ns, late=True)
        ends.extendleft(sorted(waiting, key=STOPPED, reverse=True))
        return self._take()

    def records(self, batch: Batch, ends: deque[Ended] = NO_ENDS, now_ns: int = 0) -> list[bytes]:
        """What one worker judged. Of `ends` those that come before a record are taken, and told before it."""
        self._revision = batch.revision
        self._closings.revision = max(self._closings.revision, batch.revision)
        waiting: list[Ended] = []
        for r in batch.records:
            if ends:
                waiting += self._over(ends, r.time_ns, now_ns)
            key = template_key(r)
            self._record(r, self._history.templates.cache.get(key) or self._build(key, r))
        ends.extendleft(reversed(waiting))
        if batch.lost:
            self.lost("worker", batch.lost, "the buffer to the supervisor was full")
        return self._take()

    def connections(self, began: Iterable[Flow], now_ns: int) -> list[bytes]:
        """What conntrack tells as begun: of interest is what failsafes let pass."""
        lines = (self._closings.begun(flow, now_ns) for flow in began)
        return [line for line in lines if line is not None]

    def ended(self, ends: deque[Ended], now_ns: int, until_ns: int | None = None) -> list[bytes]:
        """What conntrack tells as ended, up to a moment; None: all of it, whatever may be on its way here."""
        ends.extendleft(reversed(self._over(ends, until_ns, now_ns)))
        return self._take()

    def _over(self, ends: deque[Ended], until_ns: int | None, now_ns: int) -> list[Ended]:
        """Tells ends up to a moment, and takes them away; those that wait for their beginnings."""
        waiting = []
        while ends and (until_ns is None or ends[0].stop_ns <= until_ns):
            end = ends.popleft()
            if until_ns is not None and self._early(end, now_ns):
                waiting.append(end)
            else:
                self._close(end, now_ns)
        return waiting

    def _early(self, end: Ended, now_ns: int) -> bool:
        """Its beginning may still be on its way here."""
        return abs(now_ns - end.stop_ns) < ON_ITS_WAY_NS and self._history.start(hash(end.ends)) is None

    def _close(self, end: Ended, now_ns: int, *, late: bool = False) -> None:
        line = self._closings.line(end, now_ns, late=late)
        if line is not None:
            self._out.append(line)

    def _moments(self, logged: list[Run | Alike], now_ns: int) -> list[tuple[list[Run | Alike], int]]:
        """When what was logged since the last look began: before this second, or now.

        The second is part of a connection's name, and conntrack, by which a successor names it, knows it exactly.
        """
        before, self._looked_ns = self._looked_ns, now_ns
        since = (before if 0 < now_ns - before < LOOKS_NS else now_ns) - HELD_NS
        second = now_ns // NANOSECONDS * NANOSECONDS
        if since >= second:
            return [(logged, now_ns)]
        took = max(1, now_ns - HELD_NS - since)
        split = round(len(logged) * min(1.0, (second - since) / took))
        return [(logged[:split], second - 1), (logged[split:], now_ns)]

    def repeated(self, record: Record, count: int, now_ns: int) -> list[bytes]:
        """So many packets that the kernel refused as it was told of this one; their source ports are not known."""
        template = self._template(template_key(record), record)
        ends = (record.src, record.dst, -1, record.dport, record.protocol)
        moment = msgspec.structs.replace(self._moment(record, template, ends, UNKNOWN), time_ns=now_ns, sport=-1)
        return [self._lines.line(DENIED, moment, count)]

    def tell(self, event: Event, now_ns: int) -> list[bytes]:
        """Any other event; `time` and `node` are filled in. The revision of `policy.applied` is in force."""
        if isinstance(event, PolicyApplied):
            self._closings.revision = event.revision
        return [encode(msgspec.structs.replace(event, time=timestamp(now_ns), node=self.node))]

    def lost(self, where: str, count: int, reason: str) -> None:
        """To be told as `events.lost` with the next tick, or with later ones of its kind within 10 s."""
        self._losses[where, reason] += count

    def tick(self, now_ns: int) -> list[bytes]:
        """Once a second: summaries that are due, and what was lost."""
        self._settle(now_ns)
        if forgotten := self._history.take_forgotten():
            self.lost("flow-memory", forgotten, "too many live flows: of some the end is told without their policy")
        told = self._losses_told_ns
        if self._losses and (told is None or abs(now_ns - told) >= LOSS_INTERVAL_NS):
            self._losses_told_ns = now_ns
            self._tell_losses(now_ns)
        return self._take()

    def close(self, now_ns: int) -> list[bytes]:
        """At the end: all summaries, all losses."""
        self._settle(None)
        self._tell_losses(now_ns)
        return self._take()

    def hits(self) -> dict[tuple[str, str, str], tuple[int, int, int]]:
        """(kind, namespace, name) -> flows allowed, denied, and packets logged, since the daemon began."""
        return {name: (counts[0], counts[1], counts[2]) for name, counts in self._counts.items()}

    def _record(self, record: Record, template: Template) -> None:
        r = record
        ends = (r.src, r.dst, r.sport, r.dport, r.protocol)
        if template.icmp:
            ends = icmp_ends(r.src, r.dst, r.icmp_id, r.icmp_type, r.icmp_code, r.protocol)
        early = r.hook in EARLY
        if early or not r.untracked:  # by its whole way an untracked packet meets again what was told of it in raw
            for rule in template.logged:
                self._log(r, template, rule, ends)
        if not template.allow:
            self._refused(r, template, ends)
        elif early:
            if template.hits is not None:
                self._words.put(hash((r.src, r.sport, r.icmp_id, r.protocol)), template.id)
        elif r.untracked:
            self._fold(ALLOWED, r, template, ends)
        elif not r.quoted:  # a quoted flow that is allowed is no new connection: only its ICMP error passes
            if template.icmp and r.icmp_type not in TRACKED_ICMP[r.protocol]:
                self._fold(ALLOWED, r, template, ends)
            else:
                self._allowed(r, template, ends)

    def _early_word(self, record: Record, template: Template) -> Template:
        """Where nobody had to judge any more, the preDNAT rule that allowed the connection is what is told."""
        number = self._words.get(hash((record.src, record.sport, record.icmp_id, record.protocol)))
        return template if number is None else self._history.templates.get(number) or template

    def _allowed(self, record: Record, template: Template, ends: Ends) -> None:
        if template.unjudged:
            template = self._early_word(record, template)
        history, key, second = self._history, hash(ends), record.time_ns // NANOSECONDS
        start = history.start(key) or UNKNOWN if record.known else history.meet(key, second, template)
        if start is None or (not record.known and abs(second - start) > SAME_FLOW_SECONDS):
            if start is not None:  # the ends of an earlier flow
                history.begin(key, second, template)
            self._tell_allowed(record, template, ends, second)
            return
        judged, before = history.before(key, template)
        if before is not template:
            history.judge(key, template)
        untold = before is None and not record.known  # began while no supervisor was alive: known by a dump alone
        if not judged or untold or (before is not None and before.rule != template.rule):
            self._tell_allowed(record, template, ends, start)

    def _tell_allowed(self, record: Record, template: Template, ends: Ends, start: int) -> None:
        if template.icmp:
            self._tell(ALLOWED, self._moment(record, template, ends, start))
            return
        src, dst, sport, dport, _ = ends
        name, revision = self._names.name(ends, start), self._revision
        self._out.append(self._lines.write(ALLOWED, template, record.time_ns, revision, src, dst, sport, dport, name))
        if template.hits is not None:
            self._count(template.hits, 0)

    def _start(self, record: Record, key: int) -> int | None:
        """When the connection of this packet began, UNKNOWN, or None: with this packet."""
        start = self._history.start(key)
        if record.known:
            return UNKNOWN if start is None else start
        if start is not None and abs(record.time_ns // NANOSECONDS - start) <= SAME_FLOW_SECONDS:
            return start
        return None

    def _refused(self, record: Record, template: Template, ends: Ends) -> None:
        if not record.known:
            self._fold(DENIED, record, template, ends)
            return
        key = hash(ends)
        judged, before = self._history.before(key, template)
        if before is not template:
            self._history.judge(key, template)
        if not judged or (before is not None and before.rule == template.rule):
            self._fold(DENIED, record, template, ends)
            return
        moment = self._moment(record, template, ends, self._history.start(key) or UNKNOWN)
        if before is None or before.allow:
            old = "null" if before is None else before.policy
            self._tell(CUT, moment, more=f',"old_policy":{old}')
        else:
            self._tell(DENIED, moment)
        self._folding.begin(hash((key, template.rule)), DENIED, moment)

    def _fold(self, event: str, record: Record, template: Template, ends: Ends) -> None:
        """Tells what was not told within the window."""
        window = hash((hash(ends), template.rule))
        if self._folding.repeat(window, record.time_ns):
            return
        moment = self._moment(record, template, ends, self._began(record, ends))
        self._tell(event, moment)
        self._folding.begin(window, event, moment)

    def _began(self, record: Record, ends: Ends) -> int:
        """As `_start`, with the second of this packet when it is the first."""
        start = self._start(record, hash(ends))
        return record.time_ns // NANOSECONDS if start is None else start

    def _tell(self, event: str, moment: Moment, more: str = "") -> None:
        self._out.append(self._lines.line(event, moment, more=more))
        name = moment.template.hits
        if name is not None:
            self._count(name, 0 if moment.template.allow else 1)

    def _count(self, name: tuple[str, str, str], which: int, by: int = 1) -> None:
        counts = self._counts.get(name)
        if counts is None:
            counts = self._counts[name] = [0, 0, 0]
        counts[which] += by

    def _log(self, record: Record, template: Template, rule: LogRule, ends: Ends) -> None:
        self._count(rule.hits, 2)
        moment = self._moment(record, template, ends, self._began(record, ends))
        if self._log_rate.offer(rule, moment):
            self._tell_logged(rule, moment, 0)

    def _tell_logged(self, rule: LogRule, moment: Moment, suppressed: int) -> None:
        self._out.append(self._lines.line(LOGGED, moment, tail=rule.tail, more=f',"suppressed":{suppressed}'))

    def _moment(self, record: Record, template: Template, ends: Ends, start: int) -> Moment:
        return Moment(
            record.time_ns,
            self._revision,
            template,
            record.src,
            record.dst,
            record.sport,
            record.dport,
            record.icmp_type,
            record.icmp_code,
            self._names.name(ends, start),
        )

    def _template(self, key: TemplateKey, record: Record) -> Template:
        return self._history.templates.cache.get(key) or self._build(key, record)

    def _build(self, key: TemplateKey, record: Record) -> Template:
        route = Route(record.hook, record.in_interface, record.out_interface, record.protocol)
        return self._history.templates.add(key, _DECISION.decode(record.decision), route, self._lines.directory)

    def _settle(self, now_ns: int | None) -> None:
        for summary in self._folding.due(now_ns):
            self._out.append(self._lines.line(summary.event, summary.moment, summary.count))
        for rule, moment, suppressed in self._log_rate.due(now_ns):
            self._tell_logged(rule, moment, suppressed)

    def _tell_losses(self, now_ns: int) -> None:
        for (where, reason), count in self._losses.items():
            self._out += self.tell(EventsLost(where=where, count=count, reason=reason), now_ns)
        self._losses.clear()

    def _take(self) -> list[bytes]:
        out, self._out = self._out, []
        return out
