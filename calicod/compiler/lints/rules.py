"""Rules that can never decide, whatever endpoints there are.

Law: of one policy, and of nothing else: a draft of the policy keeps the answer.
"""

from collections.abc import Iterator

from calicod.compiler.lints.cover import covers, is_unconditional
from calicod.compiler.lints.finding import is_as_written, warning
from calicod.errors import Diagnostic
from calicod.model.action import Action
from calicod.resources.kinds import Policy, Rule

MOST = 256
"""Earlier rules that each rule is compared with: a list of 1,024 takes some tenths of a second."""

Rules = tuple[Rule, ...]


def of_policy(policy: Policy) -> tuple[Diagnostic, ...]:
    """Every warning about the rules of a policy."""
    found: list[Diagnostic] = []
    if not is_as_written(policy):
        return ()  # its rules are made of peers and ports, and what they say twice harms nobody
    for direction, governs, rules in directions(policy):
        if not governs:
            found.extend(ignored(policy, direction, rules))
        elif len(rules) > 1:
            found.extend(unreached(policy, direction, rules))
            found.extend(shadowed(policy, direction, rules))
    return tuple(found)


def directions(policy: Policy) -> tuple[tuple[str, bool, Rules], tuple[str, bool, Rules]]:
    """Each direction, whether the policy governs it, and its rules."""
    return (
        ("ingress", policy.governs_ingress, policy.ingress),
        ("egress", policy.governs_egress, policy.egress),
    )


def ignored(policy: Policy, direction: str, rules: Rules) -> Iterator[Diagnostic]:
    """Semantics 1.4: `types` that are given win over rules."""
    if rules:
        word = direction.capitalize()
        message = f"types leaves out {word}: the {direction} rules do nothing"
        yield warning("W067", policy, f"spec.{direction}", message, f"add {word} to types", rules[0].place)


def unreached(policy: Policy, direction: str, rules: Rules) -> Iterator[Diagnostic]:
    """The rules behind one that matches everything and ends the policy."""
    last = ending(rules)
    behind = len(rules) - 1 - last
    if behind > 0:
        rule = rules[last + 1]
        more = f", nor are the {behind - 1} behind it" if behind > 1 else ""
        message = f"never reached{more}: rule {last} ({rules[last].action.value}) matches everything"
        hint = "move it before that rule, or remove it"
        yield warning("W059", policy, f"spec.{direction}[{last + 1}]", message, hint, rule.place)


def ending(rules: Rules) -> int:
    """The index of the first rule that matches everything and ends the policy; beyond the list if there is none."""
    ends = (index for index, rule in enumerate(rules) if rule.action is not Action.LOG and is_unconditional(rule))
    return next(ends, len(rules))


def shadowed(policy: Policy, direction: str, rules: Rules) -> Iterator[Diagnostic]:
    """A rule that matches nothing but what an earlier one has taken."""
    takers: list[tuple[int, Rule]] = []
    namespace = policy.metadata.namespace
    for index, rule in enumerate(rules[: ending(rules) + 1]):
        by = next((earlier for earlier, taker in takers if covers(taker, rule, namespace)), None)
        if by is not None:
            message = f"never matches: rule {by} ({rules[by].action.value}) takes every packet that it could"
            same = rules[by].action is rule.action
            hint = "remove it" if same else f"move it before rule {by}, or remove it"
            yield warning("W060", policy, f"spec.{direction}[{index}]", message, hint, rule.place)
        elif rule.action is not Action.LOG and len(takers) < MOST:
            takers.append((index, rule))
