"""`calicod selector`: the canonical form of a selector, and whether labels match it."""

import click
import msgspec

from calicod.selector.parser import SelectorError, parse

MATCHES, DIFFERS, UNPARSABLE = 0, 1, 2
LONGEST_SHOWN = 200
"""An expression that fits on a few lines of a terminal is shown with a mark below the mistake."""


class Mistake(msgspec.Struct, frozen=True):
    """What is wrong with a selector, and at which character, counted from 1."""

    message: str
    column: int


class Answer(msgspec.Struct, frozen=True):
    """The answer of `--json`. `match`: None without labels."""

    canonical: str | None = None
    match: bool | None = None
    error: Mistake | None = None


@click.command("selector")
@click.argument("expression", metavar="EXPR")
@click.option("--labels", metavar="K=V,…", help="Labels to try it on, such as app=web,tier=front.")
@click.option("--labels-json", metavar="OBJ", help="The same as a JSON object, for values with commas.")
@click.option("--json", "as_json", is_flag=True, help="The answer as one JSON object on stdout.")
def command(expression: str, *, labels: str | None, labels_json: str | None, as_json: bool) -> None:
    """Print the canonical form of a selector and, with labels, whether they match.

    Exit 0 if it matches (or, without labels, is valid), 1 if it does not match, 2 if it does not parse.

    \b
    Examples:
      calicod selector "color == 'red' && !has(retired)"
      calicod selector "color in {'red', 'blue'}" --labels color=red
      calicod selector "all()" --labels-json '{"color": "red"}' --json
    """
    given = _labels(labels, labels_json)
    try:
        tree = parse(expression)
    except SelectorError as error:
        _refuse(expression, error, as_json=as_json)
    match = None if given is None else tree.matches(given)
    if as_json:
        click.echo(msgspec.json.encode(Answer(str(tree), match)))
    else:
        click.echo(str(tree))
        if match is not None:
            click.echo("matches" if match else "does not match")
    raise SystemExit(DIFFERS if match is False else MATCHES)


def _refuse(expression: str, error: SelectorError, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(Answer(error=Mistake(error.message, error.column))))
    else:
        click.echo(f"EXPR:1:{error.column}: {error.message}", err=True)
        if expression.isprintable() and len(expression) <= LONGEST_SHOWN:
            click.echo(f"  {expression}\n  {' ' * (error.column - 1)}^", err=True)
    raise SystemExit(UNPARSABLE)


def _labels(pairs: str | None, as_json: str | None) -> dict[str, str] | None:
    if pairs is not None and as_json is not None:
        raise click.UsageError("--labels and --labels-json exclude each other")
    if as_json is not None:
        try:
            return msgspec.json.decode(as_json, type=dict[str, str])
        except msgspec.DecodeError as error:
            raise click.BadParameter(f"expected a JSON object of texts: {error}", param_hint="--labels-json") from error
    if pairs is None:
        return None
    labels = {}
    for pair in filter(None, pairs.split(",")):
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f'expected key=value, found "{pair}"', param_hint="--labels")
        labels[key] = value
    return labels
