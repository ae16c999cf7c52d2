"""Who is there: the endpoints of this node that policies govern, and everything that rules can match by selector.

Law: made of endpoints, network sets, services, profile labels, the node and two settings; a change of any policy leaves
it as it is. Workloads stand in Felix's order, hosts by name.
"""

from collections.abc import Mapping

import msgspec

from calicod.compiler.endpoints import (
    OF_PODS,
    Endpoint,
    Subject,
    endpoint_source,
    host_subject,
    is_ignored,
    known,
    on_interfaces,
    set_source,
    workload_key,
    workload_subject,
)
from calicod.compiler.ipsets import Members
from calicod.compiler.labels import LabelIndex
from calicod.compiler.memory import Memo
from calicod.compiler.ranges import Ranges, ranges_of
from calicod.model.network import Network
from calicod.resources.kinds import EndpointSlice, HostEndpoint, NetworkSet, WorkloadEndpoint
from calicod.resources.snapshot import Snapshot
from calicod.ruleset.program import KnownNetwork
from calicod.selector.tree import Selector

SetIdentity = tuple[str, str, str]
Packed = Memo[SetIdentity, tuple[Network, ...], Ranges]
"""The ranges of each network set: a million networks take a second or two to pack."""


class Census(msgspec.Struct, frozen=True, kw_only=True):
    """What a population is made of."""

    node: str | None
    spoofing: bool
    workload_endpoints: tuple[WorkloadEndpoint, ...]
    host_endpoints: tuple[HostEndpoint, ...]
    network_sets: tuple[NetworkSet, ...]
    applied: Mapping[str, dict[str, str]]
    slices: tuple[EndpointSlice, ...] = ()


def census(snapshot: Snapshot, node: str | None, *, spoofing: bool, prefix: str = OF_PODS) -> Census:
    """The part of a snapshot that a population depends on; `prefix`: with which the interfaces of pods are named."""
    return Census(
        node=node,
        spoofing=spoofing,
        workload_endpoints=on_interfaces(snapshot.workload_endpoints, prefix),
        host_endpoints=snapshot.host_endpoints,
        network_sets=snapshot.network_sets,
        applied={profile.metadata.name: profile.labels_to_apply for profile in snapshot.profiles},
        slices=snapshot.endpoint_slices,
    )


class Population:
    """A census, indexed.

    `subjects`: workloads, then hosts, of this node. `ignored`: its workloads that Calico treats as missing.
    """

    def __init__(self, given: Census, packed: Packed) -> None:
        workloads = tuple(sorted(given.workload_endpoints, key=workload_key))
        hosts = tuple(sorted(given.host_endpoints, key=lambda host: host.metadata.name.encode()))
        there = tuple(workload for workload in workloads if not is_ignored(workload, spoofing=given.spoofing))
        self.workloads: tuple[Subject, ...] = tuple(
            workload_subject(workload, given.applied) for workload in there if given.node in (None, workload.node)
        )
        self.hosts: tuple[Subject, ...] = tuple(
            host_subject(host, given.applied) for host in hosts if given.node in (None, host.node)
        )
        self.ignored: tuple[WorkloadEndpoint, ...] = tuple(
            workload
            for workload in workloads
            if is_ignored(workload, spoofing=given.spoofing) and given.node in (None, workload.node)
        )
        self.subjects = (*self.workloads, *self.hosts)
        endpoints: tuple[Endpoint, ...] = (*there, *hosts)
        self.known: tuple[KnownNetwork, ...] = known(endpoints, given.network_sets)
        sources = [endpoint_source(endpoint, given.applied) for endpoint in endpoints]
        for owner in given.network_sets:
            identity = (owner.kind, owner.metadata.namespace, owner.metadata.name)
            sources.append(set_source(owner, packed.get(identity, owner.nets, ranges_of), given.applied))
        self.members = Members(tuple(sources), given.slices)
        self._everywhere = (1 << len(endpoints)) - 1
        self._index = LabelIndex([subject.labels for subject in self.subjects])
        self._governed: dict[Selector, int] = {}

    def governed(self, selector: Selector) -> int:
        """The bits of the subjects that a policy's selector matches."""
        if selector not in self._governed:
            self._governed[selector] = self._index.select(selector)
        return self._governed[selector]

    def governs_anybody(self, selector: Selector) -> bool:
        """Whether a policy's selector matches an endpoint of any node."""
        return bool(self.members.matching(selector) & self._everywhere)

    def forget_selectors(self) -> None:
        """A compilation is over; each policy keeps its own answer."""
        self._governed.clear()
