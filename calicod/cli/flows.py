"""`calicod flows`: the live flows that are allowed, with the rule that allows each.

Law: a line is given on as the daemon wrote it, or for people, with nothing added. A flow that lacks what a filter asks
about does not match.
"""

import sys
from collections.abc import Iterator

import click
import msgspec

from calicod.cli.client import TIMEOUT_SECONDS, Unreachable, socket_option, stream
from calicod.cli.events import Test, chosen, of_party, of_policy
from calicod.daemon.state import LiveFlow
from calicod.eventlog.readable import party, policy, printable


@click.command("flows")
@click.option("--src", metavar="WHO", help="Only from an address, a CIDR, or an endpoint or set: NAME, NAMESPACE/NAME.")
@click.option("--dst", metavar="WHO", help="Only to that; as --src.")
@click.option("--policy", "rule_of", metavar="NAME", help="Only what this policy allows: NAME or NAMESPACE/NAME.")
@click.option("--protocol", metavar="NAME", help="Only of this protocol: tcp, udp, icmp, or its number.")
@click.option("--port", type=click.IntRange(0, 65535), help="Only to this port.")
@click.option("--json", "as_json", is_flag=True, help="A flow on each line, as JSON.")
@socket_option
def command(
    *,
    src: str | None,
    dst: str | None,
    rule_of: str | None,
    protocol: str | None,
    port: int | None,
    as_json: bool,
    socket: str,
) -> None:
    """The live flows that the policy in force, or a failsafe, allows.

    Each with its ends, the policy and rule that allow it where that is certain, age, packets and bytes both ways.
    Flows that no policy judges are not shown. Exit: 0 done, 3 the daemon cannot be reached.

    \b
    Examples:
      calicod flows --dst production/web --port 443
      calicod flows --policy production/allow-blue --json | jq .src_ip
    """
    tests: list[Test] = [
        *([of_party("src", src)] if src else []),
        *([of_party("dst", dst)] if dst else []),
        *([of_policy(rule_of)] if rule_of else []),
        *([has("protocol", protocol.lower())] if protocol else []),
        *([has("dst_port", port)] if port is not None else []),
    ]
    try:
        for line in chosen(stream(socket, "/flows", TIMEOUT_SECONDS), tests):
            click.echo(line.decode().rstrip("\n") if as_json else shown(line))
            sys.stdout.flush()
    except Unreachable as error:
        click.echo(str(error), err=True)
        raise SystemExit(3) from error


def has(key: str, value: object) -> Test:
    """The field has this value."""
    return lambda fact: fact.get(key) == value


def shown(line: bytes) -> str:
    """A flow for people."""
    return told(msgspec.json.decode(line, type=LiveFlow))


def told(flow: LiveFlow) -> str:
    """A flow for people, in one line."""
    fact = msgspec.to_builtins(flow)
    return printable("".join(pieces(flow, fact)))


def pieces(flow: LiveFlow, fact: dict[str, object]) -> Iterator[str]:
    """Who speaks to whom, by what rule, and how much."""
    yield f"{flow.protocol} "
    yield from (text for text, _ in party(fact, "src"))
    yield " -> "
    yield from (text for text, _ in party(fact, "dst"))
    if flow.icmp_type is not None:
        yield f" type {flow.icmp_type} code {flow.icmp_code}"
    yield f" {flow.reason or 'unknown'}"
    if (rule := policy(fact["policy"])) is not None:
        yield f" {rule}"
    if flow.age_seconds is not None:
        yield f" {flow.age_seconds:.0f} s"
    if flow.bytes_to_dst is not None and flow.bytes_to_src is not None:
        yield f" {flow.bytes_to_dst} B out {flow.bytes_to_src} B back"
