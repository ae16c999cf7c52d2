"""What would be decided if the staged policies were enforced (semantics 1.5, 6.3).

Law: pending never bears on the verdict. It is told where staged policies take part in the path and policy was asked, so
not of what is exempt, nor of an endpoint that is down. Then each stage of the path is evaluated once more, with staged
policies as enforced ones, whatever the enforced stages came to.
"""

from msgspec.structs import replace

from calicod.engine.path import Path
from calicod.model.decision import Decision, Pending
from calicod.model.verdict import Verdict
from calicod.ruleset.program import CompiledPolicy, RuleSet, TierStep


def has_staged(ruleset: RuleSet, path: Path) -> bool:
    """Staged policies take part in the path."""
    programs = (ruleset.programs[stage.program] for stage in path.stages if stage.active)
    return any(ruleset.policies[i].staged for program in programs for tier in program.tiers for i in tier.policies)


def participants(ruleset: RuleSet, tier: TierStep, *, pending: bool) -> list[CompiledPolicy]:
    """The policies of a tier that are asked, in order; without any, the tier is as if absent."""
    policies = [ruleset.policies[index] for index in tier.policies]
    return policies if pending else [policy for policy in policies if not policy.staged]


def blamed(policies: list[CompiledPolicy], *, pending: bool) -> CompiledPolicy:
    """Of which policy the default action is told: of the last enforced one; in the pending evaluation of the first."""
    return policies[0] if pending else policies[-1]


def foretold(decision: Decision, would: Decision) -> Decision:
    """The decision, with what it would be if the staged policies were enforced."""
    return replace(decision, pending=Pending(would.verdict, would.trace))


def pending_of(decision: Decision) -> Pending:
    """What would be; without staged policies it is what is."""
    return decision.pending or Pending(decision.verdict, decision.trace)


def joined(first: Decision, second: Decision) -> Pending | None:
    """What would be of a packet through both sides of a cluster: told if either side tells it."""
    if first.pending is None and second.pending is None:
        return None
    leaving, arriving = pending_of(first), pending_of(second)
    if leaving.verdict is not Verdict.ACCEPT:
        return leaving
    return Pending(arriving.verdict, chained(leaving.trace, arriving.trace))


def chained(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Two traces as one, numbered through.

    >>> chained(("0|default|gnp:a|pass|0",), ("0|default|gnp:b|allow|1",))
    ('0|default|gnp:a|pass|0', '1|default|gnp:b|allow|1')
    """
    behind = (text.partition("|")[2] for text in second)
    return (*first, *(f"{number}|{text}" for number, text in enumerate(behind, len(first))))
