"""What would be decided if the staged policies were enforced (semantics 1.5, 6.3).

Law: pending never bears on the verdict. It is told where staged policies take part in a path of the way and policy was
asked there, so not of what is exempt, nor of an endpoint that is down. It is the whole way, evaluated once more with
staged policies as enforced ones, whatever the enforced ones came to.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from calicod.engine.path import Path, exempt
from calicod.model.decision import Decision, Pending
from calicod.model.verdict import Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import (
    NO_PROGRAM,
    SPECIAL_PROGRAMS,
    CompiledPolicy,
    LocalEndpoint,
    RuleSet,
    TierStep,
)


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


def is_told(ruleset: RuleSet, staged: Iterable[Path], packet: Packet, verdicts: tuple[Verdict, Verdict]) -> bool:
    """Whether a path with staged policies asks policy about the packet; or without a rule the verdict would differ.

    The latter is a fragment in a phase that has staged policies alone.
    """
    return verdicts[0] is not verdicts[1] or asks(ruleset, staged, packet)


def asks(ruleset: RuleSet, staged: Iterable[Path], packet: Packet) -> bool:
    """One of the paths asks policy about the packet."""
    return any(exempt(path, packet, ruleset) is None for path in staged)


def enforced_only(ruleset: RuleSet) -> RuleSet:
    """The same, in which nobody is asked in a phase for which there are staged policies alone.

    Else they would take part in what needs no rule: which of two host endpoints judges, and what becomes of fragments.
    """
    hosts = tuple(_enforced(ruleset, host) for host in ruleset.hosts)
    return ruleset if hosts == ruleset.hosts else replace(ruleset, hosts=hosts)


def _enforced(ruleset: RuleSet, host: LocalEndpoint) -> LocalEndpoint:
    idle = {name: NO_PROGRAM for name in SPECIAL_PROGRAMS if _is_staged(ruleset, getattr(host, name))}
    return replace(host, **idle) if idle else host


def _is_staged(ruleset: RuleSet, program: int) -> bool:
    if program == NO_PROGRAM:
        return False
    return all(ruleset.policies[i].staged for tier in ruleset.programs[program].tiers for i in tier.policies)


def chained(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Two traces as one, numbered through.

    >>> chained(("0|default|gnp:a|pass|0",), ("0|default|gnp:b|allow|1",))
    ('0|default|gnp:a|pass|0', '1|default|gnp:b|allow|1')
    """
    behind = (text.partition("|")[2] for text in second)
    return (*first, *(f"{number}|{text}" for number, text in enumerate(behind, len(first))))
