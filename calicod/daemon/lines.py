"""From a moment of a flow to the line that tells it.

Law: the line is the very bytes that `model.event.encode` gives of the same event, at a fraction of its cost: all that
is equal for the packets of one decision comes encoded from its template. No time is read here.
"""

import msgspec

from calicod.daemon.directory import Directory, View
from calicod.daemon.templates import Template, text
from calicod.model.event import VERSION
from calicod.model.moment import NANOSECONDS, timestamp

FRACTION = len(".000000Z")
NO_ICMP = ',"icmp_type":null,"icmp_code":null'
OPEN_END = '"}\n'
FRAMES = 8_192
"""Remembered; all are forgotten when there are more."""


class Moment(msgspec.Struct, frozen=True, gc=False):
    """What was seen of one packet or connection. Ports and ICMP numbers are -1, addresses b"" where there are none."""

    time_ns: int
    revision: int
    template: Template
    src: bytes
    dst: bytes
    sport: int
    dport: int
    icmp_type: int
    icmp_code: int
    flow_id: str | None


class Frame(msgspec.Struct, frozen=True):
    """What is equal in all lines of a template under one revision, and who sees the addresses in them.

    `before` comes before the source's address, `between` after ports and ICMP numbers, `after` after the parties. It
    keeps its template, so that the template's identity stays its own.
    """

    template: Template
    revision: int
    view: View
    before: str
    between: str
    after: str


class Form(msgspec.Struct, frozen=True, gc=False):
    """A line of which only source port and flow_id are open; `before` and `between` them."""

    before: str
    between: str


class Lines:
    """Writes the lines of one node; `directory` says who the addresses are and may be replaced."""

    def __init__(self, node: str, directory: Directory) -> None:
        self._directory = directory
        self._node = f'"node":{text(node)},'
        self._second = -1
        self._date = ""
        self._begins: dict[str, str] = {}
        self._frames: dict[int, Frame] = {}

    @property
    def directory(self) -> Directory:
        """Who the addresses are."""
        return self._directory

    @directory.setter
    def directory(self, directory: Directory) -> None:
        self._directory = directory
        self._frames.clear()

    def line(self, event: str, moment: Moment, count: int = 1, tail: str = "", more: str = "") -> bytes:
        """One event. `tail`: another rule than the deciding one; `more`: the fields after `flow_id`, comma first."""
        m, template = moment, moment.template
        icmp = NO_ICMP
        if m.icmp_type >= 0 or m.icmp_code >= 0:
            icmp = f',"icmp_type":{number(m.icmp_type)},"icmp_code":{number(m.icmp_code)}'
        after = ending(tail or template.tail, count) if tail or count != 1 else ""
        time_ns, revision, flow_id = m.time_ns, m.revision, m.flow_id
        return self.write(
            event, template, time_ns, revision, m.src, m.dst, m.sport, m.dport, flow_id, more, icmp=icmp, after=after
        )

    def write(  # noqa: PLR0913, PLR0917  the hot path: what a record holds is handed on, not packed up
        self,
        event: str,
        template: Template,
        time_ns: int,
        revision: int,
        src: bytes,
        dst: bytes,
        sport: int,
        dport: int,
        flow_id: str | None,
        more: str = "",
        *,
        icmp: str = NO_ICMP,
        after: str = "",
    ) -> bytes:
        """One event of a packet, or a connection, with ports. `after`: instead of its rule and a count of 1."""
        second, rest = divmod(time_ns, NANOSECONDS)
        if second != self._second:
            self._second, self._date = second, timestamp(time_ns)[:-FRACTION]
            self._begins.clear()
        begin = self._begins.get(event) or self._begin(event)
        frame = self._frames.get(id(template))
        if frame is None or frame.revision != revision:
            frame = self._frame(template, revision)
        memo = frame.view.memo
        src_ip, src_party = memo.get(src) or self._directory.find(src, frame.view)
        dst_ip, dst_party = memo.get(dst) or self._directory.find(dst, frame.view)
        name = "null" if flow_id is None else f'"{flow_id}"'
        return (
            f'{begin}{rest // 1000:06d}{frame.before}{src_ip},"src_port":{"null" if sport < 0 else sport},'
            f'"dst_ip":{dst_ip},"dst_port":{"null" if dport < 0 else dport}{icmp}{frame.between}'
            f'{template.src or src_party},"dst":{template.dst or dst_party}{after or frame.after}'
            f"{name}{more}}}\n"
        ).encode()

    def form(  # noqa: PLR0913, PLR0917  as `write`
        self, event: str, template: Template, time_ns: int, revision: int, src: bytes, dst: bytes, dport: int
    ) -> Form:
        """What connections of one kind at one moment have in common: many of them cost little more than one."""
        line = self.write(event, template, time_ns, revision, src, dst, 0, dport, "").decode()
        # INVARIANT: within a string of JSON no quotation mark comes without a backslash, so this is the field itself
        before, between = line.split('"src_port":0,', 1)
        return Form(f'{before}"src_port":', f",{between.removesuffix(OPEN_END)}")

    def _begin(self, event: str) -> str:
        """Up to the fraction of the second."""
        begin = self._begins[event] = f'{{"event":"{event}","version":{VERSION},"time":"{self._date}.'
        return begin

    def _frame(self, template: Template, revision: int) -> Frame:
        if len(self._frames) >= FRAMES:
            self._frames.clear()
        frame = self._frames[id(template)] = Frame(
            template,
            revision,
            self._directory.view(template.namespace),
            f'Z",{self._node}"revision":{revision},{template.head}"src_ip":',
            f',"reporter":{template.reporter},"src":',
            ending(template.tail, 1),
        )
        return frame


def ending(tail: str, count: int) -> str:
    """From the rule to the value of `flow_id`."""
    return f',{tail}"count":{count},"flow_id":'


def number(value: int) -> str:
    """-1: it has none."""
    return "null" if value < 0 else str(value)
