"""Network namespaces with links, addresses and sockets: small worlds in which real packets travel.

Law: nothing here touches the namespace that the tests were started in; whatever a world made, `close` removes.
"""

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.netns.patience import seconds

CLONE_NEWNET = 0x40000000
TIMEOUT = seconds(30.0)
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command: str, check: bool = True, text: str = "") -> str:
    """Runs a program and returns what it printed; its error output is in the exception."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _setns(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {path}")
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread, and the programs and sockets that it makes, in the namespace; outside again at the end."""
    home = f"/proc/self/task/{os.gettid()}/ns/net" if hasattr(os, "gettid") else "/proc/thread-self/ns/net"
    former = os.open(home, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(f"/var/run/netns/{namespace}")
        try:
            yield
        finally:
            if _libc.setns(former, CLONE_NEWNET):
                os._exit(70)  # to go on in a foreign namespace would touch what is not ours
    finally:
        os.close(former)


class World:
    """Namespaces whose names begin with a prefix of the test's own."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.namespaces: list[str] = []

    def add(self, name: str) -> str:
        """A new namespace with lo up; returns its full name. One that a killed test left behind is replaced."""
        full = f"{self.prefix}{name}"
        run("ip", "netns", "del", full, check=False)
        run("ip", "netns", "add", full)
        self.namespaces.append(full)
        self.sysctl(full, "net/ipv6/conf/default/accept_dad", 0)
        run("ip", "-n", full, "link", "set", "lo", "up")
        return full

    def link(self, left: tuple[str, str], right: tuple[str, str]) -> None:
        """A pair of interfaces (namespace, name), both up."""
        (left_space, left_name), (right_space, right_name) = left, right
        run(
            *("ip", "-n", left_space, "link", "add", left_name, "type", "veth"),
            *("peer", "name", right_name, "netns", right_space),
        )
        run("ip", "-n", left_space, "link", "set", left_name, "up")
        run("ip", "-n", right_space, "link", "set", right_name, "up")

    def address(self, namespace: str, interface: str, *addresses: str) -> None:
        """Addresses with their prefix lengths; usable at once (no duplicate address detection)."""
        for address in addresses:
            quick = ("nodad",) if ":" in address else ()
            run("ip", "-n", namespace, "address", "add", address, "dev", interface, *quick)

    def route(self, namespace: str, *words: str) -> None:
        """`ip route add …`, of the family that the words show."""
        family = ("-6",) if any(":" in word for word in words) else ()
        run("ip", "-n", namespace, *family, "route", "add", *words)

    def sysctl(self, namespace: str, name: str, value: object) -> None:
        """A sysctl of the namespace, by its path below /proc/sys."""
        with inside(namespace):
            Path("/proc/sys", name).write_text(str(value))

    def forwarding(self, namespace: str) -> None:
        """Makes the namespace a router of both families."""
        self.sysctl(namespace, "net/ipv4/ip_forward", 1)
        self.sysctl(namespace, "net/ipv6/conf/all/forwarding", 1)

    def run(self, namespace: str, *command: str, check: bool = True, text: str = "") -> str:
        """Runs a program in the namespace."""
        return run("ip", "netns", "exec", namespace, *command, check=check, text=text)

    def socket(self, namespace: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket that lives in the namespace, with a timeout of two seconds."""
        with inside(namespace):
            made = socket.socket(family, kind, protocol)
        made.settimeout(seconds(2.0))
        return made

    def close(self) -> None:
        """Removes every namespace that was added, and with it all that is in it."""
        for namespace in self.namespaces:
            run("ip", "netns", "del", namespace, check=False)
        self.namespaces.clear()


@contextlib.contextmanager
def world(prefix: str, names: Iterable[str] = ()) -> Iterator[World]:
    """A world with these namespaces, removed at the end whatever happens."""
    made = World(prefix)
    try:
        for name in names:
            made.add(name)
        yield made
    finally:
        made.close()
