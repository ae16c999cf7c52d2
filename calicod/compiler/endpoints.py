"""The endpoints and network sets of a snapshot, with the labels that selectors see.

Law: an endpoint that Calico ignores (semantics 1.10) is neither governed nor matched. Own labels win over inherited
ones, earlier profiles over later ones, and no workload gives itself labels of its namespace or service account.
"""

from collections.abc import Iterable, Mapping

import msgspec

from calicod.compiler.ranges import Ranges, ranges_of_addresses
from calicod.compiler.selectors import (
    NAMESPACE,
    NAMESPACE_PREFIX,
    ORCHESTRATOR,
    SERVICE_ACCOUNT,
    SERVICE_ACCOUNT_PREFIX,
)
from calicod.model.network import Network
from calicod.resources.kinds import EndpointPort, HostEndpoint, NetworkSet, WorkloadEndpoint
from calicod.ruleset.program import KnownNetwork

LONGEST_LABEL = 63
"""A service account's name becomes a label only if it is shorter (semantics 1.12)."""

OF_PODS = "cali"
"""The prefix that interfaces of pods are given when they are loaded."""

Endpoint = WorkloadEndpoint | HostEndpoint
Applied = Mapping[str, Mapping[str, str]]
"""Profile name -> its labelsToApply."""


class Subject(msgspec.Struct, frozen=True):
    """An endpoint of this node, which policies may govern."""

    endpoint: Endpoint
    labels: dict[str, str]


class Source(msgspec.Struct, frozen=True):
    """What a rule's selector may match: addresses under labels. Only endpoints have `addresses` and `ports`."""

    labels: dict[str, str]
    ranges: Ranges
    addresses: tuple[bytes, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


def is_ignored(workload: WorkloadEndpoint, *, spoofing: bool) -> bool:
    """Calico treats it as missing: no address, no interface, or foreign sources that this host does not allow."""
    granted = spoofing or not workload.allow_spoofed_source_prefixes
    return not (workload.ip_networks and workload.interface_name and granted)


def on_interfaces(workloads: tuple[WorkloadEndpoint, ...], prefix: str) -> tuple[WorkloadEndpoint, ...]:
    """The workloads, with the interfaces of pods named by this prefix (semantics 1.12)."""
    if prefix == OF_PODS:
        return workloads
    return tuple(
        msgspec.structs.replace(workload, interface_name=prefix + workload.interface_hash)
        if workload.interface_hash
        else workload
        for workload in workloads
    )


def workload_key(workload: WorkloadEndpoint) -> tuple[bytes, ...]:
    """Felix's order of workload endpoints: of two with one interface, it makes the first active."""
    metadata = workload.metadata
    identifier = f"{metadata.namespace}/{workload.workload}"
    parts = (workload.orchestrator, identifier, workload.endpoint, workload.node, metadata.name)
    return tuple(part.encode() for part in parts)


def workload_subject(workload: WorkloadEndpoint, applied: Applied) -> Subject:
    """A workload with its labels, inherited ones included."""
    return Subject(workload, inherited(workload_labels(workload), workload.profiles, applied))


def host_subject(host: HostEndpoint, applied: Applied) -> Subject:
    """A host endpoint with its labels, inherited ones included."""
    return Subject(host, inherited(host.metadata.labels, host.profiles, applied))


def endpoint_source(endpoint: Endpoint, applied: Applied) -> Source:
    """An endpoint as the far side of a rule: by its addresses alone (semantics 1.8, 2.8)."""
    if isinstance(endpoint, WorkloadEndpoint):
        labels, addresses = workload_labels(endpoint), endpoint.ip_networks
    else:
        labels, addresses = endpoint.metadata.labels, endpoint.expected_ips
    return Source(
        labels=inherited(labels, endpoint.profiles, applied),
        ranges=ranges_of_addresses(addresses),
        addresses=addresses,
        ports=endpoint.ports,
    )


def set_source(network_set: NetworkSet, ranges: Ranges, applied: Applied) -> Source:
    """A network set as the far side of a rule; a namespaced one inherits its namespace's labels (semantics 1.7)."""
    namespace = network_set.metadata.namespace
    parents = (f"kns.{namespace}",) if namespace else ()
    return Source(labels=inherited(set_labels(network_set), parents, applied), ranges=ranges)


def workload_labels(workload: WorkloadEndpoint) -> dict[str, str]:
    """Own labels without those that only profiles may give, and the labels that Calico forces (semantics 1.10)."""
    reserved = (NAMESPACE_PREFIX, SERVICE_ACCOUNT_PREFIX)
    labels = {label: value for label, value in workload.metadata.labels.items() if not label.startswith(reserved)}
    labels[NAMESPACE] = workload.metadata.namespace
    if workload.orchestrator:
        labels[ORCHESTRATOR] = workload.orchestrator
    if 0 < len(workload.service_account_name) < LONGEST_LABEL:
        labels[SERVICE_ACCOUNT] = workload.service_account_name
    return labels


def set_labels(network_set: NetworkSet) -> dict[str, str]:
    """Own labels, and the namespace's name if there is one."""
    namespace = network_set.metadata.namespace
    return {**network_set.metadata.labels, **({NAMESPACE: namespace} if namespace else {})}


def inherited(own: Mapping[str, str], profiles: Iterable[str], applied: Applied) -> dict[str, str]:
    """Own labels and those of the profiles: the first in the list that has the label gives it (semantics 1.9)."""
    labels = dict(own)
    for profile in profiles:
        for label, value in applied.get(profile, {}).items():
            labels.setdefault(label, value)
    return labels


def known(endpoints: Iterable[Endpoint], network_sets: Iterable[NetworkSet]) -> tuple[KnownNetwork, ...]:
    """Who owns which addresses, by kind, namespace and name."""
    owners = [_known_endpoint(endpoint) for endpoint in endpoints]
    owners += [
        KnownNetwork("NetworkSet", owner.metadata.namespace, owner.metadata.name, set_labels(owner), owner.nets)
        for owner in network_sets
    ]
    return tuple(sorted(owners, key=lambda owner: (owner.type, owner.namespace, owner.name)))


def _known_endpoint(endpoint: Endpoint) -> KnownNetwork:
    metadata = endpoint.metadata
    if isinstance(endpoint, WorkloadEndpoint):
        labels, addresses = workload_labels(endpoint), endpoint.ip_networks
    else:
        labels, addresses = metadata.labels, endpoint.expected_ips
    networks = tuple(Network(address, 8 * len(address)) for address in addresses)
    return KnownNetwork(endpoint.kind, metadata.namespace, metadata.name, labels, networks)
