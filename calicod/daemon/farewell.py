"""The last judgement before the daemon ends: what an older generation allowed is judged once more (design 9).

Law: only what the policy in force allows, on a path that the kernel itself names, gets the present stamp. What cannot
be placed or is refused keeps its old one: nobody answers the queue any more, so the kernel drops it (or passes it, when
the failure mode is open).
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from calicod.engine.bitmap import BitmapEngine
from calicod.model.hook import Hook
from calicod.model.marks import LOCAL_ID, TO_WORKLOAD_ID, UNMANAGED_ID, WORKLOAD_ID, MarkLayout, gather
from calicod.model.network import family_of
from calicod.model.steering import Steering
from calicod.model.verdict import Verdict
from calicod.netfilter import conntrack
from calicod.netfilter.flow import Flow
from calicod.netfilter.routes import Route, Routes
from calicod.packet.value import Packet
from calicod.ruleset.enforcement import Enforcement

SHARED_IDS = frozenset({WORKLOAD_ID, UNMANAGED_ID})
FROM_HOST = frozenset({LOCAL_ID, TO_WORKLOAD_ID})
PATIENCE_SECONDS = 5.0
"""How long live flows are judged at the end; the keeper waits 20 s for everything."""

FindRoute = Callable[[bytes, bytes, int], Route | None]
"""Destination, source, index of the incoming interface (0: sent by this host)."""


class Place(msgspec.Struct, frozen=True):
    """Where a flow's first packet would be judged today."""

    hook: Hook
    in_interface: str
    out_interface: str


class Farewell(msgspec.Struct, frozen=True):
    """How many live flows of older generations there were, and how many of them live on."""

    flows: int
    renewed: int


class Placing:
    """Finds the path of a flow from the interface id in its stamp and the kernel's routes."""

    def __init__(self, enforcement: Enforcement, steering: Steering, find_route: FindRoute) -> None:
        self._find = find_route
        self._names = {interface.index: interface.name for interface in enforcement.interfaces}
        self._indexes = {interface.name: interface.index for interface in enforcement.interfaces}
        self._ids = {nic.name: nic.id for nic in steering.nics}
        self._ids |= {workload.name: workload.id for workload in steering.forwarding_workloads}
        self._owners = {number: name for name, number in self._ids.items() if number not in SHARED_IDS}
        self._prefixes = steering.workload_prefixes
        self._local = {nic.name: nic.local_id for nic in steering.nics if nic.managed}
        if steering.loopback is not None:
            self._local["lo"] = steering.loopback

    def place(self, source: bytes, destination: bytes, interface: int) -> Place | None:
        """The path of a flow between these addresses (the destination after NAT); None when it has none today."""
        if interface in FROM_HOST or interface in self._local.values():
            route = self._find(destination, source, 0)
            out = "lo" if route is not None and route.local else self._name(route)
            return Place(Hook.OUTPUT, "", out) if out and self._sends(out) == interface else None
        return self._from(self.incoming(source, interface), source, destination)

    def incoming(self, source: bytes, interface: int) -> str:
        """The interface by which a flow with this id came from there; "": none today."""
        name = self._owners.get(interface) or self._behind(source, interface)
        return name if name in self._indexes else ""

    def by_routes(self, source: bytes, destination: bytes) -> Place | None:
        """The path of a flow that bears no interface id: it comes by the way that leads back to its source."""
        back = self._find(source, b"", 0)
        if back is not None and back.local:
            route = self._find(destination, source, 0)
            out = "lo" if route is not None and route.local else self._name(route)
            return Place(Hook.OUTPUT, "", out) if out else None
        return self._from(self._name(back), source, destination)

    def _from(self, incoming: str, source: bytes, destination: bytes) -> Place | None:
        if incoming not in self._indexes:
            return None
        route = self._find(destination, source, self._indexes[incoming])
        if route is not None and route.local:
            return Place(Hook.INPUT, incoming, "")
        out = self._name(route)
        return Place(Hook.FORWARD, incoming, out) if out else None

    def settle(self, source: bytes, destination: bytes) -> tuple[Place, int] | None:
        """The path of a flow that bears no stamp, with the id that it would get; none on `lo`."""
        place = self.by_routes(source, destination)
        if place is None or place.out_interface == "lo":
            return None
        if place.hook is Hook.OUTPUT:
            return place, self._sends(place.out_interface)
        return place, self._ids.get(place.in_interface, self._shared(place.in_interface))

    def _shared(self, name: str) -> int:
        return WORKLOAD_ID if self._prefixes and name.startswith(self._prefixes) else UNMANAGED_ID

    def _sends(self, out: str) -> int:
        """The id of what the host itself sends there."""
        to_workload = bool(self._prefixes) and out.startswith(self._prefixes)
        return self._local.get(out, TO_WORKLOAD_ID if to_workload else LOCAL_ID)

    def _behind(self, source: bytes, interface: int) -> str:
        """The interface that shares this id and leads to the source: what is anti-spoofed comes by no other."""
        name = self._name(self._find(source, b"", 0))
        return name if self._ids.get(name, self._shared(name)) == interface else ""

    def _name(self, route: Route | None) -> str:
        return "" if route is None or route.local else self._names.get(route.interface, "")


def renewals(
    flows: Iterable[Flow], enforcement: Enforcement, steering: Steering, find_route: FindRoute, deadline: float
) -> tuple[int, dict[int, list[Flow]]]:
    """How many flows bear an older stamp, and those that the policy in force allows, by the mark that they get."""
    marks = steering.marks
    placing = Placing(enforcement, steering, find_route)
    engine = BitmapEngine(enforcement.ruleset, enforcement.interfaces)
    allowed: dict[int, list[Flow]] = defaultdict(list)
    count = 0
    for flow in flows:
        if not is_unsettled(flow.mark, marks, steering.generation):
            continue
        count += 1
        interface = gather(flow.mark, marks.interface)
        place = placing.place(flow.original.src, flow.reply.src, interface) if time.monotonic() < deadline else None
        if place is None:
            continue
        early, spared = before_dnat(flow.mark, marks, steering.generation)
        where = (place.hook, place.in_interface, place.out_interface)
        if engine.decide(first_packet(flow), *where, spared=spared).verdict is Verdict.ACCEPT:
            allowed[marks.stamp(steering.generation, interface) | marks.filter_stage | early].append(flow)
    return count, allowed


def is_unsettled(mark: int, marks: MarkLayout, generation: int) -> bool:
    """The filter stage allowed it under another generation; since then the preDNAT stage may have allowed it anew."""
    early, spared = before_dnat(mark, marks, generation)
    if gather(mark, marks.generation) != generation:
        return bool(mark & marks.filter_stage)
    return not mark & marks.filter_stage and bool(mark & marks.judged) and (spared or early == marks.prednat_stage)


def before_dnat(mark: int, marks: MarkLayout, generation: int) -> tuple[int, bool]:
    """The preDNAT stage's bits in a mark of this generation (0: of another), and whether a rule of it allowed."""
    both = marks.prednat_stage | marks.prednat_rule
    early = mark & both if gather(mark, marks.generation) == generation else 0
    return early, early == both


def first_packet(flow: Flow) -> Packet:
    """As the filter's hooks saw it: its source before NAT, its destination after."""
    original, reply = flow.original, flow.reply
    return Packet(
        family_of(original.src),
        original.protocol,
        original.src,
        reply.src,
        original.sport,
        reply.sport,
        original.icmp_type,
        original.icmp_code,
    )


def judge_once_more(enforcement: Enforcement, steering: Steering) -> Farewell:
    """Judges every live flow of an older generation; stamps what is allowed. Raises CalicodError or OSError."""
    routes = Routes()
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        count, allowed = renewals(conntrack.dump(), enforcement, steering, routes.find, deadline)
    finally:
        routes.close()
    mask = steering.marks.connection_mask
    return Farewell(count, sum(conntrack.set_marks(flows, mark, mask) for mark, flows in allowed.items()))
