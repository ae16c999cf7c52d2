"""From a moment of a flow to the line that tells it.

Law: the line is the very bytes that `model.event.encode` gives of the same event, at a fraction of its cost: all that
is equal for the packets of one decision comes encoded from its template. No time is read here.
"""

import msgspec

from calicod.daemon.directory import Directory
from calicod.daemon.templates import Template, text
from calicod.model.event import NANOSECONDS, VERSION, timestamp

FRACTION = len(".000000Z")


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


class Lines:
    """Writes the lines of one node; `directory` says who the addresses are and may be replaced."""

    def __init__(self, node: str, directory: Directory) -> None:
        self.directory = directory
        self._node = f'"node":{text(node)},'
        self._second = -1
        self._date = ""

    def line(self, event: str, moment: Moment, count: int = 1, tail: str = "", more: str = "") -> bytes:
        """One event. `tail`: another rule than the deciding one; `more`: the fields after `flow_id`, comma first."""
        second, rest = divmod(moment.time_ns, NANOSECONDS)
        if second != self._second:
            self._second, self._date = second, timestamp(moment.time_ns)[:-FRACTION]
        t = moment.template
        directory = self.directory
        view = directory.views.get(t.namespace) or directory.view(t.namespace)
        src_ip, src = view.memo.get(moment.src) or directory.find(moment.src, view)
        dst_ip, dst = view.memo.get(moment.dst) or directory.find(moment.dst, view)
        sport, dport, icmp_type, icmp_code = moment.sport, moment.dport, moment.icmp_type, moment.icmp_code
        flow_id = "null" if moment.flow_id is None else f'"{moment.flow_id}"'
        return (
            f'{{"event":"{event}","version":{VERSION},"time":"{self._date}.{rest // 1000:06d}Z",{self._node}'
            f'"revision":{moment.revision},{t.head}"src_ip":{src_ip},"src_port":{"null" if sport < 0 else sport},'
            f'"dst_ip":{dst_ip},"dst_port":{"null" if dport < 0 else dport},'
            f'"icmp_type":{"null" if icmp_type < 0 else icmp_type},'
            f'"icmp_code":{"null" if icmp_code < 0 else icmp_code},"reporter":{t.reporter},'
            f'"src":{t.src or src},"dst":{t.dst or dst},{tail or t.tail}"count":{count},"flow_id":{flow_id}{more}}}\n'
        ).encode()
