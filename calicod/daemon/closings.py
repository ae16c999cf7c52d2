"""From what conntrack tells to event lines: connections that ended, and those that a failsafe let pass.

Law: only connections that bear our stamp, or that were told when they began, are told; nothing is told of the others.
"""

from collections.abc import Iterable

from calicod.daemon.flows import UNKNOWN, Ends, FlowNames, icmp_ends
from calicod.daemon.history import History
from calicod.daemon.lines import Lines, Moment
from calicod.daemon.templates import Route, Template, unknown
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.marks import FAILSAFE_ID, MarkLayout
from calicod.model.moment import NANOSECONDS
from calicod.model.verdict import Reason, Verdict
from calicod.netfilter.flow import ConntrackEvent, Flow

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
                self._history.begin(hash(ends(flow)), flow.start_ns // NANOSECONDS, None)

    def line(self, event: ConntrackEvent, now_ns: int, *, late: bool = False) -> bytes | None:
        """The line that tells of this, if there is something to tell.

        `late`: this end's beginning was told just now, so what is remembered of its ends is not a newer connection.
        """
        flow = event.flow
        if not event.new:
            return self._closed(flow, now_ns, late=late)
        if flow.mark & self._stamped or flow.mark & self._id_mask != self._failsafe:
            return None
        template = self.failsafe_template(*whose(flow))
        second = (flow.start_ns or now_ns) // NANOSECONDS
        identity = ends(flow)
        self._history.begin(hash(identity), second, template)
        return self._lines.line(ALLOWED, self._moment(flow, template, now_ns, self._names.name(identity, second)))

    def _ours(self, mark: int) -> bool:
        return bool(mark & self._stamped) or mark & self._id_mask == self._failsafe

    def _closed(self, flow: Flow, now_ns: int, *, late: bool) -> bytes | None:
        identity = ends(flow)
        key = hash(identity)
        start = self._history.start(key)
        if start is None and not self._ours(flow.mark):
            return None
        began = flow.start_ns // NANOSECONDS
        template = None
        if start is not None and (late or not self._newer(start, flow)):
            start, template = self._history.end(key)
        else:
            start = UNKNOWN
        if template is None:
            failsafe = flow.mark & (self._stamped | self._id_mask) == self._failsafe
            template = self.failsafe_template(*whose(flow)) if failsafe else unknown(flow.original.protocol)
        name, time_ns, more = self._names.name(identity, start or began), flow.stop_ns or now_ns, figures(flow)
        if template.icmp:
            return self._lines.line(CLOSED, self._moment(flow, template, time_ns, name), more=more)
        src, dst, sport, dport, _ = identity
        return self._lines.write(CLOSED, template, time_ns, self.revision, src, dst, sport, dport, name, more)

    @staticmethod
    def _newer(start: int, flow: Flow) -> bool:
        """The same addresses and ports were used again, and the new connection was told before this one's end."""
        return bool(flow.stop_ns) and start > flow.start_ns // NANOSECONDS + 1 and start >= flow.stop_ns // NANOSECONDS

    def _moment(self, flow: Flow, template: Template, time_ns: int, name: str | None) -> Moment:
        original, reply = flow.original, flow.reply
        return Moment(
            time_ns,
            self.revision,
            template,
            original.src,
            reply.src,
            original.sport,
            reply.sport,
            original.icmp_type,
            original.icmp_code,
            name,
        )

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


def ends(flow: Flow) -> Ends:
    """As the record of the same flow has them: the source before NAT, the destination after it.

    The original source stands for a client behind this host's masquerading, the reply's source for a server behind its
    DNAT.
    """
    original, reply = flow.original, flow.reply
    if original.icmp_type >= 0:
        number, kind, code = original.icmp_id, original.icmp_type, original.icmp_code
        return icmp_ends(original.src, reply.src, number, kind, code, original.protocol)
    return original.src, reply.src, original.sport, reply.sport, original.protocol


def whose(flow: Flow) -> tuple[bytes, bytes, int]:
    """The source before NAT, the destination after it, the protocol."""
    return flow.original.src, flow.reply.src, flow.original.protocol


def figures(flow: Flow) -> str:
    """The fields that only the end of a connection has."""
    start, stop = flow.start_ns, flow.stop_ns
    duration = max(0, stop - start) // MICROSECONDS / 1000 if start and stop else "null"
    packets, octets, back, octets_back = flow.packets, flow.bytes, flow.reply_packets, flow.reply_bytes
    return (
        f',"duration_ms":{duration},"packets_to_dst":{"null" if packets < 0 else packets},'
        f'"bytes_to_dst":{"null" if octets < 0 else octets},"packets_to_src":{"null" if back < 0 else back},'
        f'"bytes_to_src":{"null" if octets_back < 0 else octets_back}'
    )
