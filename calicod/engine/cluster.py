"""A packet's way through a whole cluster, where every endpoint is local to somebody.

Law: endpoints are found by address alone, workloads before hosts; of several with one address the first counts. What an
endpoint sends to itself never leaves it and is not judged. A host endpoint judges only what its own host sends and
gets: by which interfaces the packets of others pass is not known.
"""

from msgspec.structs import replace

from calicod.engine.path import NOT_JUDGED, Path, egress, ingress, open_path
from calicod.engine.pending import chained
from calicod.engine.way import NOBODY, Leg, Way, arriving_at_host, leaving_host
from calicod.model.decision import Decision
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import LocalEndpoint, RuleSet


class Cluster:
    """The ways of all endpoints, by address."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.leaving: dict[bytes, Way] = {}
        self.arriving: dict[bytes, Way] = {}
        for workload in ruleset.workloads:
            self._add(
                workload,
                Leg(open_path(Path(stages=(egress(workload),), from_workload=True))),
                Leg(open_path(Path(stages=(ingress(workload),)))),
            )
        for host in ruleset.hosts:
            self._add(host, leaving_host(ruleset, host), arriving_at_host(ruleset, host))

    def _add(self, endpoint: LocalEndpoint, out: Leg, into: Leg) -> None:
        leaving, arriving = (out,), (into,)
        for address in endpoint.addresses:
            self.leaving.setdefault(address, leaving)
            self.arriving.setdefault(address, arriving)

    def ways(self, packet: Packet) -> tuple[Way, Way]:
        """The way out of the source and the way into the destination."""
        if packet.src == packet.dst:
            return NOBODY, NOBODY
        return self.leaving.get(packet.src, NOBODY), self.arriving.get(packet.dst, NOBODY)


def join(first: Decision, second: Decision) -> Decision:
    """The decision of two paths in turn: the first denial, else the last verdict, told with the way through both."""
    if first.verdict is not Verdict.ACCEPT or second is NOT_JUDGED:
        return first
    if first is NOT_JUDGED:
        return second
    told = first if second.reason is Reason.NO_VERDICT else second
    return replace(told, trace=chained(first.trace, second.trace), logged=(*first.logged, *second.logged))
