"""Policies that are rewritten over and over, and how long new flows wait meanwhile.

Law: what rewrites is a process of its own and has its texts ready; what measures sends at fixed times, whatever became
of what it sent before. A flow is never left out: one that got no verdict waited for ever.
"""

import contextlib
import itertools
import math
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from tests.netns.node import Node, address
from tests.netns.running import Running
from tests.netns.world import inside

POLICIES = 10_000
PORT, CLOSED = 4090, 4080
"""Where datagrams go, and the port that the newest version of the policies closes, plus its number."""
HEAD = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
EVERY_SECONDS = 0.002
LATE_SECONDS = 2.0
"""After which a datagram is lost."""
FIRST_SOURCE, SOURCES = 10_000, 50_000
SO_TIMESTAMPNS = 35
STAMP = struct.Struct("@qq")
REWRITE = "import os, sys, time\nfor text in sys.argv[2:]:\n    time.sleep(1)\n    os.rename(text, sys.argv[1])\n"
"""A program: each second another text takes the place of a file."""

_sources = itertools.count()


def many(number: int, *, applied: bool = False) -> str:
    """So many policies; the last of them closes a port of the workloads.

    `applied`: they are the workloads' own and allow what nobody sends; otherwise they select nothing.
    """
    selector, rule = "n == '{0}'", "{{action: Deny}}"
    if applied:
        selector, rule = "role == 'work'", "{{action: Allow, protocol: TCP, destination: {{ports: [2{0:04}]}}}}"
    one = f'{HEAD}metadata: {{{{name: p{{0}}}}}}\nspec: {{{{order: 0, selector: "{selector}", ingress: [{rule}]}}}}\n'
    text = [one.format(n) for n in range(POLICIES - 1)]
    rule = f"{{action: Deny, protocol: UDP, destination: {{ports: [{CLOSED + number}]}}}}"
    text.append(
        f"{HEAD}metadata: {{name: last}}\nspec: {{order: 0, selector: \"role == 'work'\", ingress: [{rule}]}}\n"
    )
    return "---\n".join(text)


@contextlib.contextmanager
def rewriting(daemon: Running, seconds: float, *, applied: bool = False) -> Iterator[Callable[[], int]]:
    """Each second another version, for so long; how many there were. The first is there when the measuring begins."""
    folder = daemon.folder / "versions"
    folder.mkdir()
    versions = [folder / f"{number}" for number in range(1, math.ceil(seconds) + 1)]
    for number, version in enumerate(versions, 1):
        version.write_text(many(number, applied=applied))
    target = daemon.policies / "many.yaml"
    writer = subprocess.Popen([sys.executable, "-S", "-c", REWRITE, str(target), *map(str, versions)])
    try:
        yield lambda: sum(not version.exists() for version in versions)
    finally:
        writer.kill()
        writer.wait()
        for version in versions:
            version.unlink(missing_ok=True)
        folder.rmdir()


def latencies(router: Node, seconds: float) -> list[float]:
    """How long the first datagram of a new flow takes, one each 2 ms, in seconds, the shortest first; `inf`: lost.

    It carries when it was sent; when it arrived is told by the kernel, which is not held up when this process is.
    """
    found, sent = list[float](), 0
    with (
        router.world.socket(router.space("w1"), socket.AF_INET, socket.SOCK_DGRAM) as server,
        inside(router.space("ext")),
    ):
        server.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        server.bind(("", PORT))
        begin = time.monotonic()
        while (due := begin + sent * EVERY_SECONDS) < begin + seconds:
            server.settimeout(max(1e-6, due - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                found.append(arrival(server))
                continue
            send(address("w1", 4))
            sent += 1
        server.settimeout(LATE_SECONDS)
        with contextlib.suppress(TimeoutError):
            while len(found) < sent:
                found.append(arrival(server))
    return [*sorted(found), *[math.inf] * (sent - len(found))]


def send(to: str) -> None:
    """One datagram from a port that no flow has had for long."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("", FIRST_SOURCE + next(_sources) % SOURCES))
        sender.sendto(time.time_ns().to_bytes(8), (to, PORT))


def arrival(server: socket.socket) -> float:
    """Seconds that the next datagram took. Raises TimeoutError."""
    data, ancillary, _, _ = server.recvmsg(8, 64)
    ((_, _, stamp),) = ancillary
    seconds, nanoseconds = STAMP.unpack(stamp)
    return (seconds * 10**9 + nanoseconds - int.from_bytes(data)) / 1e9


def percentile(sorted_values: list[float], share: float) -> float:
    """The value that so large a share of them does not exceed.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.0
    """
    return sorted_values[max(0, math.ceil(len(sorted_values) * share) - 1)]
