"""`calicod confirm`: keep the set on trial."""

import click
import msgspec

from calicod.cli.apply import result
from calicod.cli.client import asked, socket_option
from calicod.daemon.proposal import Outcome


@click.command("confirm")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
@socket_option
def command(*, as_json: bool, socket: str) -> None:
    """Keep the set on trial: it is written into policy_paths, and what was there is kept for `calicod rollback`.

    Exit: 0 confirmed, 1 there is no trial (it may have been rolled back), 3 the daemon cannot be reached,
    4 not permitted.

    \b
    Example:
      calicod apply new-policies/ --confirm-within 60s && calicod confirm
    """
    settle(socket, "/confirm", as_json=as_json)


def settle(socket: str, target: str, *, as_json: bool) -> None:
    """Asks for a change that ends a trial, and tells what came of it. Raises CalicodError."""
    outcome = asked(socket, target, Outcome, "POST")
    if as_json:
        click.echo(msgspec.json.encode(outcome).decode())
    if outcome.refusal is not None:
        raise outcome.refusal.error()
    if not as_json:
        for diagnostic in outcome.rejected:
            click.echo(str(diagnostic), err=True)
        click.echo("\n".join(result(outcome)))
