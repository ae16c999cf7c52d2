"""Which endpoints judge a packet that goes into, out of or through this host (semantics 4.2, 4.6 to 4.11).

Law: a path depends on where the packet is and on interfaces alone, so it is found once and kept. Host endpoints judge
local traffic, and forwarded traffic only by the policies that apply there; a workload's own host is reached by egress
policy and then the endpoint-to-host action; the host reaches its workloads unjudged.
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from calicod.model.decision import Decision, EndpointReference
from calicod.model.hook import Direction, Phase
from calicod.model.network import V6_LENGTH
from calicod.model.protocol import ICMPV6, IPIP, UDP
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet
from calicod.resources.kinds import Failsafe
from calicod.ruleset.program import NO_PROGRAM, LocalEndpoint, RuleSet
from calicod.ruleset.topology import Topology, host_endpoint, is_workload

FROM_WORKLOAD_V6 = frozenset({130, 131, 132, 133, 135, 136})
"""ICMPv6 types that a workload may send to its host before any policy (semantics 4.9); not 134."""
DISCOVERY = frozenset({133, 134, 135, 136, 137})
"""Neighbour discovery: passes between a host and its links whatever the policy (D27)."""
DISCOVERY_FROM_WORKLOAD = DISCOVERY - {134}
"""A workload is no router."""
OF_THIS_LINK = (255, -1)
"""Hop limits of neighbour discovery: no router forwards it (RFC 4861, 6.1.1); or it is not known."""


class Stage(msgspec.Struct, frozen=True):
    """One endpoint judging one direction; `program` indexes RuleSet.programs. Not `active`: it refuses everything."""

    endpoint: EndpointReference
    direction: Direction
    program: int
    active: bool = True
    phase: Phase = Phase.NORMAL

    @property
    def reporter(self) -> str:
        """Which side of the flow tells of it."""
        return "dst" if self.direction is Direction.INGRESS else "src"


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """The stages in order; or `fixed`, the answer to every packet.

    `failsafes`: let pass before any stage, by the far side's network (`inbound`: the source); `replies`: the same by
    the source port. `discovery`: ICMPv6 types that pass as well, if no router forwarded them; `admitted`: those that
    pass in any case. `from_workload`: a workload sends, so tunnels are refused. `closing`: why a packet is refused
    though every stage allowed it.
    """

    stages: tuple[Stage, ...] = ()
    fixed: Decision | None = None
    failsafes: tuple[Failsafe, ...] = ()
    replies: tuple[Failsafe, ...] = ()
    inbound: bool = False
    discovery: frozenset[int] = frozenset()
    admitted: frozenset[int] = frozenset()
    from_workload: bool = False
    closing: Reason | None = None


NOT_JUDGED = Decision(verdict=Verdict.ACCEPT, reason=Reason.NO_ENDPOINT)
UNJUDGED = Path(fixed=NOT_JUDGED)
HOST_TO_WORKLOAD = Path(fixed=Decision(verdict=Verdict.ACCEPT, reason=Reason.HOST_TO_WORKLOAD))
FROM_UNKNOWN = Path(fixed=Decision(verdict=Verdict.DROP, reason=Reason.UNKNOWN_INTERFACE, reporter="src"))
TO_UNKNOWN = Path(fixed=Decision(verdict=Verdict.DROP, reason=Reason.UNKNOWN_INTERFACE))
EXEMPT_VERDICTS: Mapping[Reason, Verdict] = MappingProxyType(
    {
        Reason.FAILSAFE: Verdict.ACCEPT,
        Reason.NEIGHBOUR_DISCOVERY: Verdict.ACCEPT,
        Reason.FRAGMENT: Verdict.DROP,
        Reason.TUNNEL_FROM_WORKLOAD: Verdict.DROP,
    }
)
"""What comes of a packet for a reason that needs no policy."""


def reference(endpoint: LocalEndpoint) -> EndpointReference:
    """What names an endpoint."""
    return EndpointReference(endpoint.type, endpoint.namespace, endpoint.name)


def egress(endpoint: LocalEndpoint) -> Stage:
    """The endpoint judges what comes from it."""
    return Stage(reference(endpoint), Direction.EGRESS, endpoint.egress, endpoint.active)


def ingress(endpoint: LocalEndpoint) -> Stage:
    """The endpoint judges what goes to it."""
    return Stage(reference(endpoint), Direction.INGRESS, endpoint.ingress, endpoint.active)


def special(host: LocalEndpoint, direction: Direction, program: int, phase: Phase) -> tuple[Stage, ...]:
    """A host endpoint judges what is not its own connections; nobody is asked where no policy takes part (D11)."""
    return () if program == NO_PROGRAM else (Stage(reference(host), direction, program, host.active, phase),)


def open_path(path: Path) -> Path:
    """The path; one whose first endpoint is administratively down refuses everything (semantics 4.4)."""
    first = path.stages[0]
    return path if first.active else Path(fixed=told(first, Verdict.DROP, Reason.ADMIN_DOWN))


def told(stage: Stage, verdict: Verdict, reason: Reason) -> Decision:
    """A decision of an endpoint before any of its policy."""
    return Decision(verdict=verdict, reason=reason, reporter=stage.reporter, endpoint=stage.endpoint)


def to_host(ruleset: RuleSet, topology: Topology, in_interface: str, *, spared: bool) -> Path:
    """Into this host. What a workload sends is never spared its policy."""
    if is_workload(ruleset, in_interface):
        number = topology.workloads.get(in_interface)
        if number is None:
            return FROM_UNKNOWN
        return workload_to_host(ruleset, ruleset.workloads[number])
    host = host_endpoint(topology, in_interface)
    return UNJUDGED if host is None or spared else into_host(ruleset, ruleset.hosts[host])


def workload_to_host(ruleset: RuleSet, workload: LocalEndpoint) -> Path:
    """Egress policy, then the endpoint-to-host action (semantics 4.9)."""
    closing = Reason.ENDPOINT_TO_HOST if ruleset.settings.endpoint_to_host_action == "Drop" else None
    return open_path(
        Path(
            stages=(egress(workload),),
            discovery=DISCOVERY_FROM_WORKLOAD,
            admitted=FROM_WORKLOAD_V6,
            from_workload=True,
            closing=closing,
        )
    )


def into_host(ruleset: RuleSet, host: LocalEndpoint) -> Path:
    """A host endpoint judges what comes to it."""
    return Path(stages=(ingress(host),), failsafes=ruleset.settings.failsafe_inbound, inbound=True, discovery=DISCOVERY)


def out_of_host(ruleset: RuleSet, host: LocalEndpoint) -> Path:
    """A host endpoint judges what it sends."""
    return Path(stages=(egress(host),), failsafes=ruleset.settings.failsafe_outbound, discovery=DISCOVERY)


def from_host(ruleset: RuleSet, topology: Topology, out_interface: str, *, spared: bool) -> Path:
    """Out of this host: its own workloads are never judged (semantics 4.8)."""
    if is_workload(ruleset, out_interface):
        return HOST_TO_WORKLOAD
    host = host_endpoint(topology, out_interface)
    return UNJUDGED if host is None or spared else out_of_host(ruleset, ruleset.hosts[host])


def forwarded(ruleset: RuleSet, topology: Topology, in_interface: str, out_interface: str, *, spared: bool) -> Path:
    """Through this host: host endpoint it comes by, sending workload, receiving one, host endpoint it leaves by.

    In this order (D18). `*` stands for the interfaces of workloads too (semantics 4.8).
    """
    sends, receives = is_workload(ruleset, in_interface), is_workload(ruleset, out_interface)
    source, destination = topology.workloads.get(in_interface), topology.workloads.get(out_interface)
    if sends and source is None:
        return FROM_UNKNOWN
    if receives and destination is None:
        return TO_UNKNOWN
    stages: list[Stage] = []
    entry, leave = host_endpoint(topology, in_interface), host_endpoint(topology, out_interface)
    if entry is not None and not spared:
        host = ruleset.hosts[entry]
        stages += special(host, Direction.INGRESS, host.forward_ingress, Phase.FORWARD)
    if sends and source is not None:
        stages.append(egress(ruleset.workloads[source]))
    if receives and destination is not None:
        stages.append(ingress(ruleset.workloads[destination]))
    if leave is not None:
        host = ruleset.hosts[leave]
        stages += special(host, Direction.EGRESS, host.forward_egress, Phase.FORWARD)
    return open_path(Path(stages=tuple(stages), from_workload=sends)) if stages else UNJUDGED


def exempt(path: Path, packet: Packet, ruleset: RuleSet) -> Reason | None:
    """Why no policy is asked (`EXEMPT_VERDICTS`): failsafes, neighbour discovery, headless fragments, tunnels."""
    if is_failsafe(path, packet):
        return Reason.FAILSAFE
    if path.discovery and is_neighbour_discovery(path, packet):
        return Reason.NEIGHBOUR_DISCOVERY
    if packet.fragment:
        return Reason.FRAGMENT
    if path.from_workload and is_tunnel(packet, ruleset):
        return Reason.TUNNEL_FROM_WORKLOAD
    return None


def suspects(path: Path) -> frozenset[int]:
    """The protocols of all packets, fragments apart, for which `exempt` may have a reason."""
    neighbours = {ICMPV6} if path.discovery else set()
    tunnels = {UDP, IPIP} if path.from_workload else set()
    return frozenset({entry.protocol for entry in (*path.failsafes, *path.replies)} | neighbours | tunnels)


def exempted(path: Path, reason: Reason) -> Decision:
    """The decision that goes with a reason of `exempt`, told by the first endpoint of the path, or by the workload."""
    workloads = [stage for stage in path.stages if path.from_workload and stage.phase is Phase.NORMAL]
    return told((workloads or path.stages)[0], EXEMPT_VERDICTS[reason], reason)


def is_failsafe(path: Path, packet: Packet) -> bool:
    """Protocol and port of an entry, and its network on the far side (semantics 4.11)."""
    far = packet.src if path.inbound else packet.dst
    return names(path.failsafes, packet.protocol, packet.dport, far) or names(
        path.replies, packet.protocol, packet.sport, far
    )


def names(failsafes: tuple[Failsafe, ...], protocol: int, port: int, far: bytes) -> bool:
    """An entry names this protocol and port, and this address if it has a network."""
    for entry in failsafes:
        if entry.port == port and entry.protocol == protocol and (entry.net is None or far in entry.net):
            return True
    return False


def is_neighbour_discovery(path: Path, packet: Packet) -> bool:
    """What passes between this host and its links whatever the policy (semantics 4.9, D27)."""
    if packet.protocol != ICMPV6 or len(packet.src) != V6_LENGTH:
        return False
    if packet.icmp_type in path.admitted:
        return True
    return packet.icmp_type in path.discovery and packet.hop_limit in OF_THIS_LINK


def is_tunnel(packet: Packet, ruleset: RuleSet) -> bool:
    """VXLAN or IPIP, unless a setting allows it from workloads (semantics 4.6)."""
    settings = ruleset.settings
    if packet.protocol == UDP:
        return packet.dport == settings.vxlan_port and not settings.allow_vxlan_from_workloads
    return packet.protocol == IPIP and not settings.allow_ipip_from_workloads
