"""Connections that were there before calicod was: met once, when its first rules come into force (design 6, ADR 0017).

Law: only where no rule of a former daemon is there. Adopted is what both ends take part in and policy concerns, by the
path that the kernel names today; what cannot be placed is judged. A failure here keeps nothing from being enforced.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec
import structlog

from calicod.daemon.directions import set_right
from calicod.daemon.farewell import FindRoute, Place, Placing
from calicod.daemon.recall import asked_ids
from calicod.errors import CalicodError
from calicod.model.hook import Hook
from calicod.model.steering import Steering
from calicod.netfilter import conntrack
from calicod.netfilter.flow import SEEN_REPLY, Flow
from calicod.netfilter.routes import Routes
from calicod.ruleset.enforcement import Enforcement

log = structlog.get_logger()


class Met(msgspec.Struct, frozen=True):
    """Connections whose direction was set right, and that were adopted."""

    turned: int = 0
    adopted: int = 0


class Beginning:
    """Called just before the first rules come into force, and again just after it, for what began in between."""

    def __init__(self, *, adopts: bool) -> None:
        self.adopts = adopts
        self.met = Met()

    def meet(self, enforcement: Enforcement, steering: Steering) -> None:
        """Looks at every connection."""
        try:
            turned = set_right()
            adopted = adopt(enforcement, steering) if self.adopts else 0
        except (CalicodError, OSError) as failure:
            log.error("connections.unmet", error=str(failure))  # noqa: TRY400  the place in our code is of no use
            return
        self.met = Met(self.met.turned + turned, self.met.adopted + adopted)

    @property
    def notices(self) -> tuple[str, ...]:
        """What was done, in words."""
        told = []
        if self.met.adopted:
            told.append(f"{self.met.adopted} connections were there already and live on unjudged until policy changes")
        if self.met.turned:
            told.append(f"{self.met.turned} connections of TCP ran the wrong way round in conntrack and were turned")
        return tuple(told)


def adopt(enforcement: Enforcement, steering: Steering) -> int:
    """Stamps what is there; how many. Raises CalicodError or OSError."""
    routes = Routes()
    try:
        stamps = adoptions(conntrack.dump(), enforcement, steering, routes.find)
    finally:
        routes.close()
    mask = steering.marks.connection_mask
    return sum(conntrack.set_marks(flows, mark, mask) for mark, flows in stamps.items())


def adoptions(
    flows: Iterable[Flow], enforcement: Enforcement, steering: Steering, find_route: FindRoute
) -> dict[int, list[Flow]]:
    """The flows to be adopted, by the mark that they get: no stage asks about them."""
    marks, early = steering.marks, asked_ids(steering)
    placing = Placing(enforcement, steering, find_route)
    concerns = concerned(steering)
    found: dict[int, list[Flow]] = defaultdict(list)
    for flow in flows:
        if flow.mark & marks.connection_mask or not flow.status & SEEN_REPLY:
            continue
        settled = placing.settle(flow.original.src, flow.reply.src)
        if settled is not None and concerns(settled[0]):
            stages = marks.filter_stage | (marks.prednat_stage if settled[1] in early else 0)
            found[marks.stamp(steering.generation, settled[1]) | stages].append(flow)
    return found


def concerned(steering: Steering) -> Callable[[Place], bool]:
    """Whether a packet there would be judged."""
    managed = {nic.name for nic in steering.nics if nic.managed}
    forward = {nic.name for nic in steering.nics if nic.forward}
    early = {nic.name for nic in steering.nics if nic.prednat}
    prefixes = steering.workload_prefixes

    def judged(place: Place) -> bool:
        names = [name for name in (place.in_interface, place.out_interface) if name]
        if prefixes and any(name.startswith(prefixes) for name in names):
            return True
        if place.in_interface and (place.in_interface in early or steering.wildcard_prednat):
            return True
        if place.hook is not Hook.FORWARD:
            return any(name in managed for name in names)
        free = managed - forward
        return not forward.isdisjoint(names) or (steering.wildcard_forward and not free.issuperset(names))

    return judged
