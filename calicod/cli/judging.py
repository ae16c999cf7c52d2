"""What `eval` and `explain` share: from PATHs and options to a RuleSet, interfaces and packets.

Law: resources with errors are told and nothing is judged: an answer must not rest on half a policy.
"""

import socket
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from calicod.compiler.compile import compile
from calicod.datastore.files import read
from calicod.engine.bitmap import BitmapEngine
from calicod.errors import Diagnostic, Severity
from calicod.model.interface import Interface
from calicod.model.network import parse_address, parse_network
from calicod.model.protocol import ICMP, ICMPV6, NAMES
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import RuleSet
from calicod.ruleset.topology import EVERY_INTERFACE

WORDS = {name.lower(): number for name, number in NAMES.items()}
MAX_PROTOCOL = 255


class Judging(msgspec.Struct, frozen=True):
    """The options that both commands take."""

    paths: tuple[str, ...]
    node: str
    cluster: bool
    interfaces: tuple[Interface, ...] | None


def judging_options(command: Callable[..., None]) -> Callable[..., None]:
    """PATH..., --node, --cluster, --interfaces and --config, given on as `judging`."""

    @click.argument("paths", nargs=-1, required=True, metavar="PATH...")
    @click.option("--node", metavar="NAME", help="Which endpoints are local; default: this host's name.")
    @click.option("--cluster", is_flag=True, help="Every endpoint is local to somebody: judge both ends, by address.")
    @click.option("--interfaces", metavar="FILE", help='Which there are: {"eth0": ["192.0.2.1/24"]}.')
    @click.option("--config", metavar="FILE", help="A daemon configuration: its node_name is the default of --node.")
    @wraps(command)
    def with_judging(  # noqa: PLR0913  one parameter for each option
        *args: Any,  # noqa: ANN401  click gives what the command's own options declare
        paths: tuple[str, ...],
        node: str | None,
        cluster: bool,
        interfaces: str | None,
        config: str | None,
        **kwargs: Any,  # noqa: ANN401  as above
    ) -> None:
        chosen = node or configured_node(config)
        command(*args, judging=Judging(paths, chosen, cluster, read_interfaces(interfaces)), **kwargs)

    return with_judging


def configured_node(config: str | None) -> str:
    """The node's name from a configuration file, else this host's."""
    if config is None:
        return socket.gethostname()
    from calicod.daemon.settings import load_settings  # noqa: PLC0415  only this option pays for the daemon

    return load_settings(Path(config)).node_name


def read_interfaces(path: str | None) -> tuple[Interface, ...] | None:
    """The interfaces of a file, as contract.md describes it; None when there is none."""
    if path is None:
        return None
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        given = msgspec.json.decode(content, type=dict[str, list[str]])
        return tuple(
            Interface(number, name, tuple(parse_host(text) for text in addresses))
            for number, (name, addresses) in enumerate(given.items(), 1)
        )
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--interfaces") from error


def parse_host(text: str) -> bytes:
    """The address of `192.0.2.1/24`, host bits and all. Raises ValueError."""
    host, _, _ = text.partition("/")
    parse_network(text)
    return parse_address(host)


def compiled(judging: Judging) -> RuleSet:
    """The RuleSet of the paths; findings go to stderr, and errors among them end the command with 1."""
    loaded = read(judging.paths)
    compilation = compile(snapshot(loaded.resources), None if judging.cluster else judging.node)
    tell((*loaded.diagnostics, *compilation.diagnostics))
    return compilation.ruleset


def engine_for(judging: Judging) -> BitmapEngine:
    """The engine of the paths."""
    ruleset = compiled(judging)
    return BitmapEngine(ruleset, present(judging, ruleset))


def present(judging: Judging, ruleset: RuleSet) -> tuple[Interface, ...]:
    """The interfaces that were given; else those that host endpoints name, as if all were there, without addresses."""
    if judging.interfaces is not None:
        return judging.interfaces
    names = dict.fromkeys(host.interface for host in ruleset.hosts if host.interface not in {"", EVERY_INTERFACE})
    return tuple(Interface(number, name) for number, name in enumerate(names, 1))


def tell(diagnostics: tuple[Diagnostic, ...]) -> None:
    """Every finding to stderr; ends the command when one is an error."""
    for diagnostic in diagnostics:
        click.echo(str(diagnostic), err=True)
    if any(d.severity is Severity.ERROR for d in diagnostics):
        raise SystemExit(1)


def address(text: str) -> bytes:
    """An address as bytes. Raises ValueError."""
    return parse_address(text)


def protocol_number(given: str | int, family: int) -> int:
    """A protocol by number or by name in any case; `icmp` is ICMPv6 in IPv6. Raises ValueError.

    >>> protocol_number("TCP", 4), protocol_number("icmp", 6), protocol_number(47, 4)
    (6, 58, 47)
    """
    number = given if isinstance(given, int) else WORDS.get(given.lower())
    if number is None and isinstance(given, str) and given.isdigit():
        number = int(given)
    if number is None or not 0 <= number <= MAX_PROTOCOL:
        raise ValueError(f"protocol {given!r} is neither a number up to 255 nor one of {', '.join(WORDS)}")
    if isinstance(given, str) and number == ICMP and given.lower() == "icmp" and family == 6:
        return ICMPV6
    return number
