"""`calicod reload`: read all sources again, and return when every worker enforces the result."""

import click
import msgspec

from calicod.cli.client import Unreachable, asked, socket_option
from calicod.daemon.state import Reloaded


@click.command("reload")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
@socket_option
def command(*, as_json: bool, socket: str) -> None:
    """Read all sources again; prints the revision that every worker now enforces.

    Exit: 0 all in force, 1 a resource was rejected (the rest is in force), 3 the daemon cannot be reached.

    \b
    Example:
      calicod reload
    """
    try:
        answer = asked(socket, "/reload", Reloaded, "POST")
    except Unreachable as error:
        click.echo(str(error), err=True)
        raise SystemExit(3) from error
    if as_json:
        click.echo(msgspec.json.encode(answer).decode())
    else:
        for diagnostic in answer.rejected:
            click.echo(str(diagnostic), err=True)
        if answer.error:
            click.echo(answer.error, err=True)
        if answer.trial is not None:
            click.echo("a set is on trial: the policy files are not in force (`calicod status`)", err=True)
        click.echo(f"revision {answer.revision}")
    raise SystemExit(1 if answer.rejected or answer.error else 0)
