"""`calicod validate`: every error and warning of every resource, alone and together with the others.

Law: what `run`, `eval` and `explain` would say about the same files is said here.
"""

import sys

import click
import msgspec

from calicod.compiler.compile import compile
from calicod.datastore.files import collector_paused, read
from calicod.errors import Diagnostic, Severity
from calicod.resources.snapshot import snapshot


class Answer(msgspec.Struct, frozen=True):
    """The answer of `--json`. `resources`: how many were accepted."""

    resources: int
    diagnostics: tuple[Diagnostic, ...]


@click.command("validate")
@click.argument("paths", nargs=-1, required=True, metavar="PATH…")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object on stdout.")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
def command(paths: tuple[str, ...], *, as_json: bool, strict: bool) -> None:
    """Check files of resources and tell every error and warning, each with its place.

    PATH is a file, a directory (*.yaml, *.yml, *.json, recursive, sorted) or - for standard input. Exit 1 if there is
    an error, or with --strict a warning.

    \b
    Examples:
      calicod validate examples/01-allow-within-namespace --strict
      cat examples/09-default-deny/policy.yaml | calicod validate - examples/09-default-deny/endpoints.yaml --json
    """
    with collector_paused():
        loaded = read(paths)
        diagnostics = (*loaded.diagnostics, *compile(snapshot(loaded.resources), None).diagnostics)
    errors = sum(found.severity is Severity.ERROR for found in diagnostics)
    warnings = len(diagnostics) - errors
    if as_json:
        answer = Answer(len(loaded.resources), diagnostics)
        click.echo(msgspec.json.format(msgspec.json.encode(answer)))
    else:
        _print(diagnostics)
        click.echo(f"{len(loaded.resources)} resources accepted, {errors} errors, {warnings} warnings")
    raise SystemExit(1 if errors or (strict and warnings) else 0)


def _print(diagnostics: tuple[Diagnostic, ...]) -> None:
    """Findings on stderr; coloured on a terminal only."""
    if not sys.stderr.isatty():
        for found in diagnostics:
            click.echo(str(found), err=True)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for found in diagnostics:
        style = "bold red" if found.severity is Severity.ERROR else "bold yellow"
        head, *rest = str(found).split("\n")
        text = Text(head)
        text.highlight_words([found.code], style)
        console.print(text)
        for line in rest:
            console.print(Text(line, "cyan"))
