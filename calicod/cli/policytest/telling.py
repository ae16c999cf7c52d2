"""What came of the tests, as lines for people, and as values for programs.

Law: a failure says what was expected, what was found, and every step that led there.
"""

from collections.abc import Iterable, Iterator

import msgspec

from calicod.cli.explain import summary, where
from calicod.cli.policytest.outcome import Outcome
from calicod.cli.story import BAD, GOOD, QUIET, Line, counted, story
from calicod.model.decision import PolicyReference


class Result(msgspec.Struct, frozen=True):
    """One test of `--json`. `differences`: in words; `trace` as in a decision."""

    name: str
    file: str
    line: int
    passed: bool
    packet: str
    verdict: str
    reason: str
    policy: PolicyReference | None
    pending: str | None
    trace: tuple[str, ...]
    differences: tuple[str, ...]


class Report(msgspec.Struct, frozen=True):
    """The answer of `--json`."""

    tests: int
    failed: int
    results: tuple[Result, ...]


def report(outcomes: Iterable[Outcome]) -> Report:
    """Everything for programs."""
    results = tuple(result(outcome) for outcome in outcomes)
    return Report(len(results), sum(not one.passed for one in results), results)


def result(outcome: Outcome) -> Result:
    """One test for programs."""
    decision, place = outcome.decision, outcome.case.place
    return Result(
        name=outcome.name,
        file=place.file,
        line=place.line,
        passed=not outcome.differences,
        packet=summary(outcome.packet),
        verdict=decision.verdict.value,
        reason=decision.reason.value,
        policy=decision.policy,
        pending=decision.pending.verdict.value if decision.pending else None,
        trace=decision.trace,
        differences=outcome.differences,
    )


def lines(outcome: Outcome, *, verbose: bool) -> Iterator[Line]:
    """A failure with its story; of a success its name, and only if asked for."""
    if not outcome.differences:
        if verbose:
            yield (("ok    ", GOOD), (f"{outcome.case.place}: ", QUIET), (outcome.name, ""))
        return
    yield (("FAIL  ", BAD), (f"{outcome.case.place}: ", QUIET), (outcome.name, "bold"))
    yield from (indented(line) for line in details(outcome))
    yield ()


def details(outcome: Outcome) -> Iterator[Line]:
    """What differs, and how it came about."""
    for difference in outcome.differences:
        yield ((difference, BAD),)
    yield ((f"{summary(outcome.packet)}{where(outcome.way)}", ""),)
    yield ((f"{outcome.decision.verdict.value} because {outcome.account.why}", ""),)
    yield from story(outcome.account)


def indented(line: Line) -> Line:
    """The line a step to the right; an empty one stays empty."""
    return (("      ", ""), *line) if line else line


def plain(lines_: Iterable[Line]) -> str:
    """The lines as one text."""
    return "\n".join("".join(text for text, _ in line) for line in lines_)


def totals(tests: int, failed: int, files: int) -> str:
    """The last line.

    >>> totals(3, 1, 1)
    '3 tests of 1 file: 1 failed'
    """
    result_ = f"{failed} failed" if failed else "all passed"
    return f"{counted(tests, 'test', 'tests')} of {counted(files, 'file', 'files')}: {result_}"
