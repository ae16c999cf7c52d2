"""The resources that policy is made of, as typed values (semantics section 1).

Law: a resource here has been validated; an empty or absent field is None or (). Selectors are parsed trees, networks
masked bytes. Each resource and rule knows the place it was written at.
"""

import msgspec

from calicod.errors import NOWHERE, Place
from calicod.model.action import Action
from calicod.model.network import Network
from calicod.model.ports import PortRange
from calicod.model.protocol import Protocol
from calicod.selector.tree import Selector

Port = PortRange | str
"""A range of numbers, or the name of a port."""


DELETE = "Delete"
"""The staged action of a policy that only says that another is to go."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """Name, namespace ("" for cluster kinds) and own labels."""

    name: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class ServiceAccountMatch(msgspec.Struct, frozen=True):
    """`serviceAccounts`: OR among names, AND with the selector (semantics 2.11)."""

    names: tuple[str, ...] = ()
    selector: Selector | None = None


class ServiceMatch(msgspec.Struct, frozen=True):
    """`services`; `namespace` "": that of the policy (semantics 2.12, D8)."""

    name: str
    namespace: str = ""


class EntityRule(msgspec.Struct, frozen=True, kw_only=True):
    """`source` or `destination` of a rule; None or () means no criterion."""

    nets: tuple[Network, ...] = ()
    not_nets: tuple[Network, ...] = ()
    ports: tuple[Port, ...] = ()
    not_ports: tuple[Port, ...] = ()
    selector: Selector | None = None
    not_selector: Selector | None = None
    namespace_selector: Selector | None = None
    service_accounts: ServiceAccountMatch | None = None
    services: ServiceMatch | None = None


class IcmpMatch(msgspec.Struct, frozen=True):
    """`icmp` or `notICMP`: a code needs a type; a match without type (`icmp: {}`) is no criterion."""

    type: int | None = None
    code: int | None = None


ANYONE = EntityRule()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `ingress` or `egress` (semantics 2.1)."""

    action: Action
    ip_version: int | None = None
    protocol: Protocol | None = None
    not_protocol: Protocol | None = None
    icmp: IcmpMatch | None = None
    not_icmp: IcmpMatch | None = None
    source: EntityRule = ANYONE
    destination: EntityRule = ANYONE
    place: Place = NOWHERE


class Policy(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="resource"):
    """A policy of any kind (`kind`), enforced or staged; `order` None is last.

    `governs_ingress`, `governs_egress`: the effective `types` (semantics 1.4, by rule count). `staged_action`: what
    becomes of a staged policy, "" for an enforced one. The last three say for which traffic of host endpoints it is
    (semantics 1.3); the first of them goes with both others.
    """

    kind: str
    metadata: Metadata
    tier: str = "default"
    order: float | None = None
    selector: Selector | None = None
    namespace_selector: Selector | None = None
    service_account_selector: Selector | None = None
    governs_ingress: bool = True
    governs_egress: bool = False
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    staged_action: str = ""
    apply_on_forward: bool = False
    pre_dnat: bool = False
    do_not_track: bool = False
    place: Place = NOWHERE

    @property
    def is_staged(self) -> bool:
        """It takes part in the pending evaluation only (semantics 1.5)."""
        return bool(self.staged_action)

    @property
    def is_suppressed(self) -> bool:
        """It stands for the removal of a policy, and is not evaluated at all (semantics 1.5)."""
        return self.staged_action == DELETE


class Tier(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="resource"):
    """`order` None counts as 1,000,000 (D14); `default_action` is DENY or PASS."""

    metadata: Metadata
    order: float | None = None
    default_action: Action = Action.DENY
    place: Place = NOWHERE
    kind: str = "Tier"


class NetworkSet(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="resource"):
    """NetworkSet or GlobalNetworkSet (`kind`)."""

    kind: str
    metadata: Metadata
    nets: tuple[Network, ...] = ()
    place: Place = NOWHERE


class EndpointPort(msgspec.Struct, frozen=True):
    """A named port of an endpoint; `protocol` is a number."""

    name: str
    protocol: int
    port: int


class HostEndpoint(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="resource"):
    """`interface_name`: "" by address, "*" every host interface without its own (semantics 1.8)."""

    metadata: Metadata
    node: str
    interface_name: str = ""
    expected_ips: tuple[bytes, ...] = ()
    profiles: tuple[str, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
    place: Place = NOWHERE
    kind: str = "HostEndpoint"


class WorkloadEndpoint(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="resource"):
    """One veth or tap of a workload (semantics 1.10). `ip_networks`: single addresses.

    `interface_hash`: of a Pod: its interface is named by the node's first interfacePrefix and this (semantics 1.12).
    """

    metadata: Metadata
    node: str
    orchestrator: str = ""
    workload: str = ""
    endpoint: str = ""
    interface_name: str
    ip_networks: tuple[bytes, ...] = ()
    profiles: tuple[str, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
    service_account_name: str = ""
    allow_spoofed_source_prefixes: tuple[Network, ...] = ()
    interface_hash: str = ""
    place: Place = NOWHERE
    kind: str = "WorkloadEndpoint"


class EndpointSlice(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="resource"):
    """Some of the endpoints of a service of its namespace, ready or not; `service` "": of none (semantics 2.12).

    `ports`: protocol and number of each.
    """

    metadata: Metadata
    service: str = ""
    addresses: tuple[bytes, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    place: Place = NOWHERE
    kind: str = "EndpointSlice"


class Node(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="resource"):
    """A node of the cluster: its labels choose FelixConfigurations (semantics 1.13)."""

    metadata: Metadata
    place: Place = NOWHERE
    kind: str = "Node"


class Profile(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="resource"):
    """A Profile, also what a Namespace (`kns.`) or ServiceAccount (`ksa.`) becomes (semantics 1.12)."""

    metadata: Metadata
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    labels_to_apply: dict[str, str] = {}
    place: Place = NOWHERE
    kind: str = "Profile"


class Failsafe(msgspec.Struct, frozen=True):
    """A port that host endpoints never lock (semantics 4.11); `protocol` is TCP or UDP as a number."""

    protocol: int
    port: int
    net: Network | None = None


class FelixConfiguration(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="resource"):
    """The fields of FelixConfiguration that concern calicod; None: not given here (semantics 1.13)."""

    metadata: Metadata
    node_selector: Selector | None = None
    interface_prefix: tuple[str, ...] | None = None
    default_endpoint_to_host_action: str | None = None
    failsafe_inbound_host_ports: tuple[Failsafe, ...] | None = None
    failsafe_outbound_host_ports: tuple[Failsafe, ...] | None = None
    disable_conntrack_invalid_check: bool | None = None
    workload_source_spoofing: str | None = None
    allow_vxlan_packets_from_workloads: bool | None = None
    allow_ipip_packets_from_workloads: bool | None = None
    vxlan_port: int | None = None
    creation_timestamp: str = ""
    place: Place = NOWHERE
    kind: str = "FelixConfiguration"


Resource = (
    Policy | Tier | NetworkSet | HostEndpoint | WorkloadEndpoint | Profile | FelixConfiguration | EndpointSlice | Node
)

POLICY_KINDS = ("NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy", "StagedGlobalNetworkPolicy")
"""Calico's own: an annotation may say how they are really called."""


def identity(resource: Resource) -> tuple[str, str, str]:
    """(kind, namespace, name): what makes two resources the same one."""
    return (resource.kind, resource.metadata.namespace, resource.metadata.name)
