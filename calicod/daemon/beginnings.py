"""From what rules of ours logged to event lines: connections that the kernel let pass by itself.

Law: each is told once on its path, though its first packet may come twice. What is equal for many is worked out once:
such a connection costs a microsecond, or telling of it would cost more than making it.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from calicod.daemon.closings import ALLOWED, Closings
from calicod.daemon.flows import FlowNames, named, pack, unpack
from calicod.daemon.history import History
from calicod.daemon.lines import OPEN_END, Lines
from calicod.daemon.templates import Template, TemplateKey, template_key, unknown
from calicod.eventlog.sink import Several
from calicod.model.moment import NANOSECONDS
from calicod.model.record import Record
from calicod.netfilter.endings import Ended
from calicod.netfilter.nflog import Alike, Run

SAME_FLOW_SECONDS = 1
"""Packets of one new flow may be judged before the first one's stamp is on: within this they are one connection."""

Name = tuple[str, str, str]
"""Of a policy in the counters."""
KindKey = tuple[bool, bytes, bytes, int, int, int]
"""Whether a failsafe let it pass, source, destination and its port, protocol, the hook's identity."""


class Known:
    """Connections that the kernel allows by itself as it was told of this one; `idle`: looks without a new one."""

    __slots__ = ("_count", "ends", "idle", "key", "record", "revision")

    def __init__(self, record: Record, revision: int) -> None:
        self.record = record
        self.revision = revision
        self.ends = (id(record.hook), record.src, record.dst, record.dport)
        self.key = template_key(record)
        self.idle = self._count = 0

    def meet(self) -> None:
        """One has begun."""
        self._count += 1

    def look(self) -> None:
        """Once a second."""
        self.idle = 0 if self._count else self.idle + 1
        self._count = 0


class Kind(msgspec.Struct, gc=False):
    """Connections that differ in their source port alone, at one moment. `flow`: what is remembered of each.

    `prefix`: of their names; `before` and `between`: the line around source port and name; `form`: the line to be
    formatted, once many are told.
    """

    template: Template
    flow: int
    prefix: str
    before: str
    between: str
    count: int = 0
    form: bytes = b""

    def lines(self, ports: Sequence[int]) -> Several:
        """Of new connections from these source ports; `flows.named`, without a call for each."""
        if not self.form:
            shown = (part.replace("%", "%%") for part in (self.before, f"{self.between}{self.prefix}"))
            self.form = f"{'%d'.join(shown)}%04x{OPEN_END}".encode()
        twice = [0] * (2 * len(ports))
        twice[::2] = twice[1::2] = ports
        return Several(self.form * len(ports) % tuple(twice), len(ports))


class Beginnings:
    """Shares memory and lines with the event log. `find`: the template of a record; `hit` counts for a policy."""

    def __init__(
        self,
        names: FlowNames,
        history: History,
        lines: Lines,
        closings: Closings,
        find: Callable[[TemplateKey, Record], Template],
        hit: Callable[[Name, int, int], None],
    ) -> None:
        self._names = names
        self._history = history
        self._lines = lines
        self._closings = closings
        self._find = find
        self._hit = hit
        self._known: dict[tuple[int, bytes, bytes, int], Known] = {}
        self._former: dict[tuple[int, bytes, bytes, int], Known] = {}

    def know(self, allowed: Iterable[Known]) -> None:
        """What the kernel is about to allow by itself. What it allowed before may still be on its way here."""
        self._former, self._known = self._known, {known.ends: known for known in allowed}

    def lines(self, runs: Iterable[Run | Alike], ended: dict[int, list[Ended]], now_ns: int) -> list[bytes]:
        """Of first packets; pieces of one or more whole lines, in order.

        `ended`: of some of these connections the ends, by the hash of theirs. One that was followed by another of the
        same ends is told, and taken away, before that one.
        """
        pieces, kinds = list[bytes](), dict[KindKey, Kind]()
        for run in runs:
            if isinstance(run, Alike):
                piece = self._alike(run, kinds, now_ns) or self._run(run.one_by_one(), kinds, ended, now_ns)
            else:
                piece = self._run(run, kinds, ended, now_ns)
            if piece:
                pieces.append(piece)
        for kind in kinds.values():
            if kind.count and kind.template.hits is not None:
                self._hit(kind.template.hits, 0, kind.count)
        return pieces

    def _alike(self, run: Alike, kinds: dict[KindKey, Kind], now_ns: int) -> Several | None:
        """As `_run`, of connections that are all new; None, and nothing is done: they are not."""
        hook, failsafe, protocol, src, dst, dport, ports = run
        kind = self._kind((failsafe, src, dst, dport, protocol, id(hook)), kinds, now_ns)
        if not self._history.meet_flows([hash((src, dst, sport, dport, protocol)) for sport in ports], kind.flow):
            return None
        kind.count += len(ports)
        return kind.lines(ports)

    def _run(self, run: Run, kinds: dict[KindKey, Kind], ended: dict[int, list[Ended]], now_ns: int) -> Several:
        """Its lines; `kinds`: those that were met so far."""
        hook, failsafe, protocol, packets = run
        about = dict[tuple[bytes, bytes, int], Kind]()  # of this run: a shorter key
        text, meet = list[str](), self._history.meet_flow
        for _, src, dst, sport, dport in packets:
            kind = about.get((src, dst, dport))
            if kind is None:
                key = (failsafe, src, dst, dport, protocol, id(hook))
                kind = about[src, dst, dport] = self._kind(key, kinds, now_ns)
            ends = (src, dst, sport, dport, protocol)
            known = meet(hash(ends), kind.flow)
            if known is not None and (former := ended.get(hash(ends))):
                line = self._closings.line(former.pop(0), now_ns, late=True)
                text += [] if line is None else [line.decode()]
                known = meet(hash(ends), kind.flow)
            if known is None:
                name = named(kind.prefix, sport)
            else:
                start = self._untold(hash(ends), now_ns // NANOSECONDS, unpack(known)[0], kind.template)
                if start is None:
                    continue
                name = self._names.name(ends, start) or ""
            kind.count += 1
            text.append(f"{kind.before}{sport}{kind.between}{name}{OPEN_END}")
        return Several("".join(text).encode(), len(text))

    def _untold(self, identity: int, second: int, start: int, template: Template) -> int | None:
        """When it began, if it is to be told though its ends are known; None: it was told on this path."""
        judged, before = self._history.before(identity, template)
        same = abs(second - start) <= SAME_FLOW_SECONDS
        if same and judged and before is not None:
            return None
        if same or before is None:  # another path of it, or it is known by a dump alone
            self._history.judge(identity, template)
            return start or second
        self._history.begin(identity, second, template)
        return second

    def _kind(self, key: KindKey, kinds: dict[KindKey, Kind], now_ns: int) -> Kind:
        return kinds.get(key) or kinds.setdefault(key, self._met(key, now_ns))

    def _met(self, key: KindKey, now_ns: int) -> Kind:
        failsafe, src, dst, dport, protocol, hook = key
        ends = (hook, src, dst, dport)
        revision, template = self._closings.revision, unknown(protocol)
        if failsafe:
            template = self._closings.failsafe_template(src, dst, protocol)
        elif (known := self._known.get(ends) or self._former.get(ends)) is not None:
            template, revision = self._find(known.key, known.record), known.revision
            known.meet()
        second = now_ns // NANOSECONDS
        form = self._lines.form(ALLOWED, template, now_ns, revision, src, dst, dport)
        prefix = self._names.prefix(src, dst, dport, protocol, second)
        return Kind(template, pack(second, template.id), prefix, form.before, form.between)
