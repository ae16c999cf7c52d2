"""What `eval` and `explain` share: from PATHs and options to a snapshot, a RuleSet, interfaces and packets.

Law: resources with errors are told and nothing is judged: an answer must not rest on half a policy.
"""

import socket
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from calicod.compiler.compile import compile
from calicod.datastore.files import read
from calicod.datastore.paths import STDIN
from calicod.errors import CalicodError, Diagnostic, Severity
from calicod.model.interface import Interface
from calicod.model.network import parse_address, parse_network
from calicod.model.protocol import ICMP, ICMPV6, NAMES
from calicod.resources.snapshot import Snapshot, snapshot
from calicod.ruleset.program import RuleSet
from calicod.ruleset.topology import EVERY_INTERFACE

WORDS = {name.lower(): number for name, number in NAMES.items()}
MAX_PROTOCOL = 255


class Judging(msgspec.Struct, frozen=True):
    """The options that both commands take. `named`: the node of --node or --config, None without them."""

    paths: tuple[str, ...]
    named: str | None
    cluster: bool
    interfaces: tuple[Interface, ...] | None

    @property
    def node(self) -> str:
        """Which endpoints are local, unless --cluster is given: those of the node named, else of this host."""
        return self.named or socket.gethostname()


def judging_options(command: Callable[..., None]) -> Callable[..., None]:
    """PATH..., --node, --cluster, --interfaces and --config, given on as `judging`."""

    @click.argument("paths", nargs=-1, metavar="PATH...")
    @click.option("--node", metavar="NAME", help="Which endpoints are local; default: this host's name.")
    @click.option("--cluster", is_flag=True, help="Every endpoint is local to somebody: judge both ends, by address.")
    @click.option("--interfaces", metavar="FILE", help='Which there are: {"eth0": ["192.0.2.1/24"]}.')
    @click.option("--config", metavar="FILE", help="A daemon configuration: its node_name is the default of --node.")
    @wraps(command)
    def with_judging(
        *args: Any,  # noqa: ANN401  click gives what the command's own options declare
        paths: tuple[str, ...],
        node: str | None,
        cluster: bool,
        interfaces: str | None,
        config: str | None,
        **kwargs: Any,  # noqa: ANN401  as above
    ) -> None:
        live = kwargs.get("live")
        if live and (paths or node is not None or cluster or interfaces or config):
            raise click.UsageError(
                "--live: the daemon says what there is: no PATH, --node, --cluster, --interfaces, --config"
            )
        if not paths and not live:
            raise click.UsageError("Missing argument 'PATH...'.")
        if [STDIN in paths, interfaces == STDIN, kwargs.get("packets") == STDIN].count(True) > 1:
            raise click.UsageError("-: standard input can be only one of PATH, --interfaces and --packets")
        if node == "":
            raise click.BadParameter("expected the name of a node", param_hint="--node")
        named = node or configured_node(config)
        command(*args, judging=Judging(paths, named, cluster, read_interfaces(interfaces)), **kwargs)

    return with_judging


def configured_node(config: str | None) -> str | None:
    """The node's name from a configuration file; None without one. Raises PolicyError."""
    if config is None:
        return None
    from calicod.daemon.settings import load_settings  # only this option pays for the daemon

    try:
        return load_settings(Path(config)).node_name
    except CalicodError as error:
        raise click.BadParameter(error.message, param_hint="--config") from error


def read_interfaces(path: str | None) -> tuple[Interface, ...] | None:
    """The interfaces of a file, as contract.md describes it; None when there is none."""
    if path is None:
        return None
    try:
        content = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
        given = msgspec.json.decode(content, type=dict[str, list[str]])
        return tuple(
            Interface(number, name, tuple(parse_host(text) for text in addresses))
            for number, (name, addresses) in enumerate(given.items(), 1)
        )
    except OSError as error:
        raise click.BadParameter(
            f"{path}: {(error.strerror or str(error)).lower()}", param_hint="--interfaces"
        ) from error
    except (msgspec.MsgspecError, ValueError) as error:
        message = f'{path}: {error}; expected such as {{"eth0": ["192.0.2.1/24"]}}'
        raise click.BadParameter(message, param_hint="--interfaces") from error


def parse_host(text: str) -> bytes:
    """The address of `192.0.2.1/24`, host bits and all. Raises ValueError."""
    host, _, _ = text.partition("/")
    parse_network(text)
    return parse_address(host)


def written(judging: Judging) -> Snapshot:
    """All resources of the paths; findings go to stderr, and errors among them end the command with 1."""
    loaded = read(judging.paths)
    tell(loaded.diagnostics)
    return snapshot(loaded.resources)


def compiled(resources: Snapshot, node: str | None) -> RuleSet:
    """The RuleSet of a node, of all nodes for None; what is odd about it goes to stderr."""
    compilation = compile(resources, node)
    tell(compilation.diagnostics)
    nodes = nodes_of(resources)
    if not nodes:
        click.echo("PATH: warning there is no endpoint in the input: nothing is judged", err=True)
        click.echo("  hint: add WorkloadEndpoint or HostEndpoint resources, or check the paths", err=True)
    elif node is not None and node not in nodes:
        click.echo(f'--node: warning no endpoint is on node "{node}": nothing is judged', err=True)
        click.echo(f"  hint: name one of {', '.join(nodes)}, or give --cluster", err=True)
    return compilation.ruleset


def nodes_of(resources: Snapshot) -> tuple[str, ...]:
    """The nodes that have endpoints, sorted."""
    nodes = {endpoint.node for endpoint in resources.workload_endpoints}
    return tuple(sorted(nodes | {endpoint.node for endpoint in resources.host_endpoints}))


def present(judging: Judging, ruleset: RuleSet) -> tuple[Interface, ...]:
    """The interfaces that were given; else those that host endpoints name, as if all were there, without addresses."""
    if judging.interfaces is not None:
        return judging.interfaces
    names = dict.fromkeys(host.interface for host in ruleset.hosts if host.interface not in {"", EVERY_INTERFACE})
    return tuple(Interface(number, name) for number, name in enumerate(names, 1))


def tell_of_lost_hosts(judging: Judging, ruleset: RuleSet) -> None:
    """A host endpoint found by address judges nothing as long as nobody says which interface has the address."""
    by_address = [host for host in ruleset.hosts if not host.interface]
    if by_address and judging.interfaces is None and ruleset.node is not None:
        place = by_address[0].place
        click.echo(
            f"{place}: warning HostEndpoint {by_address[0].name} names no interface: it judges nothing", err=True
        )
        click.echo(
            '  hint: say which interface has its address: --interfaces FILE with {"eth0": ["192.0.2.1/24"]}', err=True
        )


def tell(diagnostics: Iterable[Diagnostic]) -> None:
    """Every finding to stderr; ends the command when one is an error."""
    refused = False
    for diagnostic in diagnostics:
        click.echo(str(diagnostic), err=True)
        refused |= diagnostic.severity is Severity.ERROR
    if refused:
        raise SystemExit(1)


def protocol_number(given: str | int, family: int) -> int:
    """A protocol by number or by name in any case; `icmp` is ICMPv6 in IPv6. Raises ValueError.

    >>> protocol_number("TCP", 4), protocol_number("icmp", 6), protocol_number(47, 4)
    (6, 58, 47)
    """
    number = given if isinstance(given, int) else WORDS.get(given.lower())
    if number is None and isinstance(given, str) and given.isascii() and given.isdecimal():
        number = int(given)
    if number is None or not 0 <= number <= MAX_PROTOCOL:
        raise ValueError(f'protocol "{given}" is neither a number up to 255 nor one of {", ".join(WORDS)}')
    if family == 6 and given != ICMP and number == ICMP and not str(given).isdecimal():  # noqa: PLR2004  the IP version
        return ICMPV6
    return number
