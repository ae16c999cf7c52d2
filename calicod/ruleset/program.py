"""The compiled policy of one node: a plain, frozen, serialisable value.

Law: compiler writes it, engines read it, neither imports the other. Indexes refer to tuples of the same RuleSet.
Every rule of a policy keeps its index and place, so a hit can always name what was written where.
"""

import msgspec

from calicod.errors import NOWHERE, Place
from calicod.fields.criteria import BOTH_FAMILIES, FAMILY_4, FAMILY_6, CompiledRule, IPSet, PortMatch
from calicod.model.network import Network
from calicod.resources.kinds import Failsafe

__all__ = [
    "BOTH_FAMILIES",
    "FAMILY_4",
    "FAMILY_6",
    "NO_PROGRAM",
    "SPECIAL_PROGRAMS",
    "CompiledPolicy",
    "CompiledRule",
    "HostSettings",
    "IPSet",
    "KnownNetwork",
    "LocalEndpoint",
    "PortMatch",
    "Program",
    "RuleSet",
    "TierStep",
]


class CompiledPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy or profile (`tier` then is `__PROFILE__`) with the rules of both directions."""

    kind: str
    tier: str
    namespace: str
    name: str
    place: Place = NOWHERE
    staged: bool = False
    ingress: tuple[CompiledRule, ...] = ()
    egress: tuple[CompiledRule, ...] = ()


class TierStep(msgspec.Struct, frozen=True):
    """The participating policies of one tier, in order, and whether the tier denies at its end."""

    name: str
    default_deny: bool
    policies: tuple[int, ...]


class Program(msgspec.Struct, frozen=True):
    """What one endpoint runs for one direction: tiers in order, then profiles in order (semantics 4.4).

    `open_ended`: what nobody decides goes on undecided instead of being denied. Programs are shared by all endpoints
    that run the same.
    """

    tiers: tuple[TierStep, ...]
    profiles: tuple[int, ...]
    open_ended: bool = False


NO_PROGRAM = -1
"""No policy takes part: nobody is asked."""
SPECIAL_PROGRAMS = ("forward_ingress", "forward_egress", "pre_dnat", "untracked_ingress", "untracked_egress")
"""The attributes of LocalEndpoint that may be NO_PROGRAM."""


class LocalEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with its programs; `ingress`, `egress` index `RuleSet.programs`.

    `interface`: exact name; "" or "*" only for host endpoints. `addresses`: ipNetworks or expectedIPs.
    `spoofed_prefixes`: sources it may use besides its own (own interface id, semantics 4.6). The programs with a
    default are those of a host endpoint for what is not its own connections (semantics 4.2).
    """

    type: str
    namespace: str
    name: str
    labels: dict[str, str] = {}
    interface: str = ""
    addresses: tuple[bytes, ...] = ()
    ingress: int
    egress: int
    forward_ingress: int = NO_PROGRAM
    forward_egress: int = NO_PROGRAM
    pre_dnat: int = NO_PROGRAM
    untracked_ingress: int = NO_PROGRAM
    untracked_egress: int = NO_PROGRAM
    active: bool = True
    spoofed_prefixes: tuple[Network, ...] = ()
    place: Place = NOWHERE


class KnownNetwork(msgspec.Struct, frozen=True):
    """Who owns addresses: for the `src` and `dst` of events. `type`: WorkloadEndpoint, HostEndpoint or NetworkSet."""

    type: str
    namespace: str
    name: str
    labels: dict[str, str]
    networks: tuple[Network, ...]


class HostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The FelixConfiguration in force on this node (semantics 1.13)."""

    workload_prefixes: tuple[str, ...] = ("cali",)
    endpoint_to_host_action: str = "Drop"
    failsafe_inbound: tuple[Failsafe, ...] = ()
    failsafe_outbound: tuple[Failsafe, ...] = ()
    disable_invalid_check: bool = False
    allow_vxlan_from_workloads: bool = False
    allow_ipip_from_workloads: bool = False
    vxlan_port: int = 4789


class RuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the engines need. `workloads` and `hosts`: the endpoints of `node` (of all nodes if node is None).

    `hosts` are sorted by name. `known`: every endpoint and network set of the snapshot. `ignored_interfaces`: of
    workload endpoints that count as missing (semantics 1.10): unknown interfaces, yet a reason to judge.
    """

    node: str | None
    settings: HostSettings = HostSettings()
    ip_sets: tuple[IPSet, ...] = ()
    policies: tuple[CompiledPolicy, ...] = ()
    programs: tuple[Program, ...] = ()
    workloads: tuple[LocalEndpoint, ...] = ()
    hosts: tuple[LocalEndpoint, ...] = ()
    known: tuple[KnownNetwork, ...] = ()
    ignored_interfaces: tuple[str, ...] = ()
