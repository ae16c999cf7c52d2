"""A program as one list of rules, tiers and profiles and all: bit n is entry n.

Law: every tier that has policies to ask ends in an entry that always matches, and so does the list: a packet always
finds a lowest bit. A Pass goes on behind its tier's last entry, a profile's behind the profile. The list's own end
denies, or leaves it undecided. With staged policies a tier has two ends, one for each evaluation.
"""

import msgspec

from calicod.engine.pending import blamed, participants
from calicod.engine.result import (
    DEFAULT_ACTION,
    NO_PROFILE,
    Result,
    decided,
    default_reference,
    hit,
    rule_reference,
    undecided,
)
from calicod.fields.stretches import mask_of
from calicod.model.action import Action
from calicod.model.hook import Direction
from calicod.model.verdict import Reason, Verdict
from calicod.ruleset.program import CompiledPolicy, CompiledRule, Program, RuleSet, TierStep

TIER_END = CompiledRule(action=Action.DENY, index=DEFAULT_ACTION)
TIER_PASS = CompiledRule(action=Action.PASS, index=DEFAULT_ACTION)
UNDECIDED = CompiledRule(action=Action.ALLOW, index=DEFAULT_ACTION)


class Flat(msgspec.Struct, frozen=True):
    """`rules` and their `policies` (None: the end of the list) by bit; `onwards`: where a Pass entry goes on.

    `enforced`: the bits of the entries that count; `pending`: of those that would if staged policies were enforced.
    """

    rules: tuple[CompiledRule, ...]
    policies: tuple[CompiledPolicy | None, ...]
    onwards: tuple[int, ...]
    enforced: int
    pending: int

    def way(self, mask: int) -> tuple[int, ...]:
        """The entries that a packet with these bits takes: Log and Pass entries, and the one that ends it last."""
        way = []
        while True:
            bit = (mask & -mask).bit_length() - 1
            way.append(bit)
            action = self.rules[bit].action
            if action is Action.LOG:
                mask &= mask - 1
            elif action is Action.PASS:
                mask = mask >> self.onwards[bit] << self.onwards[bit]
            else:
                return tuple(way)

    def result(self, way: tuple[int, ...]) -> Result:
        """The result of a way."""
        hits: list[str] = []
        logged = []
        for bit in way[:-1]:
            policy, rule = self.policies[bit], self.rules[bit]
            if policy is None:
                continue
            if rule.action is Action.LOG:
                logged.append(rule_reference(policy, rule))
            else:
                hits.append(hit(policy, "pass", rule.index))
        policy, rule = self.policies[way[-1]], self.rules[way[-1]]
        if rule is UNDECIDED:
            return undecided(tuple(hits), tuple(logged))
        if policy is None:
            return Result(Verdict.DROP, Reason.NO_PROFILE, None, (*hits, NO_PROFILE), tuple(logged))
        if rule is TIER_END:
            ending = (*hits, hit(policy, "deny", DEFAULT_ACTION))
            return Result(Verdict.DROP, Reason.END_OF_TIER, default_reference(policy), ending, tuple(logged))
        return decided(policy, rule, tuple(hits), tuple(logged))


ENFORCED, PENDING = 1, 2
ALWAYS = ENFORCED | PENDING
"""In which evaluations an entry counts."""
Entry = tuple[CompiledRule, CompiledPolicy | None, int, int]
"""Rule, policy, where a Pass goes on, and when it counts."""


def flatten(ruleset: RuleSet, program: Program, direction: Direction, *, pending: bool = False) -> Flat:
    """The list of a program for one direction; `pending`: with its staged policies, for both evaluations."""
    entries: list[Entry] = []
    for tier in program.tiers:
        entries += entries_of(ruleset, tier, direction, len(entries), pending=pending)
    for index in program.profiles:
        profile = ruleset.policies[index]
        rules = rules_of(profile, direction)
        onwards = len(entries) + len(rules)
        entries += [(rule, profile, onwards, ALWAYS) for rule in rules]
    entries.append((UNDECIDED if program.open_ended else TIER_END, None, 0, ALWAYS))
    return Flat(
        rules=tuple(entry[0] for entry in entries),
        policies=tuple(entry[1] for entry in entries),
        onwards=tuple(entry[2] for entry in entries),
        enforced=mask_of((bit for bit, entry in enumerate(entries) if entry[3] & ENFORCED), len(entries)),
        pending=mask_of((bit for bit, entry in enumerate(entries) if entry[3] & PENDING), len(entries)),
    )


def entries_of(ruleset: RuleSet, tier: TierStep, direction: Direction, start: int, *, pending: bool) -> list[Entry]:
    """Those of a tier, the first of which has the bit `start`: the rules, then an end for each evaluation."""
    enforced = participants(ruleset, tier, pending=False)
    asked = participants(ruleset, tier, pending=True) if pending else enforced
    block = [
        (rule, policy, PENDING if policy.staged else ALWAYS) for policy in asked for rule in rules_of(policy, direction)
    ]
    end = TIER_END if tier.default_deny else TIER_PASS
    if enforced:
        block.append((end, blamed(enforced, pending=False), ENFORCED))
    if pending and asked:
        block.append((end, blamed(asked, pending=True), PENDING))
    onwards = start + len(block)
    return [(rule, policy, onwards, when) for rule, policy, when in block]


def rules_of(policy: CompiledPolicy, direction: Direction) -> tuple[CompiledRule, ...]:
    """The rules of one direction."""
    return policy.ingress if direction is Direction.INGRESS else policy.egress
