"""Policies that are rewritten over and over, and how long new flows wait meanwhile."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from tests.netns.node import Node, address
from tests.netns.running import Running
from tests.netns.world import inside

POLICIES = 10_000
PORT, CLOSED = 4090, 4080
"""Where datagrams go, and the port that the newest version of the policies closes, plus its number."""
HEAD = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"


def many(number: int) -> str:
    """So many policies; the last of them closes a port of the workloads."""
    one = "{}metadata: {{name: p{}}}\nspec: {{order: 0, selector: \"n == '{}'\", ingress: [{{action: Deny}}]}}\n"
    text = [one.format(HEAD, n, n) for n in range(POLICIES - 1)]
    rule = f"{{action: Deny, protocol: UDP, destination: {{ports: [{CLOSED + number}]}}}}"
    text.append(
        f"{HEAD}metadata: {{name: last}}\nspec: {{order: 0, selector: \"role == 'work'\", ingress: [{rule}]}}\n"
    )
    return "---\n".join(text)


@contextlib.contextmanager
def rewriting(daemon: Running) -> Iterator[list[int]]:
    """Each second another version; their numbers."""
    over, written = threading.Event(), list[int]()

    def rewrite() -> None:
        while not over.wait(1.0):
            written.append(len(written) + 1)
            daemon.write(many=many(written[-1]))

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        yield written
    finally:
        over.set()
        writer.join()


def latency(router: Node, seconds: float) -> float:
    """The 99th percentile of the time that a new flow's first datagram takes."""
    took = []
    with (
        router.world.socket(router.space("w1"), socket.AF_INET, socket.SOCK_DGRAM) as server,
        inside(router.space("ext")),
    ):
        server.bind(("", PORT))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                began = time.perf_counter()
                sender.sendto(b"x", (address("w1", 4), PORT))
                server.recv(10)
                took.append(time.perf_counter() - began)
            time.sleep(0.002)
    return sorted(took)[int(len(took) * 0.99)]
