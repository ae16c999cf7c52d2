"""Each rule in turn: so plain that it is the specification (semantics 4.4).

Law: nothing is remembered and nothing is skipped. The bitmap engine must give the same Decision for every packet.
In record mode (`note`) each step is told as it is done; the Decision is the same.
"""

from collections.abc import Iterable

from calicod.engine.cluster import Cluster, join
from calicod.engine.path import Path, Stage, exempt, exempted, find
from calicod.engine.record import (
    Note,
    PathTaken,
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
        return self.along(path, packet)

    def decide_cluster(self, packet: Packet) -> Decision:
        """The decision of the whole cluster: egress of the source's endpoint, then ingress of the destination's."""
        leaving, arriving = Cluster(self.ruleset).paths(packet)
        self.note(PathTaken(leaving))
        self.note(PathTaken(arriving))
        first = self.along(leaving, packet)
        return first if first.verdict is not Verdict.ACCEPT else join(first, self.along(arriving, packet))

    def along(self, path: Path, packet: Packet) -> Decision:
        """Stage after stage, until one denies."""
        if path.fixed is not None:
            return path.fixed
        reason = exempt(path, packet, self.ruleset)
        if reason is not None:
            return exempted(path, reason)
        results: list[Result] = []
        for stage in path.stages:
            results.append(self.run(stage, packet))
            self.note(StageEnded(results[-1]))
            if results[-1].verdict is not Verdict.ACCEPT:
                break
        return combine(path, results)

    def run(self, stage: Stage, packet: Packet) -> Result:
        """Tiers in order, then profiles in order, then deny; an endpoint that is down refuses before all that."""
        self.note(StageBegun(stage))
        if not stage.active:
            return DOWN
        program = self.ruleset.programs[stage.program]
        hits: list[str] = []
        logged: list[PolicyReference] = []
        for tier in program.tiers:
            result = self.try_tier(tier, stage.direction, packet, hits, logged)
            if result is not None:
                return result
        for index in program.profiles:
            profile = self.ruleset.policies[index]
            rule = self.first_match(profile, stage.direction, packet, hits, logged)
            if rule is not None and rule.action is not Action.PASS:
                return decided(profile, rule, tuple(hits), tuple(logged))
        return Result(Verdict.DROP, Reason.NO_PROFILE, None, (*hits, NO_PROFILE), tuple(logged))

    def try_tier(
        self, tier: TierStep, direction: Direction, packet: Packet, hits: list[str], logged: list[PolicyReference]
    ) -> Result | None:
        """The result of this tier; None: the next one goes on."""
        enforced = [self.ruleset.policies[i] for i in tier.policies if not self.ruleset.policies[i].staged]
        if not enforced:
            return None
        self.note(TierBegun(tier))
        for policy in enforced:
            rule = self.first_match(policy, direction, packet, hits, logged)
            if rule is None:
                continue
            if rule.action is Action.PASS:
                return None
            return decided(policy, rule, tuple(hits), tuple(logged))
        last = enforced[-1]
        self.note(TierEnded(last, tier.default_deny))
        if not tier.default_deny:
            hits.append(hit(last, "pass", -1))
            return None
        hits.append(hit(last, "deny", -1))
        return Result(Verdict.DROP, Reason.END_OF_TIER, default_reference(last), tuple(hits), tuple(logged))

    def first_match(
        self,
        policy: CompiledPolicy,
        direction: Direction,
        packet: Packet,
        hits: list[str],
        logged: list[PolicyReference],
    ) -> CompiledRule | None:
        """The first Allow, Deny or Pass rule that matches; Log rules on the way are noted, a Pass gives a hit."""
        self.note(PolicyAsked(policy))
        for rule in policy.ingress if direction is Direction.INGRESS else policy.egress:
            missed = tuple(field for field in FIELDS if not field.test(rule, packet, self.sets))
            self.note(RuleTried(rule, missed))
            if missed:
                continue
            if rule.action is Action.LOG:
                logged.append(rule_reference(policy, rule))
                continue
            if rule.action is Action.PASS:
                hits.append(hit(policy, "pass", rule.index))
            return rule
        return None
