"""The FelixConfiguration in force on a node (semantics 1.13).

Law: field by field, `default` < selected by nodeSelector < `node.<name>`; what none of them gives is Calico's default.
"""

from types import MappingProxyType

import msgspec

from calicod.compiler.endpoints import OF_PODS
from calicod.model.protocol import TCP, UDP
from calicod.resources.kinds import Failsafe, FelixConfiguration, Metadata
from calicod.resources.snapshot import Snapshot
from calicod.ruleset.program import HostSettings
from calicod.selector.tree import All

CLUSTER_WIDE = "default"
OF_NODE = "node."

BOTH_WAYS = (
    Failsafe(TCP, 179),
    Failsafe(TCP, 2379),
    Failsafe(TCP, 2380),
    Failsafe(TCP, 5473),
    Failsafe(TCP, 6443),
    Failsafe(TCP, 6666),
    Failsafe(TCP, 6667),
)
DEFAULT_INBOUND = (Failsafe(TCP, 22), Failsafe(UDP, 68), *BOTH_WAYS)
DEFAULT_OUTBOUND = (Failsafe(UDP, 53), Failsafe(UDP, 67), *BOTH_WAYS)
"""Semantics 4.11."""

HOST_ACTIONS = MappingProxyType({"drop": "Drop", "return": "Return", "accept": "Accept"})
ANY_SOURCE = "Any"

OWN_FIELDS = ("metadata", "node_selector", "creation_timestamp", "place", "kind")
SETTINGS = tuple(name for name in FelixConfiguration.__struct_fields__ if name not in OWN_FIELDS)


def settings(snapshot: Snapshot, node: str | None) -> HostSettings:
    """What the engines and the steering need of the configuration in force; `node` None: of no node in particular."""
    felix = in_force(snapshot, node)
    built_in = HostSettings()
    action = felix.default_endpoint_to_host_action or built_in.endpoint_to_host_action
    inbound, outbound = felix.failsafe_inbound_host_ports, felix.failsafe_outbound_host_ports
    return HostSettings(
        workload_prefixes=prefixes(felix) or built_in.workload_prefixes,
        endpoint_to_host_action=HOST_ACTIONS[action.lower()],
        failsafe_inbound=DEFAULT_INBOUND if inbound is None else inbound,
        failsafe_outbound=DEFAULT_OUTBOUND if outbound is None else outbound,
        disable_invalid_check=bool(felix.disable_conntrack_invalid_check),
        allow_vxlan_from_workloads=bool(felix.allow_vxlan_packets_from_workloads),
        allow_ipip_from_workloads=bool(felix.allow_ipip_packets_from_workloads),
        vxlan_port=felix.vxlan_port or built_in.vxlan_port,
    )


def prefixes(felix: FelixConfiguration) -> tuple[str, ...]:
    """The prefixes given, sorted; an empty one would make every interface a workload's."""
    return tuple(sorted({prefix for prefix in felix.interface_prefix or () if prefix}))


def first_prefix(felix: FelixConfiguration) -> str:
    """The prefix with which Calico names the interfaces of pods: the first as written (semantics 1.12)."""
    return next((prefix for prefix in felix.interface_prefix or () if prefix), OF_PODS)


def spoofing_allowed(felix: FelixConfiguration) -> bool:
    """Whether `allowSpoofedSourcePrefixes` is honoured (semantics 1.10)."""
    return felix.workload_source_spoofing == ANY_SOURCE


def in_force(snapshot: Snapshot, node: str | None) -> FelixConfiguration:
    """All configurations that apply to the node, merged into one."""
    merged: dict[str, object] = {}
    for felix in reversed(applicable(snapshot, node)):
        merged.update({name: value for name in SETTINGS if (value := getattr(felix, name)) is not None})
    nothing = FelixConfiguration(metadata=Metadata(name=""))
    return msgspec.structs.replace(nothing, **merged)


def applicable(snapshot: Snapshot, node: str | None) -> tuple[FelixConfiguration, ...]:
    """The configurations of a node, strongest first; a nodeSelector holds for a node whose labels are known."""
    own = [felix for felix in snapshot.felix_configurations if node and felix.metadata.name == OF_NODE + node]
    labels = labels_of(snapshot, node)
    selected = [felix for felix in snapshot.felix_configurations if selects(felix, labels)]
    cluster = [felix for felix in snapshot.felix_configurations if felix.metadata.name == CLUSTER_WIDE]
    oldest = sorted(selected, key=lambda felix: (felix.creation_timestamp, felix.metadata.name))
    return (*own, *oldest[:1], *cluster)


def labels_of(snapshot: Snapshot, node: str | None) -> dict[str, str] | None:
    """The labels of a node; None if nobody has told them."""
    return next((known.metadata.labels for known in snapshot.nodes if known.metadata.name == node), None)


def selects(felix: FelixConfiguration, labels: dict[str, str] | None) -> bool:
    """Whether a configuration selects a node with these labels; of an unknown one only `all()` is sure to hold."""
    selector = felix.node_selector
    if selector is None or labels is None:
        return isinstance(selector, All)
    return selector.matches(labels)
