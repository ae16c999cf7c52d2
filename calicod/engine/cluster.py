"""A packet's way through a whole cluster, where every endpoint is local to somebody.

Law: endpoints are found by address alone, workloads before hosts; of several with one address the first counts. What an
endpoint sends to itself never leaves it and is not judged.
"""

import msgspec

from calicod.engine.path import UNJUDGED, Path, egress, ingress, open_path
from calicod.model.decision import Decision
from calicod.model.verdict import Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import RuleSet

HOST = "HostEndpoint"


class Cluster:
    """The paths of all endpoints, by address."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.leaving: dict[bytes, Path] = {}
        self.arriving: dict[bytes, Path] = {}
        settings = ruleset.settings
        for endpoint in (*ruleset.workloads, *ruleset.hosts):
            host = endpoint.type == HOST
            outbound, inbound = (settings.failsafe_outbound, settings.failsafe_inbound) if host else ((), ())
            out = open_path(Path(stages=(egress(endpoint),), failsafes=outbound, from_workload=not host))
            into = open_path(Path(stages=(ingress(endpoint),), failsafes=inbound, inbound=True))
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
    if first.verdict is not Verdict.ACCEPT or second is UNJUDGED.fixed:
        return first
    if first is UNJUDGED.fixed:
        return second
    behind = (text.partition("|")[2] for text in second.trace)
    numbered = (f"{number}|{text}" for number, text in enumerate(behind, len(first.trace)))
    return msgspec.structs.replace(second, trace=(*first.trace, *numbered), logged=(*first.logged, *second.logged))
