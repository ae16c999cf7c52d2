"""Network namespaces: made, filled and removed by `ip`, in few processes.

Law: every command names the namespace that it works in; nothing here can touch the one that the demo was started in.
"""

import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from calicod.errors import CalicodError

NAMESPACES = Path("/run/netns")
IPV6 = Path("/proc/sys/net/ipv6")
IPV6_SCOPES = ("all", "default")
TIMEOUT = 30.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that ask to end."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Those signals wait, in this process, which has no other thread, and in programs that are begun meanwhile.

    A program whose caller is torn away goes on by itself: what it makes then would be there after everything was
    tidied up.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(*command: str, text: str = "") -> str:
    """Runs a program to its end; returns what it printed. Raises CalicodError."""
    try:
        with undisturbed():
            done = subprocess.run(  # noqa: S603  constants and names of our own
                command, input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise failure(f"{command[0]}: {error}") from error
    if done.returncode:
        raise failure(f"{' '.join(command)}: {done.stderr.strip() or f'exit {done.returncode}'}")
    return done.stdout


def failure(message: str) -> CalicodError:
    """The error for namespaces that cannot be made or used."""
    hint = "the demo needs network namespaces, veth pairs and `ip` (package iproute2); a container must be privileged"
    return CalicodError("K082", message, hint=hint, exit_code=4)


def namespaces() -> tuple[str, ...]:
    """The names of all namespaces that have one."""
    return tuple(sorted(path.name for path in NAMESPACES.iterdir())) if NAMESPACES.is_dir() else ()


def add_namespace(name: str) -> None:
    """A new namespace with `lo` up, whose addresses are usable at once (no duplicate address detection)."""
    run("ip", "netns", "add", name)
    if IPV6.is_dir():  # not in every kernel; and a new namespace may inherit that it is switched off
        conf = "net/ipv6/conf"
        switches = [f"{conf}/{which}/{value}" for value in ("disable_ipv6=0", "accept_dad=0") for which in IPV6_SCOPES]
        settings(name, switches)
    run("ip", "-n", name, "link", "set", "lo", "up")


def remove_namespace(name: str) -> None:
    """Removes it, and the interfaces in it; one that is not there is no error."""
    with undisturbed():
        subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=TIMEOUT, check=False)  # noqa: S603, S607  a name of our own, and `ip` from PATH


def batch(namespace: str, lines: Iterable[str]) -> None:
    """Several `ip` commands in the namespace, in one process."""
    run("ip", "-n", namespace, "-batch", "-", text="".join(f"{line}\n" for line in lines))


def settings(namespace: str, values: Iterable[str]) -> None:
    """Sysctls as `path=value`, the path below /proc/sys, in one process."""
    pairs = (value.split("=") for value in values)
    run(*inside(namespace, ("sh", "-e")), text="".join(f"echo {value} >/proc/sys/{path}\n" for path, value in pairs))


def inside(namespace: str, command: Sequence[str]) -> tuple[str, ...]:
    """The command as one that runs in the namespace."""
    return ("ip", "netns", "exec", namespace, *command)
