"""Each rule in turn: so plain that it is the specification (semantics 4.4).

Law: nothing is remembered and nothing is skipped. The bitmap engine must give the same Decision for every packet.
In record mode (`note`) each step is told as it is done; the Decision is the same.
"""

from collections.abc import Iterable

from calicod.engine.cluster import Cluster, join
from calicod.engine.path import NOT_JUDGED, Path, Stage, exempt, exempted
from calicod.engine.pending import blamed, enforced_only, foretold, has_staged, is_told, participants
from calicod.engine.record import (
    Note,
    PendingBegun,
    PendingEnded,
    PolicyAsked,
    RuleTried,
    StageBegun,
    StageEnded,
    Step,
    TierBegun,
    TierEnded,
    WayTaken,
    unheard,
)
from calicod.engine.result import (
    DOWN,
    NO_PROFILE,
    Result,
    combine,
    decided,
    default_reference,
    hit,
    rule_reference,
    undecided,
)
from calicod.engine.way import Leg, Way, at, paths_of, up_to
from calicod.fields.sets import Sets
from calicod.fields.table import FIELDS
from calicod.model.action import Action
from calicod.model.decision import Decision, PolicyReference
from calicod.model.hook import Direction, Hook
from calicod.model.interface import Interface
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import CompiledPolicy, CompiledRule, RuleSet, TierStep
from calicod.ruleset.topology import resolve


class LinearEngine:
    """Judges packets by one RuleSet on these interfaces."""

    def __init__(self, ruleset: RuleSet, interfaces: Iterable[Interface], note: Note = unheard) -> None:
        self.ruleset = ruleset
        self.enforced = enforced_only(ruleset)
        self.note = note
        self.sets = Sets(ruleset.ip_sets)
        self.topology = resolve(ruleset, interfaces)

    def decide(
        self, packet: Packet, hook: Hook, in_interface: str, out_interface: str, *, spared: bool = False
    ) -> Decision:
        """The decision for a packet at a hook alone; interfaces by name, "" where the hook has none.

        `spared`: an untracked or preDNAT rule has allowed it.
        """
        place = (self.topology, hook, in_interface, out_interface)
        ways, would = ([at(ruleset, *place, spared=spared)] for ruleset in (self.enforced, self.ruleset))
        return self.take(ways, would, packet)

    def decide_way(self, packet: Packet, hook: Hook, in_interface: str, out_interface: str) -> Decision:
        """The decision for a packet on its whole way to a hook and past it."""
        place = (self.topology, hook, in_interface, out_interface)
        return self.take([up_to(self.enforced, *place)], [up_to(self.ruleset, *place)], packet)

    def decide_cluster(self, packet: Packet) -> Decision:
        """The decision of the whole cluster: out of the source's endpoint, then into the destination's."""
        return self.take(Cluster(self.enforced).ways(packet), Cluster(self.ruleset).ways(packet), packet)

    def take(self, ways: Iterable[Way], would: Iterable[Way], packet: Packet) -> Decision:
        """The decision of ways in turn, and what it would be if the staged policies on the way were enforced."""
        for way in ways:
            self.note(WayTaken(way))
        decision = self.pass_way([leg for way in ways for leg in way], packet, pending=False)
        legs = [leg for way in would for leg in way]
        staged = [path for path in paths_of(legs) if has_staged(self.ruleset, path)]
        if not staged:
            return decision
        noted: list[Step] = []
        self.note, note = noted.append, self.note
        foreseen = self.pass_way(legs, packet, pending=True)
        self.note = note
        if not is_told(self.ruleset, staged, packet, (decision.verdict, foreseen.verdict)):
            return decision
        for step in (PendingBegun(), *noted, PendingEnded(foreseen)):
            note(step)
        return foretold(decision, foreseen)

    def pass_way(self, legs: Iterable[Leg], packet: Packet, *, pending: bool) -> Decision:
        """Leg after leg, until one denies; `pending`: as if staged policies were enforced."""
        told = NOT_JUDGED
        for leg in legs:
            told = join(told, self.pass_leg(leg, packet, pending=pending))
            if told.verdict is not Verdict.ACCEPT:
                break
        return told

    def pass_leg(self, leg: Leg, packet: Packet, *, pending: bool) -> Decision:
        """Early paths until one denies, or a rule of one allows and spares the packet what comes behind (4.8)."""
        told = NOT_JUDGED
        for path in leg.early:
            early = self.along(path, packet, pending=pending)
            told = join(told, early)
            if early.verdict is not Verdict.ACCEPT:
                return told
            if early.reason is Reason.RULE:
                return join(told, self.along(leg.spared, packet, pending=pending))
        return join(told, self.along(leg.path, packet, pending=pending))

    def along(self, path: Path, packet: Packet, *, pending: bool) -> Decision:
        """Stage after stage, until one denies."""
        if path.fixed is not None:
            return path.fixed
        reason = exempt(path, packet, self.ruleset)
        if reason is not None:
            return exempted(path, reason)
        results: list[Result] = []
        for stage in path.stages:
            results.append(Walk(self, stage, packet, pending=pending).run())
            self.note(StageEnded(results[-1]))
            if results[-1].verdict is not Verdict.ACCEPT:
                break
        return combine(path, results)


class Walk:
    """One packet through one stage, with the hits and Log rules on the way."""

    def __init__(self, engine: LinearEngine, stage: Stage, packet: Packet, *, pending: bool) -> None:
        self.ruleset = engine.ruleset
        self.sets = engine.sets
        self.stage = stage
        self.packet = packet
        self.note = engine.note
        self.pending = pending
        self.hits: list[str] = []
        self.logged: list[PolicyReference] = []

    def run(self) -> Result:
        """Tiers, then profiles, in order, then deny or nothing; an endpoint that is down refuses before all that."""
        self.note(StageBegun(self.stage))
        if not self.stage.active:
            return DOWN
        program = self.ruleset.programs[self.stage.program]
        for tier in program.tiers:
            result = self.try_tier(tier)
            if result is not None:
                return result
        for index in program.profiles:
            profile = self.ruleset.policies[index]
            rule = self.first_match(profile)
            if rule is not None and rule.action is not Action.PASS:
                return decided(profile, rule, tuple(self.hits), tuple(self.logged))
        if program.open_ended:
            return undecided(tuple(self.hits), tuple(self.logged))
        return Result(Verdict.DROP, Reason.NO_PROFILE, None, (*self.hits, NO_PROFILE), tuple(self.logged))

    def try_tier(self, tier: TierStep) -> Result | None:
        """The result of this tier; None: the next one goes on."""
        asked = participants(self.ruleset, tier, pending=self.pending)
        if not asked:
            return None
        self.note(TierBegun(tier, len(asked)))
        for policy in asked:
            rule = self.first_match(policy)
            if rule is None:
                continue
            if rule.action is Action.PASS:
                return None
            return decided(policy, rule, tuple(self.hits), tuple(self.logged))
        told = blamed(asked, pending=self.pending)
        self.note(TierEnded(told, tier.default_deny))
        if not tier.default_deny:
            self.hits.append(hit(told, "pass", -1))
            return None
        self.hits.append(hit(told, "deny", -1))
        return Result(Verdict.DROP, Reason.END_OF_TIER, default_reference(told), tuple(self.hits), tuple(self.logged))

    def first_match(self, policy: CompiledPolicy) -> CompiledRule | None:
        """The first Allow, Deny or Pass rule that matches; Log rules on the way are noted, a Pass gives a hit."""
        self.note(PolicyAsked(policy))
        for rule in policy.ingress if self.stage.direction is Direction.INGRESS else policy.egress:
            missed = tuple(field for field in FIELDS if not field.test(rule, self.packet, self.sets))
            self.note(RuleTried(rule, missed))
            if missed:
                continue
            if rule.action is Action.LOG:
                self.logged.append(rule_reference(policy, rule))
                continue
            if rule.action is Action.PASS:
                self.hits.append(hit(policy, "pass", rule.index))
            return rule
        return None
