"""A program as one list of rules, tiers and profiles and all: bit n is entry n.

Law: every tier that has policies to ask ends in an entry that always matches, and so does the list: a packet always
finds a lowest bit. A Pass goes on behind its tier's last entry, a profile's behind the profile. The list's own end
denies, or leaves it undecided.
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
from calicod.model.action import Action
from calicod.model.hook import Direction
from calicod.model.verdict import Reason, Verdict
from calicod.ruleset.program import CompiledPolicy, CompiledRule, Program, RuleSet

TIER_END = CompiledRule(action=Action.DENY, index=DEFAULT_ACTION)
TIER_PASS = CompiledRule(action=Action.PASS, index=DEFAULT_ACTION)
UNDECIDED = CompiledRule(action=Action.ALLOW, index=DEFAULT_ACTION)


class Flat(msgspec.Struct, frozen=True):
    """`rules` and their `policies` (None: the end of the list) by bit; `onwards`: where a Pass entry goes on."""

    rules: tuple[CompiledRule, ...]
    policies: tuple[CompiledPolicy | None, ...]
    onwards: tuple[int, ...]

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


Entry = tuple[CompiledRule, CompiledPolicy | None, int]


def flatten(ruleset: RuleSet, program: Program, direction: Direction, *, pending: bool = False) -> Flat:
    """The list of a program for one direction; `pending`: as if its staged policies were enforced."""
    entries: list[Entry] = []
    for tier in program.tiers:
        asked = participants(ruleset, tier, pending=pending)
        if not asked:
            continue
        block = [(rule, policy) for policy in asked for rule in rules_of(policy, direction)]
        onwards = len(entries) + len(block) + 1
        entries += [(rule, policy, onwards) for rule, policy in block]
        entries.append((TIER_END if tier.default_deny else TIER_PASS, blamed(asked, pending=pending), onwards))
    for index in program.profiles:
        profile = ruleset.policies[index]
        rules = rules_of(profile, direction)
        onwards = len(entries) + len(rules)
        entries += [(rule, profile, onwards) for rule in rules]
    entries.append((UNDECIDED if program.open_ended else TIER_END, None, 0))
    return Flat(tuple(e[0] for e in entries), tuple(e[1] for e in entries), tuple(e[2] for e in entries))


def rules_of(policy: CompiledPolicy, direction: Direction) -> tuple[CompiledRule, ...]:
    """The rules of one direction."""
    return policy.ingress if direction is Direction.INGRESS else policy.egress
