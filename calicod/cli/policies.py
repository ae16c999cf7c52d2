"""`calicod policies`: each policy with the endpoints it selects and how often it decided."""

import click
import msgspec

from calicod.cli.client import Unreachable, asked, socket_option
from calicod.daemon.state import PolicyState
from calicod.eventlog.readable import printable

STAGED = "staged: decides nothing; events tell under policies.pending what it would do"


@click.command("policies")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
@socket_option
def command(*, as_json: bool, socket: str) -> None:
    """Each policy in the order of tiers, with the endpoints selected here and its hits since the daemon began.

    \b
    Example:
      calicod policies
    """
    try:
        policies = asked(socket, "/policies", tuple[PolicyState, ...])
    except Unreachable as error:
        click.echo(str(error), err=True)
        raise SystemExit(3) from error
    if as_json:
        click.echo(msgspec.json.encode(policies).decode())
        return
    if not policies:
        click.echo("no policy")
    for policy in policies:
        click.echo("\n".join(map(printable, lines(policy))))


def lines(policy: PolicyState) -> list[str]:
    """One policy for people."""
    name = f"{policy.namespace}/{policy.name}" if policy.namespace else policy.name
    title = f"{policy.tier}|{policy.kind} {name} ({policy.file}:{policy.line})"
    decided = f"decided: {policy.allowed} allowed, {policy.denied} denied, {policy.logged} logged"
    return [
        f"{title}: {policy.ingress_rules} ingress and {policy.egress_rules} egress rules",
        f"  selects: {', '.join(policy.endpoints) or 'nothing here'}",
        f"  {STAGED if policy.staged else decided}",
    ]
