"""Live flows, as `flows` and `apply` tell them: where each passes this host, and what decides it there.

Law: a look, never a change. What is told of a flow is what the policy asked here decides of its first packet, on the
path that its stamp and the kernel's routes name; where they name none, that is left open.
"""

import time
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from calicod.daemon.directory import Directory
from calicod.daemon.farewell import FindRoute, Place, Placing, before_dnat, first_packet
from calicod.daemon.flows import FlowNames
from calicod.daemon.state import LiveFlow
from calicod.engine.bitmap import BitmapEngine
from calicod.model.decision import Decision
from calicod.model.event import Party
from calicod.model.marks import FAILSAFE_ID, gather
from calicod.model.moment import NANOSECONDS
from calicod.model.network import format_address
from calicod.model.printable import encode_printable
from calicod.model.protocol import protocol_name
from calicod.model.steering import Steering
from calicod.model.verdict import Reason, Verdict
from calicod.netfilter import conntrack
from calicod.netfilter.endings import ended
from calicod.netfilter.flow import Flow
from calicod.netfilter.routes import Routes
from calicod.ruleset.enforcement import Enforcement

CHUNK = 500
"""Flows that are told at once."""


class Names:
    """Who owns an address, as endpoints of a namespace see it."""

    def __init__(self, enforcement: Enforcement) -> None:
        self._directory = Directory(enforcement.ruleset.known)
        self._parties: dict[str, Party] = {}

    def ends(self, source: bytes, destination: bytes, decision: Decision | None) -> tuple[Party, Party]:
        """Source and destination; the endpoint that decided is the one on its side, whatever address was used."""
        endpoint = None if decision is None else decision.endpoint
        if decision is None or endpoint is None:
            return self.party(source), self.party(destination)
        judged = self._party(self._directory.named(endpoint.type, endpoint.namespace, endpoint.name))
        if decision.reporter == "src":
            return judged, self.party(destination, endpoint.namespace)
        return self.party(source, endpoint.namespace), judged

    def party(self, address: bytes, namespace: str = "") -> Party:
        """The owner of an address."""
        view = self._directory.view(namespace)
        _, shown = view.memo.get(address) or self._directory.find(address, view)
        return self._party(shown)

    def _party(self, shown: str) -> Party:
        party = self._parties.get(shown)
        if party is None:
            party = self._parties[shown] = msgspec.json.decode(shown, type=Party)
        return party


class Live:
    """Looks at flows by one enforcement and the steering that stamped them; `now_ns`: wall clock."""

    def __init__(
        self, enforcement: Enforcement, steering: Steering, find_route: FindRoute, node: str, now_ns: int
    ) -> None:
        self.marks = steering.marks
        self.generation = steering.generation
        self._engine = BitmapEngine(enforcement.ruleset, enforcement.interfaces)
        self._placing = Placing(enforcement, steering, find_route)
        self._names = Names(enforcement)
        self._flow_names = FlowNames(node)
        self._now_ns = now_ns

    def stamped(self, flow: Flow) -> bool:
        """The filter stage allowed it, under whatever generation."""
        return bool(flow.mark & self.marks.filter_stage)

    def current(self, flow: Flow) -> bool:
        """The policy in force allowed it."""
        return self.stamped(flow) and gather(flow.mark, self.marks.generation) == self.generation

    def failsafe(self, flow: Flow) -> bool:
        """A failsafe let it pass."""
        return not self.stamped(flow) and gather(flow.mark, self.marks.interface) == FAILSAFE_ID

    def place(self, flow: Flow) -> Place | None:
        """Where its first packet would be judged; None when that is not certain."""
        source, destination = flow.original.src, flow.reply.src
        if self.stamped(flow):
            return self._placing.place(source, destination, gather(flow.mark, self.marks.interface))
        return self._placing.by_routes(source, destination)

    def decision(self, flow: Flow, place: Place) -> Decision:
        """What the policy says of it there."""
        _, spared = before_dnat(flow.mark, self.marks, self.generation)
        return self._engine.decide(
            first_packet(flow), place.hook, place.in_interface, place.out_interface, spared=spared
        )

    def allowed(self, flows: Iterable[Flow]) -> Iterator[LiveFlow]:
        """The flows that the policy in force, or a failsafe, allows; those that nobody judged are left out."""
        for flow in flows:
            if not (self.stamped(flow) or self.failsafe(flow)):
                continue
            place = self.place(flow)
            decision = None if place is None else self.decision(flow, place)
            allows = decision is not None and decision.verdict is Verdict.ACCEPT
            if allows or self.current(flow) or self.failsafe(flow):
                yield self.told(flow, place, decision if allows else None)

    def told(self, flow: Flow, place: Place | None, decision: Decision | None) -> LiveFlow:
        """A flow, with what allows it (None: not known)."""
        original, reply = flow.original, flow.reply
        src, dst = self._names.ends(original.src, reply.src, decision)
        reason = Reason.FAILSAFE if self.failsafe(flow) else decision.reason if decision is not None else None
        return LiveFlow(
            protocol=protocol_name(original.protocol),
            src_ip=format_address(original.src),
            src_port=number(original.sport),
            dst_ip=format_address(reply.src),
            dst_port=number(reply.sport),
            icmp_type=number(original.icmp_type),
            icmp_code=number(original.icmp_code),
            hook=place.hook.value if place is not None else None,
            in_interface=(place.in_interface or None) if place is not None else None,
            out_interface=(place.out_interface or None) if place is not None else None,
            src=src,
            dst=dst,
            reporter=decision.reporter if decision is not None else None,
            reason=reason.value if reason is not None else None,
            policy=decision.policy if decision is not None else None,
            generation=gather(flow.mark, self.marks.generation) if self.stamped(flow) else 0,
            age_seconds=self._age(flow),
            packets_to_dst=number(flow.packets),
            bytes_to_dst=number(flow.bytes),
            packets_to_src=number(flow.reply_packets),
            bytes_to_src=number(flow.reply_bytes),
            flow_id=self._flow_names.name(ended(flow).ends, flow.start_ns // NANOSECONDS),
        )

    def _age(self, flow: Flow) -> float | None:
        return round(max(0, self._now_ns - flow.start_ns) / NANOSECONDS, 3) if flow.start_ns else None


def number(value: int) -> int | None:
    """A number, or None for -1: there is none."""
    return None if value < 0 else value


def lines(enforcement: Enforcement, steering: Steering, node: str, chunk: int = CHUNK) -> Iterator[bytes]:
    """Every live allowed flow as a line of JSON, in chunks; blocks, so it is read in a thread. Raises OSError."""
    routes = Routes()
    try:
        live = Live(enforcement, steering, routes.find, node, time.time_ns())
        told = live.allowed(conntrack.dump(live=True))
        while some := tuple(islice(told, chunk)):
            yield b"".join(encode_printable(flow) + b"\n" for flow in some)
    finally:
        routes.close()
