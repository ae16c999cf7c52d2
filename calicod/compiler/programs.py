"""Which policies each endpoint runs, in order: one program for all endpoints that run the same.

Law: a policy takes part only in directions that it governs and phases that it is for, and a tier only where one of its
policies does (semantics 4.2, 4.4). Policies are known by rank: their index in the RuleSet, which is the order in which
they are tried.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, groupby
from types import MappingProxyType

import msgspec

from calicod.compiler.endpoints import Endpoint
from calicod.compiler.labels import positions_of
from calicod.compiler.order import Step
from calicod.model.hook import Phase
from calicod.resources.kinds import HostEndpoint, Policy
from calicod.ruleset.program import NO_PROGRAM, Program, TierStep
from calicod.ruleset.topology import EVERY_INTERFACE

Groups = tuple[int, ...]
Tiers = tuple[TierStep, ...]

TAKE_PART: Mapping[Phase, frozenset[Phase]] = MappingProxyType(
    {
        Phase.NORMAL: frozenset({Phase.NORMAL, Phase.FORWARD}),
        Phase.FORWARD: frozenset({Phase.FORWARD}),
        Phase.PRE_DNAT: frozenset({Phase.PRE_DNAT}),
        Phase.UNTRACKED: frozenset({Phase.UNTRACKED}),
    }
)
"""The policies, by `phase_of`, that a host endpoint runs in each phase."""
OF_WORKLOAD = frozenset({Phase.NORMAL})
OF_HOST = frozenset(Phase)
OF_WILDCARD = OF_HOST - {Phase.UNTRACKED}
"""The phases that an endpoint knows (semantics 4.2)."""
NEVER_DENIES = frozenset({Phase.PRE_DNAT, Phase.UNTRACKED})
"""Phases in which every tier counts as one that passes at its end (semantics 4.8)."""


class Share(msgspec.Struct):
    """The ranks of policies of one phase that govern the same endpoints, by direction, ascending."""

    phase: Phase
    ingress: list[int] = []
    egress: list[int] = []


class Programs(msgspec.Struct, frozen=True, kw_only=True):
    """The program indexes of one endpoint, as in LocalEndpoint."""

    ingress: int
    egress: int
    forward_ingress: int = NO_PROGRAM
    forward_egress: int = NO_PROGRAM
    pre_dnat: int = NO_PROGRAM
    untracked_ingress: int = NO_PROGRAM
    untracked_egress: int = NO_PROGRAM


def phase_of(policy: Policy) -> Phase:
    """What a policy is for; FORWARD: for forwarded and for local traffic. A doNotTrack policy is only untracked."""
    if policy.do_not_track:
        return Phase.UNTRACKED
    if policy.pre_dnat:
        return Phase.PRE_DNAT
    return Phase.FORWARD if policy.apply_on_forward else Phase.NORMAL


def phases_of(endpoint: Endpoint) -> frozenset[Phase]:
    """The phases that an endpoint knows."""
    if isinstance(endpoint, HostEndpoint):
        return OF_WILDCARD if endpoint.interface_name == EVERY_INTERFACE else OF_HOST
    return OF_WORKLOAD


class Planner:
    """Finds the programs of each endpoint. `governed[rank]`: bits of the endpoints that a policy's selector matches."""

    def __init__(
        self, policies: Sequence[Policy], governed: Sequence[int], tiers: tuple[Step, ...], count: int
    ) -> None:
        self._steps = {tier.name: tier for tier in tiers}
        self._tier_of = [policy.tier for policy in policies]
        shares: dict[tuple[int, Phase], Share] = {}
        for rank, (policy, bits) in enumerate(zip(policies, governed, strict=True)):
            phase = phase_of(policy)
            share = shares.get((bits, phase)) or shares.setdefault((bits, phase), Share(phase))
            if policy.governs_ingress:
                share.ingress.append(rank)
            if policy.governs_egress:
                share.egress.append(rank)
        self._shares = tuple(shares.values())
        self._groups: list[list[int]] = [[] for _ in range(count)]
        for group, (bits, _) in enumerate(shares):
            for position in positions_of(bits):
                self._groups[position].append(group)
        self._tiers: dict[tuple[Groups, Phase], tuple[Tiers, Tiers]] = {}
        self._indexes: dict[Program, int] = {}
        self._known: dict[tuple[Groups, tuple[int, ...], frozenset[Phase]], Programs] = {}

    def programs_of(self, position: int, profiles: tuple[int, ...], phases: frozenset[Phase]) -> Programs:
        """The programs of an endpoint that has these profiles and knows these phases."""
        groups = tuple(self._groups[position])
        key = (groups, profiles, phases)
        if key not in self._known:
            self._known[key] = self._plan(groups, profiles, phases)
        return self._known[key]

    def programs(self) -> tuple[Program, ...]:
        """Every program that an endpoint has asked for."""
        return tuple(self._indexes)

    def _plan(self, groups: Groups, profiles: tuple[int, ...], phases: frozenset[Phase]) -> Programs:
        """A preDNAT policy has no egress, whatever its types say (semantics 1.4)."""
        ingress, egress = self._in_phase(groups, Phase.NORMAL)
        own = Programs(ingress=self._index(Program(ingress, profiles)), egress=self._index(Program(egress, profiles)))
        if phases == OF_WORKLOAD:
            return own
        forward, untracked = self._in_phase(groups, Phase.FORWARD), self._in_phase(groups, Phase.UNTRACKED)
        tracked = msgspec.structs.replace(
            own,
            forward_ingress=self._open_ended(forward[0]),
            forward_egress=self._open_ended(forward[1]),
            pre_dnat=self._open_ended(self._in_phase(groups, Phase.PRE_DNAT)[0]),
        )
        if Phase.UNTRACKED not in phases:
            return tracked
        return msgspec.structs.replace(
            tracked,
            untracked_ingress=self._open_ended(untracked[0]),
            untracked_egress=self._open_ended(untracked[1]),
        )

    def _open_ended(self, tiers: Tiers) -> int:
        """Without profiles (semantics 4.4); without policies in this direction nobody is asked (D11)."""
        return self._index(Program(tiers, (), open_ended=True)) if tiers else NO_PROGRAM

    def _in_phase(self, groups: Groups, phase: Phase) -> tuple[Tiers, Tiers]:
        key = (groups, phase)
        if key not in self._tiers:
            shares = [share for group in groups if (share := self._shares[group]).phase in TAKE_PART[phase]]
            self._tiers[key] = (
                self._in_tiers((share.ingress for share in shares), phase),
                self._in_tiers((share.egress for share in shares), phase),
            )
        return self._tiers[key]

    def _in_tiers(self, ranks: Iterable[list[int]], phase: Phase) -> Tiers:
        ordered = sorted(chain.from_iterable(ranks))
        denies = phase not in NEVER_DENIES
        return tuple(
            TierStep(name, denies and self._steps[name].default_deny, tuple(members))
            for name, members in groupby(ordered, self._tier_of.__getitem__)
        )

    def _index(self, program: Program) -> int:
        return self._indexes.setdefault(program, len(self._indexes))
