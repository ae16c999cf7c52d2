"""The command line: one plain table, each command imported only when it is called.

Law: no command's module is imported for another's sake: `calicod selector` must not pay for the daemon. What a user, a
file or the system did wrong ends in a message and a documented exit code, never in a traceback.
"""

import io
import os
import sys
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click

from calicod import __version__
from calicod.errors import CalicodError, PolicyError

COMMANDS = MappingProxyType(
    {
        "validate": "every error and warning of every resource",
        "selector": "canonical form of a selector, and whether labels match it",
        "eval": "packets in, decisions out, as JSON Lines",
        "explain": "why one packet is allowed or denied, step by step",
        "test": "policy unit tests: flows, and what must become of them",
        "schema": "JSON Schemas of the kinds, for editors",
        "run": "the daemon, in the foreground",
        "status": "is the daemon healthy, and if not, why",
        "reload": "read all sources again",
        "apply": "try a set of policy, with the way back kept open",
        "confirm": "keep the set on trial",
        "rollback": "bring back what was before the last set",
        "endpoints": "each endpoint with its interface, addresses and policies",
        "policies": "each policy with the endpoints it selects and its hits",
        "flows": "the live flows that are allowed, and by which rule",
        "events": "the event stream",
        "doctor": "can this host do it, and what would disturb it",
        "boot": "close what policy manages until the daemon judges",
        "teardown": "remove every rule, set and mark of calicod's",
        "demo": "the whole thing, in network namespaces of its own",
    }
)
FAILED = 1


class Lazy(click.Group):
    """A group that imports `calicod.cli.<name>` and takes its `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"calicod.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table itself: `--help` imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401  what click gives on and answers
        """Runs a command; what went wrong around it becomes a message and an exit code."""
        try:
            return super().main(*args, **extra)
        except CalicodError as error:
            click.echo(str(error), err=True)
            raise SystemExit(error.exit_code) from error
        except PolicyError as error:
            click.echo(str(error), err=True)
            raise SystemExit(FAILED) from error
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            click.echo(f"calicod: {place}{(error.strerror or str(error)).lower()}", err=True)
            silence()
            raise SystemExit(FAILED) from error


def silence() -> None:
    """What is still buffered for standard output has nowhere to go: Python must not try again when it exits."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # it is no file, or it is closed
        return


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="calicod")
def main() -> None:
    """A host packet filter that speaks Calico policy and says why.

    Exit: 0 done, 1 the answer is "no" or the input has errors, 2 wrong usage, 3 the daemon cannot be reached,
    4 the kernel or a permission is missing.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal of another encoding is no reason to fail
