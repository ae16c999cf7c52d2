"""`calicod rollback`: bring back what was before the last set."""

import click

from calicod.cli.client import socket_option
from calicod.cli.confirm import settle


@click.command("rollback")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
@socket_option
def command(*, as_json: bool, socket: str) -> None:
    """End the trial; without one, bring back the policy files that the last applied set replaced.

    Rolling back twice leads forward again: what a rollback replaces is kept too. Exit: 0 rolled back, 1 there is
    nothing to roll back to, 3 the daemon cannot be reached, 4 not permitted.

    \b
    Example:
      calicod rollback
    """
    settle(socket, "/rollback", as_json=as_json)
