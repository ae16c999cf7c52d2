"""`calicod schema`: JSON Schemas for editors.

Law: made of the tables by which resources are read, so an editor marks what `validate` refuses.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import msgspec

from calicod.resources.schema import KNOWN, any_kind, finished, schema
from calicod.resources.shapes import Shape
from calicod.resources.table import mapping

ANY = "resource"
"""The schema for every kind."""
TESTS = "policy-tests"
"""That of the files of `calicod test`."""


@click.command("schema")
@click.argument("kind", required=False, metavar="[KIND]")
@click.option("--directory", metavar="DIR", help="Every schema as a file of this directory, which must exist.")
def command(kind: str | None, directory: str | None) -> None:
    """Print the JSON Schema of a kind, or of every kind together, for editors (docs/editor.md).

    KIND may also be policy-tests: the files of `calicod test`.

    \b
    Examples:
      calicod schema NetworkPolicy > networkpolicy.json
      calicod schema --directory schemas
    """
    if directory is not None and kind is None:
        write(directory)
    elif directory is not None:
        raise click.UsageError("KIND and --directory exclude each other")
    else:
        click.echo(text(chosen(kind)), nl=False)


def chosen(kind: str | None) -> Shape:
    """The schema of a kind, whatever its case; of all kinds without one."""
    if kind is None:
        return any_kind()
    makers = schemas()
    if kind.lower() not in makers:
        raise click.BadParameter(f'"{kind}" is none of {", ".join((*KNOWN, TESTS))}', param_hint="KIND")
    return makers[kind.lower()]()


def schemas() -> dict[str, Callable[[], Shape]]:
    """What makes each schema, by the name of its file."""
    kinds: dict[str, Callable[[], Shape]] = {name.lower(): partial(schema, name) for name in KNOWN}
    return {**kinds, ANY: any_kind, TESTS: policy_tests}


def policy_tests() -> Shape:
    """The schema of a test file, complete in itself."""
    from calicod.cli.policytest.reading import SUITE

    return finished({**mapping(SUITE), "required": ["resources", "tests"]}, "Policy tests of calicod")


def files() -> dict[str, str]:
    """The content of each file, by name."""
    return {f"{name}.json": text(make()) for name, make in schemas().items()}


def text(shape: Shape) -> str:
    """A schema as it is written."""
    return msgspec.json.format(msgspec.json.encode(shape)).decode() + "\n"


def write(directory: str) -> None:
    """Writes every file."""
    for name, content in files().items():
        (Path(directory) / name).write_text(content, encoding="utf-8")
