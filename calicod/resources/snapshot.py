"""All resources at one revision, by kind, with the built-in ones that nobody needs to write.

Law: equal sets of resources make equal snapshots, whatever their order or grouping. Nothing is judged here: a resource
that reaches a snapshot is valid.
"""

from collections import defaultdict
from collections.abc import Iterable
from operator import itemgetter
from typing import TypeVar

import msgspec

from calicod.errors import Place
from calicod.model.action import Action
from calicod.resources.kinds import (
    EndpointSlice,
    FelixConfiguration,
    HostEndpoint,
    Metadata,
    NetworkSet,
    Node,
    Policy,
    Profile,
    Resource,
    Rule,
    Tier,
    WorkloadEndpoint,
    identity,
)

DEFAULT_TIER = "default"
DEFAULT_ALLOW = "projectcalico-default-allow"

BUILT_IN_TIERS = (
    Tier(metadata=Metadata(name="kube-admin"), order=1_000.0, default_action=Action.PASS),
    Tier(metadata=Metadata(name=DEFAULT_TIER), order=1_000_000.0, default_action=Action.DENY),
    Tier(metadata=Metadata(name="kube-baseline"), order=10_000_000.0, default_action=Action.PASS),
)
"""Semantics 1.6: created at Calico's start if missing; synthesised here."""

BUILT_IN_PROFILE = Profile(
    metadata=Metadata(name=DEFAULT_ALLOW),
    ingress=(Rule(action=Action.ALLOW),),
    egress=(Rule(action=Action.ALLOW),),
)
"""Semantics 1.9: never stored."""

Kind = TypeVar(
    "Kind",
    Policy,
    Tier,
    NetworkSet,
    HostEndpoint,
    WorkloadEndpoint,
    Profile,
    FelixConfiguration,
    EndpointSlice,
    Node,
)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Every resource, by kind; each tuple sorted by kind, namespace and name. Build with `snapshot`."""

    policies: tuple[Policy, ...] = ()
    tiers: tuple[Tier, ...] = ()
    network_sets: tuple[NetworkSet, ...] = ()
    host_endpoints: tuple[HostEndpoint, ...] = ()
    workload_endpoints: tuple[WorkloadEndpoint, ...] = ()
    profiles: tuple[Profile, ...] = ()
    felix_configurations: tuple[FelixConfiguration, ...] = ()
    endpoint_slices: tuple[EndpointSlice, ...] = ()
    nodes: tuple[Node, ...] = ()


def snapshot(resources: Iterable[Resource]) -> Snapshot:
    """Groups the resources and adds the built-in tiers and profile that are not among them.

    Of two resources with one identity the one written first (by file, then line) counts; the loader tells of the other.
    """
    unique: dict[tuple[str, str, str], Resource] = {}
    for resource in resources:
        present = unique.setdefault(identity(resource), resource)
        if present is not resource and _precedence(resource) < _precedence(present):
            unique[identity(resource)] = resource
    for built_in in (*BUILT_IN_TIERS, BUILT_IN_PROFILE):
        unique.setdefault(identity(built_in), built_in)
    groups: dict[type[Resource], list[Resource]] = defaultdict(list)
    for _, resource in sorted(unique.items(), key=itemgetter(0)):
        groups[type(resource)].append(resource)
    return Snapshot(
        policies=_group(groups, Policy),
        tiers=_group(groups, Tier),
        network_sets=_group(groups, NetworkSet),
        host_endpoints=_group(groups, HostEndpoint),
        workload_endpoints=_group(groups, WorkloadEndpoint),
        profiles=_group(groups, Profile),
        felix_configurations=_group(groups, FelixConfiguration),
        endpoint_slices=_group(groups, EndpointSlice),
        nodes=_group(groups, Node),
    )


def _group(groups: dict[type[Resource], list[Resource]], kind: type[Kind]) -> tuple[Kind, ...]:
    return tuple(resource for resource in groups.get(kind, ()) if isinstance(resource, kind))


def _precedence(resource: Resource) -> tuple[Place, str]:
    return resource.place, repr(resource)  # the text decides only between values without a place
