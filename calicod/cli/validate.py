"""`calicod validate`: every error and warning of every resource."""

import sys

import click
import msgspec

from calicod.datastore.files import read
from calicod.errors import Diagnostic, Severity


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

    PATH is a file, a directory (*.yaml, *.yml, *.json, recursive, sorted) or - for standard input. Exit 1 if anything
    is wrong.

    \b
    Examples:
      calicod validate /etc/calicod/policies.d
      calicod validate policy.yaml --strict
      kubectl get namespaces -o yaml | calicod validate - policies/ --json
    """
    loaded = read(paths)
    errors = sum(found.severity is Severity.ERROR for found in loaded.diagnostics)
    warnings = len(loaded.diagnostics) - errors
    if as_json:
        answer = Answer(len(loaded.resources), loaded.diagnostics)
        click.echo(msgspec.json.format(msgspec.json.encode(answer)))
    else:
        _print(loaded.diagnostics)
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
