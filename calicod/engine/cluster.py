"""A packet's way through a whole cluster, where every endpoint is local to somebody.

Law: endpoints are found by address alone, workloads before hosts; of several with one address the first counts. What an
endpoint sends to itself never leaves it and is not judged.
"""

from msgspec.structs import replace

from calicod.engine.path import UNJUDGED, Path, egress, ingress, into_host, open_path, out_of_host
from calicod.engine.pending import chained, joined
from calicod.model.decision import Decision
from calicod.model.verdict import Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import LocalEndpoint, RuleSet


class Cluster:
    """The paths of all endpoints, by address."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.leaving: dict[bytes, Path] = {}
        self.arriving: dict[bytes, Path] = {}
        for workload in ruleset.workloads:
            self._add(
                workload,
                open_path(Path(stages=(egress(workload),), from_workload=True)),
                open_path(Path(stages=(ingress(workload),))),
            )
        for host in ruleset.hosts:
            self._add(host, out_of_host(ruleset, host), into_host(ruleset, host))

    def _add(self, endpoint: LocalEndpoint, out: Path, into: Path) -> None:
        for address in endpoint.addresses:
            self.leaving.setdefault(address, out)
            self.arriving.setdefault(address, into)

    def paths(self, packet: Packet) -> tuple[Path, Path]:
        """The egress path of the source and the ingress path of the destination."""
        if packet.src == packet.dst:
            return UNJUDGED, UNJUDGED
        return self.leaving.get(packet.src, UNJUDGED), self.arriving.get(packet.dst, UNJUDGED)


def join(first: Decision, second: Decision) -> Decision:
    """The decision of both sides: the first denial, else the second, told with the way through both."""
    if second is UNJUDGED.fixed:
        return first
    if first is UNJUDGED.fixed:
        return second
    pending = joined(first, second)
    if first.verdict is not Verdict.ACCEPT:
        return first if pending == first.pending else replace(first, pending=pending)
    trace, logged = chained(first.trace, second.trace), (*first.logged, *second.logged)
    return replace(second, trace=trace, logged=logged, pending=pending)
