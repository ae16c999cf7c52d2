"""From what conntrack tells to event lines: connections that ended, and those that a failsafe let pass.

Law: only connections that bear our stamp, or that were told when they began, are told; nothing is told of the others.
"""

from collections.abc import Iterable

from calicod.daemon.flows import UNKNOWN, FlowNames
from calicod.daemon.history import History
from calicod.daemon.lines import Lines, Moment
from calicod.daemon.templates import Route, Template, unknown
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.marks import FAILSAFE_ID, MarkLayout
from calicod.model.moment import NANOSECONDS
from calicod.model.verdict import Reason, Verdict
from calicod.netfilter.endings import Ended, ended
from calicod.netfilter.flow import Flow

CLOSED = "connection.closed"
ALLOWED = "connection.allowed"
MICROSECONDS = 1_000


class Closings:
    """Shares memory and lines with the event log. `revision` is the one in force."""

    def __init__(self, names: FlowNames, history: History, lines: Lines, marks: MarkLayout) -> None:
        self.revision = 0
        self._names = names
        self._history = history
        self._lines = lines
        self._stamped = marks.filter_stage | marks.judged
        self._id_mask = marks.interface
        self._failsafe = marks.stamp(0, FAILSAFE_ID)

    def seed(self, flows: Iterable[Flow]) -> None:
        """Remembers when stamped flows began; what allowed them is not known."""
        for flow in flows:
            if self._ours(flow.mark) and flow.start_ns:
                self._history.begin(hash(ended(flow).ends), flow.start_ns // NANOSECONDS, None)

    def begun(self, flow: Flow, now_ns: int) -> bytes | None:
        """The line that tells of a connection that a failsafe let pass, if it is one."""
        if flow.mark & self._stamped or flow.mark & self._id_mask != self._failsafe:
            return None
        e = ended(flow)
        template = self.failsafe_template(e.src, e.dst, e.protocol)
        second = (flow.start_ns or now_ns) // NANOSECONDS
        self._history.begin(hash(e.ends), second, template)
        return self._lines.line(ALLOWED, self._moment(e, template, now_ns, self._names.name(e.ends, second)))

    def line(self, end: Ended, now_ns: int, *, late: bool = False) -> bytes | None:
        """The line that tells of this end, if there is something to tell.

        `late`: its beginning was told just now, so what is remembered of its ends is not a newer connection.
        """
        e = end
        identity = e.ends
        key = hash(identity)
        start = self._history.start(key)
        if start is None and not self._ours(e.mark):
            return None
        template = None
        if start is not None and (late or not newer(start, e)):
            start, template = self._history.end(key)
        else:
            start = UNKNOWN
        if template is None:
            failsafe = e.mark & (self._stamped | self._id_mask) == self._failsafe
            template = self.failsafe_template(e.src, e.dst, e.protocol) if failsafe else unknown(e.protocol)
        name, time_ns = self._names.name(identity, start or e.start_ns // NANOSECONDS), e.stop_ns or now_ns
        if template.icmp:
            return self._lines.line(CLOSED, self._moment(e, template, time_ns, name), more=figures(e))
        revision, more = self.revision, figures(e)
        return self._lines.write(CLOSED, template, time_ns, revision, e.src, e.dst, e.sport, e.dport, name, more)

    def _ours(self, mark: int) -> bool:
        return bool(mark & self._stamped) or mark & self._id_mask == self._failsafe

    def _moment(self, e: Ended, template: Template, time_ns: int, name: str | None) -> Moment:
        sport, dport = (-1, -1) if e.icmp_type >= 0 else (e.sport, e.dport)
        revision, kind, code = self.revision, e.icmp_type, e.icmp_code
        return Moment(time_ns, revision, template, e.src, e.dst, sport, dport, kind, code, name)

    def failsafe_template(self, src: bytes, dst: bytes, protocol: int) -> Template:
        """What is told of a flow that a failsafe let pass: its source before NAT, its destination after it."""
        directory = self._lines.directory
        hook, reporter = None, "dst"
        if dst in directory.local:
            hook = Hook.INPUT
        elif src in directory.local:
            hook, reporter = Hook.OUTPUT, "src"
        key = (Reason.FAILSAFE.value, hook, protocol)
        template = self._history.templates.cache.get(key)
        if template is None:
            decision = Decision(verdict=Verdict.ACCEPT, reason=Reason.FAILSAFE, reporter=reporter)
            route = Route(hook, "", "", protocol)
            template = self._history.templates.add(key, decision, route, directory)
        return template


def newer(start: int, end: Ended) -> bool:
    """The same addresses and ports were used again, and the new connection was told before this one's end."""
    return bool(end.stop_ns) and start > end.start_ns // NANOSECONDS + 1 and start >= end.stop_ns // NANOSECONDS


def figures(end: Ended) -> str:
    """The fields that only the end of a connection has."""
    start, stop = end.start_ns, end.stop_ns
    duration = max(0, stop - start) // MICROSECONDS / 1000 if start and stop else "null"
    packets, octets, back, octets_back = end.packets, end.octets, end.reply_packets, end.reply_octets
    return (
        f',"duration_ms":{duration},"packets_to_dst":{"null" if packets < 0 else packets},'
        f'"bytes_to_dst":{"null" if octets < 0 else octets},"packets_to_src":{"null" if back < 0 else back},'
        f'"bytes_to_src":{"null" if octets_back < 0 else octets_back}'
    )
