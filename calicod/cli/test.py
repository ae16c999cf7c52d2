"""`calicod test`: policy unit tests.

Law: a broken test file is told with its places and ends the command with 2 before anything is judged: no test passes
because its file was not understood.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from calicod.cli.policytest.junit import junit
from calicod.cli.policytest.outcome import Broken, Court, Outcome
from calicod.cli.policytest.reading import read_suites
from calicod.cli.policytest.suite import Suite
from calicod.cli.policytest.telling import lines, report, totals
from calicod.cli.story import Line, tell
from calicod.errors import Diagnostic, Severity

BROKEN = 2


@click.command("test")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--junit", "junit_file", metavar="FILE", help="JUnit XML to this file as well.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object on stdout.")
@click.option("-v", "--verbose", is_flag=True, help="The tests that pass, too, and warnings about resources.")
def command(files: tuple[str, ...], *, junit_file: str | None, as_json: bool, verbose: bool) -> None:
    """Run policy unit tests: resources, flows, and what must become of them.

    FILE is YAML or JSON (docs/policy-tests.md). A failure is told with every step that led to the verdict. Exit 1 if a
    test fails, 2 if a file cannot be understood.

    \b
    Examples:
      calicod test examples/01-allow-within-namespace/tests.yaml
      calicod test tests/*.yaml --junit report.xml
    """
    suites = tuple(suite for file in files for suite in suites_of(file, verbose=verbose))
    outcomes = outcomes_of(suites)
    if junit_file is not None:
        write(junit_file, junit(outcomes))
    failed = sum(bool(outcome.differences) for outcome in outcomes)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report(outcomes))))
    else:
        tell(told(outcomes, verbose=verbose))
        click.echo(totals(len(outcomes), failed, len(files)))
    raise SystemExit(1 if failed else 0)


def suites_of(file: str, *, verbose: bool) -> tuple[Suite, ...]:
    """The suites of a file; ends the command if it is broken."""
    try:
        suites, findings = read_suites(file)
    except OSError as error:
        click.echo(f"{file}: {(error.strerror or str(error)).lower()}", err=True)
        raise SystemExit(BROKEN) from error
    errors = tuple(found for found in findings if found.severity is Severity.ERROR)
    complain(findings if verbose else errors)
    if errors:
        raise SystemExit(BROKEN)
    if not any(suite.cases for suite in suites):
        click.echo(f"{file}: there is no test in it", err=True)
        raise SystemExit(BROKEN)
    return suites


def outcomes_of(suites: tuple[Suite, ...]) -> tuple[Outcome, ...]:
    """What came of every case; ends the command if a flow cannot be judged."""
    outcomes: list[Outcome] = []
    broken: list[Diagnostic] = []
    for suite in suites:
        court = Court(suite)
        for case in suite.cases:
            try:
                outcomes.extend(court.outcomes(case))
            except Broken as error:
                broken.append(error.diagnostic)
    complain(tuple(broken))
    if broken:
        raise SystemExit(BROKEN)
    return tuple(outcomes)


def complain(findings: tuple[Diagnostic, ...]) -> None:
    """Findings go to stderr."""
    for finding in findings:
        click.echo(str(finding), err=True)


def told(outcomes: tuple[Outcome, ...], *, verbose: bool) -> Iterator[Line]:
    """Every outcome for people."""
    for outcome in outcomes:
        yield from lines(outcome, verbose=verbose)


def write(path: str, content: bytes) -> None:
    """Writes a file; ends the command with a usage error if that is not possible."""
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        message = f"{path}: {(error.strerror or str(error)).lower()}"
        raise click.BadParameter(message, param_hint="--junit") from error
