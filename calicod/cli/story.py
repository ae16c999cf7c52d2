"""The account of a decision as lines for people: coloured on a terminal, plain text otherwise.

Law: every line is made of the account; the words are the same with and without colours.
"""

import sys
from collections.abc import Iterator

import click

from calicod.cli.account import (
    Account,
    PolicyAccount,
    RuleAccount,
    StageAccount,
    TierAccount,
    asked_for,
    endpoint_title,
    place,
    policy_title,
    shortened,
)

Span = tuple[str, str]
"""A text and its style."""
Line = tuple[Span, ...]

GOOD, BAD, QUIET, HEAD, NAME = "bold green", "bold red", "dim", "bold", "cyan"
OUTCOMES = {"allow": ("allowed", GOOD), "deny": ("denied", BAD)}
EFFECTS = {
    "Allow": ("matches: allow", GOOD),
    "Deny": ("matches: deny", BAD),
    "Log": ("matches: logged, goes on", GOOD),
    "Pass": ("matches: passed on", GOOD),
}


UNDECIDED = "no-verdict"


def story(account: Account) -> Iterator[Line]:
    """What happened, in order."""
    for number, stage in enumerate(account.stages, 1):
        yield ()
        yield from stage_lines(number, stage)
    for title in account.unasked:
        yield ()
        yield ((f"{title} was not asked", QUIET),)
    if account.notes:
        yield ()
    for note in account.notes:
        yield ((note, QUIET),)


def pending_story(account: Account, verdict: str) -> Iterator[Line]:
    """What the staged policies would do, if some are on the way: the outcome, and the tiers that have them."""
    pending = account.pending
    if pending is None:
        return
    yield ()
    same = "would still be" if pending.verdict == verdict else "would be"
    outcome, style = OUTCOMES[pending.verdict]
    yield ((f"with the staged policies enforced it {same} ", HEAD), (outcome, style), (f": {pending.why}", ""))
    for stage in pending.stages:
        tiers = [tier for tier in stage.tiers if any(policy.staged for policy in tier.policies)]
        if tiers:
            yield ((f"   {stage.direction} of {endpoint_title(stage.endpoint)}", QUIET),)
        for tier in tiers:
            yield from tier_lines(tier)


def stage_lines(number: int, stage: StageAccount) -> Iterator[Line]:
    """One endpoint."""
    outcome, style = OUTCOMES[stage.verdict]
    asked = asked_for(stage.direction, stage.phase)
    title = f"{number}. {asked} of {endpoint_title(stage.endpoint)}: "
    if stage.reason == UNDECIDED:
        outcome, style = "left to what comes next", QUIET
    yield ((title, HEAD), (outcome, style), (f" ({stage.reason})", QUIET))
    labels = ", ".join(f"{key}={value}" for key, value in sorted(stage.labels.items()))
    yield ((f"   labels: {labels or 'none'}", QUIET),)
    if not stage.tiers:
        yield ((f"   no policy applies to it for {asked}", ""),)
    for tier in stage.tiers:
        yield from tier_lines(tier)
    for profile in stage.profiles:
        yield from policy_lines(profile, "   ")
    if stage.reason == "no-profile":
        said = "none of its profiles allows it" if stage.profiles else "it has no profile that could allow it"
        yield ((f"   {said}: ", ""), ("deny", BAD))
    if stage.elsewhere:
        yield ((f"   not for this endpoint and {asked}: {shortened(stage.elsewhere)}", QUIET),)


def tier_lines(tier: TierAccount) -> Iterator[Line]:
    """One tier."""
    yield (("   tier ", ""), (tier.name, NAME))
    for policy in tier.policies:
        yield from policy_lines(policy, "     ")
    if tier.untried:
        yield ((f"     {counted(tier.untried, 'policy', 'policies')} behind it not asked", QUIET),)
    if tier.end is not None:
        word, style = ("deny", BAD) if tier.end == "Deny" else ("passed on", GOOD)
        yield (("     end of tier: ", ""), (word, style))


def policy_lines(policy: PolicyAccount, indent: str) -> Iterator[Line]:
    """One policy, or profile."""
    title = policy_title(policy.kind, policy.namespace, policy.name)
    yield ((indent, ""), (title, NAME), (f"  {place(policy.file, policy.line)}", QUIET))
    for rule in policy.rules:
        yield rule_line(rule, indent)
    if not policy.rules:
        yield ((f"{indent}  no rules in this direction", QUIET),)
    if policy.untried:
        yield ((f"{indent}  {counted(policy.untried, 'rule', 'rules')} behind it not tried", QUIET),)


def rule_line(rule: RuleAccount, indent: str) -> Line:
    """One rule: what it does, or which fields did not match."""
    effect, style = EFFECTS[rule.action] if rule.matches else ("; ".join(rule.missed), "")
    mark, colour = (">", style) if rule.matches else ("-", QUIET)
    head = f" rule {rule.rule} {rule.action}  "
    return (
        (f"{indent}  ", ""),
        (mark, colour),
        (head, ""),
        (place(rule.file, rule.line), QUIET),
        ("  ", ""),
        (effect, style),
    )


def counted(number: int, one: str, several: str) -> str:
    """A number of things.

    >>> counted(1, "rule", "rules"), counted(2, "rule", "rules")
    ('1 rule', '2 rules')
    """
    return f"{number} {one if number == 1 else several}"


def tell(lines: Iterator[Line]) -> None:
    """Writes the lines to standard output."""
    if not sys.stdout.isatty():
        for line in lines:
            click.echo("".join(text for text, _ in line))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    for line in lines:
        console.print(Text.assemble(*line))
