"""`calicod events`: what the daemon told of late, or tells from now on, filtered.

Law: a line is given on as the daemon wrote it, or for people, with nothing added. An event that lacks what a filter
asks about does not match.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network

import click
import msgspec

from calicod.cli.client import Unreachable, request, socket_option, stream
from calicod.eventlog.console import printer

REFUSALS = frozenset({"connection.denied", "connection.cut", "kernel.dropped", "queue.dropped"})

Fact = Mapping[str, object]
Test = Callable[[Fact], bool]


@click.command("events")
@click.option("-f", "--follow", is_flag=True, help="What happens from now on, until Ctrl-C.")
@click.option("--denied", is_flag=True, help="Only what was refused: denied and cut connections, packets dropped.")
@click.option("--src", metavar="WHO", help="Only from an address, a CIDR, or an endpoint or set: NAME, NAMESPACE/NAME.")
@click.option("--dst", metavar="WHO", help="Only to that; as --src.")
@click.option("--policy", metavar="NAME", help="Only what a rule of this policy decided: NAME or NAMESPACE/NAME.")
@click.option("--event", "names", metavar="NAME", multiple=True, help="Only these; `*` is any text; may be repeated.")
@click.option("--json/--text", "as_json", default=None, help="JSON Lines, or for people (default: on a terminal).")
@socket_option
def command(
    *,
    follow: bool,
    denied: bool,
    src: str | None,
    dst: str | None,
    policy: str | None,
    names: tuple[str, ...],
    as_json: bool | None,
    socket: str,
) -> None:
    """The last events (2,000 at most), or with -f those from now on.

    Exit: 0 done, 3 the daemon cannot be reached, or has ended while it was followed.

    \b
    Example:
      calicod events -f --denied --src 10.0.0.0/8
      calicod events --policy production/allow-blue --event 'connection.*' --json
    """
    tests = [
        *([refused] if denied else []),
        *([of_party("src", src)] if src else []),
        *([of_party("dst", dst)] if dst else []),
        *([of_policy(policy)] if policy else []),
        *([of_name(names)] if names else []),
    ]
    form = "auto" if as_json is None else ("json" if as_json else "console")
    try:
        lines = stream(socket, "/events?follow=1") if follow else request(socket, "/events").splitlines(keepends=True)
        show(chosen(lines, tests), form)
        if follow:
            raise Unreachable(socket, "it has ended")  # noqa: TRY301  told as any other end of the daemon
    except Unreachable as error:
        click.echo(str(error), err=True)
        raise SystemExit(3) from error
    except KeyboardInterrupt:
        return


def show(lines: Iterable[bytes], form: str) -> None:
    """Prints each line as it comes."""
    put = printer(form, sys.stdout)
    for line in lines:
        put(line)
        sys.stdout.flush()


def chosen(lines: Iterable[bytes], tests: list[Test]) -> Iterator[bytes]:
    """The lines that pass every test."""
    for line in lines:
        if not tests:
            yield line
            continue
        fact = msgspec.json.decode(line)
        if all(test(fact) for test in tests):
            yield line


def refused(fact: Fact) -> bool:
    """The event tells that something was dropped."""
    return fact.get("event") in REFUSALS


def of_name(names: tuple[str, ...]) -> Test:
    """The event has one of these names."""
    return lambda fact: any(fnmatchcase(str(fact.get("event")), name) for name in names)


def of_policy(name: str) -> Test:
    """A rule of this policy decided, or it is about this policy."""

    def test(fact: Fact) -> bool:
        rule = fact.get("policy")
        return named(rule if isinstance(rule, dict) else fact, name)

    return test


def of_party(side: str, who: str) -> Test:
    """The address of that side is in a network, or it is an endpoint or set of that name."""
    try:
        network = ip_network(who, strict=False)
    except ValueError:
        return lambda fact: named(fact.get(side), who)
    return lambda fact: fact.get(f"{side}_ip") is not None and ip_address(str(fact[f"{side}_ip"])) in network


def named(thing: object, name: str) -> bool:
    """It has this name, with its namespace where that is given."""
    if not isinstance(thing, dict):
        return False
    return name == thing.get("name") or name == f"{thing.get('namespace') or ''}/{thing.get('name')}"
