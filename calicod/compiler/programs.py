"""Which policies each endpoint runs, in order: one program for all endpoints that run the same.

Law: a policy takes part only in directions that it governs, and a tier only where one of its policies does (semantics
4.2, 4.4). Policies are known by rank: their index in the RuleSet, which is the order in which they are tried.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, groupby

import msgspec

from calicod.compiler.labels import positions_of
from calicod.compiler.order import Step
from calicod.resources.kinds import Policy
from calicod.ruleset.program import Program, TierStep

Groups = tuple[int, ...]


class Share(msgspec.Struct):
    """The ranks of policies that govern the same endpoints, by direction, ascending."""

    ingress: list[int] = []
    egress: list[int] = []


class Planner:
    """Finds the program of each endpoint. `governed[rank]`: bits of the endpoints that a policy's selector matches."""

    def __init__(
        self, policies: Sequence[Policy], governed: Sequence[int], tiers: tuple[Step, ...], count: int
    ) -> None:
        self._steps = {tier.name: tier for tier in tiers}
        self._tier_of = [policy.tier for policy in policies]
        shares: dict[int, Share] = defaultdict(Share)
        for rank, (policy, bits) in enumerate(zip(policies, governed, strict=True)):
            share = shares[bits]
            if policy.governs_ingress:
                share.ingress.append(rank)
            if policy.governs_egress:
                share.egress.append(rank)
        self._shares = tuple(shares.values())
        self._groups: list[list[int]] = [[] for _ in range(count)]
        for group, bits in enumerate(shares):
            for position in positions_of(bits):
                self._groups[position].append(group)
        self._tiers: dict[Groups, tuple[tuple[TierStep, ...], tuple[TierStep, ...]]] = {}
        self._indexes: dict[Program, int] = {}
        self._known: dict[tuple[Groups, tuple[int, ...]], tuple[int, int]] = {}

    def programs_of(self, position: int, profiles: tuple[int, ...]) -> tuple[int, int]:
        """Indexes of the ingress and the egress program of an endpoint that has these profiles."""
        groups = tuple(self._groups[position])
        key = (groups, profiles)
        if key not in self._known:
            if groups not in self._tiers:
                shares = [self._shares[group] for group in groups]
                self._tiers[groups] = (
                    self._in_tiers(share.ingress for share in shares),
                    self._in_tiers(share.egress for share in shares),
                )
            ingress, egress = self._tiers[groups]
            self._known[key] = self._index(Program(ingress, profiles)), self._index(Program(egress, profiles))
        return self._known[key]

    def programs(self) -> tuple[Program, ...]:
        """Every program that an endpoint has asked for."""
        return tuple(self._indexes)

    def _in_tiers(self, ranks: Iterable[list[int]]) -> tuple[TierStep, ...]:
        ordered = sorted(chain.from_iterable(ranks))
        return tuple(
            TierStep(name, self._steps[name].default_deny, tuple(members))
            for name, members in groupby(ordered, self._tier_of.__getitem__)
        )

    def _index(self, program: Program) -> int:
        return self._indexes.setdefault(program, len(self._indexes))
