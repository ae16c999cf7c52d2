"""Against what `explain` explains: resources of files, or what the daemon enforces now; and where the packet passes it.

Law: what the daemon enforces is taken as it is, with the interfaces it knows; nothing of it is compiled again here.
"""

import click
import msgspec

from calicod.cli.client import Unreachable, request
from calicod.cli.judging import Judging, compiled, present, tell_of_lost_hosts, written
from calicod.cli.passage import Given, Passage, node_for, passage
from calicod.compiler.compile import compile
from calicod.model.interface import Interface
from calicod.model.network import format_address
from calicod.ruleset.enforcement import Enforcement, decode
from calicod.ruleset.program import RuleSet


class Scene(msgspec.Struct, frozen=True):
    """A policy, and a packet's way through it.

    `node` None: the whole cluster. `revision`: of the daemon that enforces it.
    """

    node: str | None
    ruleset: RuleSet
    interfaces: tuple[Interface, ...]
    way: Passage
    assumed: tuple[str, ...]
    revision: int | None = None


def offline(judging: Judging, given: Given) -> Scene:
    """Of files. Findings go to stderr, and errors among them end the command with 1."""
    resources = written(judging)
    node, assumed = node_for(judging, resources, given)
    ruleset = compiled(resources, node)
    way = passage(judging, ruleset, given)
    if way.hook is None and node is not None:
        node, ruleset, assumed = None, compile(resources, None).ruleset, ()  # its findings were told
    if way.hook is not None:
        tell_of_lost_hosts(judging, ruleset)
    return Scene(node, ruleset, present(judging, ruleset), way, assumed)


def enforced(path: str, given: Given) -> Scene:
    """Of the daemon behind this socket. Raises Unreachable."""
    held = held_by(path)
    ruleset = held.ruleset
    judging = Judging((), ruleset.node, cluster=False, interfaces=held.interfaces)
    way = passage(judging, ruleset, given)
    if way.hook is None:
        sides = f"neither {format_address(given.src)} nor {format_address(given.dst)} belongs to this node"
        raise click.UsageError(f"--live: {sides}: say where it passes with --hook, --in and --out")
    return Scene(ruleset.node, ruleset, held.interfaces, way, (), held.revision)


def held_by(path: str) -> Enforcement:
    """What the daemon enforces. Raises Unreachable."""
    answer = request(path, "/enforcement")
    if not answer:
        raise Unreachable(path, "it enforces nothing yet", hint="`calicod status --wait 10` waits for it")
    try:
        return decode(answer)
    except msgspec.MsgspecError as error:
        why = f"its answer is of another version than this command: {error}"
        raise Unreachable(path, why, hint="restart it after an upgrade: `systemctl restart calicod`") from error
