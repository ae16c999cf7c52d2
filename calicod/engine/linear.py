"""Each rule in turn: so plain that it is the specification (semantics 4.4).

Law: nothing is remembered and nothing is skipped. The bitmap engine must give the same Decision for every packet.
In record mode (`note`) each step is told as it is done; the Decision is the same.
"""

from collections.abc import Iterable

from calicod.engine.cluster import Cluster, join
from calicod.engine.path import Path, Stage, exempt, exempted, find
from calicod.engine.pending import blamed, foretold, has_staged, participants, pending_of
from calicod.engine.record import (
    Note,
    PathTaken,
    PendingBegun,
    PendingEnded,
    PolicyAsked,
    RuleTried,
    StageBegun,
    StageEnded,
    TierBegun,
    TierEnded,
    unheard,
)
from calicod.engine.result import DOWN, NO_PROFILE, Result, combine, decided, default_reference, hit, rule_reference
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
        self.note = note
        self.sets = Sets(ruleset.ip_sets)
        self.topology = resolve(ruleset, interfaces)

    def decide(self, packet: Packet, hook: Hook, in_interface: str, out_interface: str) -> Decision:
        """The decision for a packet at a hook; interfaces by name, "" where the hook has none."""
        path = find(self.ruleset, self.topology, hook, in_interface, out_interface)
        self.note(PathTaken(path))
        return self.along(path, packet, self.note, self.note)

    def decide_cluster(self, packet: Packet) -> Decision:
        """The decision of the whole cluster: egress of the source's endpoint, then ingress of the destination's."""
        leaving, arriving = Cluster(self.ruleset).paths(packet)
        self.note(PathTaken(leaving))
        self.note(PathTaken(arriving))
        first = self.along(leaving, packet, self.note, self.note)
        # A side that a packet does not get to is not told of: it may be got to only if staged policies were enforced.
        asked = self.note if first.verdict is Verdict.ACCEPT else unheard
        foreseen = self.note if pending_of(first).verdict is Verdict.ACCEPT else unheard
        return join(first, self.along(arriving, packet, asked, foreseen))

    def along(self, path: Path, packet: Packet, note: Note, foresee: Note) -> Decision:
        """Stage after stage, until one denies; then the same as if the staged policies on the way were enforced.

        Both are told of each its own way.
        """
        if path.fixed is not None:
            return path.fixed
        reason = exempt(path, packet, self.ruleset)
        if reason is not None:
            return exempted(path, reason)
        decision = self.through(path, packet, note, pending=False)
        if not has_staged(self.ruleset, path):
            return decision
        foresee(PendingBegun())
        would = self.through(path, packet, foresee, pending=True)
        foresee(PendingEnded(would))
        return foretold(decision, would)

    def through(self, path: Path, packet: Packet, note: Note, *, pending: bool) -> Decision:
        """Stage after stage, until one denies; `pending`: as if staged policies were enforced."""
        results: list[Result] = []
        for stage in path.stages:
            results.append(Walk(self, stage, packet, note, pending=pending).run())
            note(StageEnded(results[-1]))
            if results[-1].verdict is not Verdict.ACCEPT:
                break
        return combine(path, results)


class Walk:
    """One packet through one stage, with the hits and Log rules on the way."""

    def __init__(self, engine: LinearEngine, stage: Stage, packet: Packet, note: Note, *, pending: bool) -> None:
        self.ruleset = engine.ruleset
        self.sets = engine.sets
        self.stage = stage
        self.packet = packet
        self.note = note
        self.pending = pending
        self.hits: list[str] = []
        self.logged: list[PolicyReference] = []

    def run(self) -> Result:
        """Tiers in order, then profiles in order, then deny; an endpoint that is down refuses before all that."""
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
