"""`calicod endpoints`: each endpoint of this node with its interface, addresses and policies in order."""

from operator import add

import click
import msgspec

from calicod.cli.client import Unreachable, asked, socket_option
from calicod.daemon.state import EndpointState, PolicyName
from calicod.eventlog.readable import printable


@click.command("endpoints")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
@socket_option
def command(*, as_json: bool, socket: str) -> None:
    """Each endpoint with its interface, addresses, and policies in the order they are tried.

    \b
    Example:
      calicod endpoints --json
    """
    try:
        endpoints = asked(socket, "/endpoints", tuple[EndpointState, ...])
    except Unreachable as error:
        click.echo(str(error), err=True)
        raise SystemExit(3) from error
    if as_json:
        click.echo(msgspec.json.encode(endpoints).decode())
        return
    if not endpoints:
        click.echo("no endpoint on this node: nothing is judged")
    for endpoint in endpoints:
        click.echo("\n".join(map(printable, lines(endpoint))))


def lines(endpoint: EndpointState) -> list[str]:
    """One endpoint for people."""
    title = f"{endpoint.namespace}/{endpoint.name}" if endpoint.namespace else endpoint.name
    where = ", ".join(endpoint.interfaces) or f"{endpoint.interface or 'by address'} (not present)"
    labels = ", ".join(f"{k}={v}" for k, v in sorted(endpoint.labels.items()))
    return [
        f"{endpoint.type} {title}: {endpoint.state} on {where}; {', '.join(endpoint.addresses) or 'no address'}",
        f"  labels: {labels or 'none'}",
        f"  ingress: {order(endpoint.ingress)}",
        f"  egress: {order(endpoint.egress)}",
        f"  profiles: {', '.join(endpoint.profiles) or 'none'}",
    ]


def order(policies: tuple[PolicyName, ...]) -> str:
    """Policies in order, with their tier."""
    names = (f"{p.tier}|{p.namespace}/{p.name}" if p.namespace else f"{p.tier}|{p.name}" for p in policies)
    marks = (" (staged)" if p.staged else "" for p in policies)
    return " -> ".join(map(add, names, marks)) or "no policy"
