"""One first packet of each kind, from a real socket of one host to another, and which of them arrived.

Law: an attempt carries its name; TCP has arrived when the connection is up, everything else when somebody read it.
"""

import contextlib
import errno
import select
import socket
import struct
import time
from collections.abc import Iterable
from typing import Self

import msgspec
from scapy.layers.sctp import SCTP
from scapy.packet import Raw

from tests.netns.cluster import init_chunk
from tests.netns.flood import ECHO, ICMP, checksum
from tests.netns.node import FAMILIES, Node
from tests.netns.patience import seconds
from tests.netns.world import inside

KINDS = ("tcp", "udp", "sctp", "fragment", "extension", "icmp")
SCTP_NUMBER = 132
LONG = 4000
"""Bytes of a datagram that no link carries whole."""
IP_OPTIONS, NO_OPERATIONS = 4, b"\x01\x01\x01\x01"
IPV6_HOPOPTS, IPV6_DSTOPTS, PADDING = 54, 59, bytes([0, 0, 1, 4, 0, 0, 0, 0])
SO_RCVBUFFORCE = 33
PATIENCE = seconds(3.0)
QUIET = seconds(0.15)
"""Seconds in which nothing more arrives."""


class Attempt(msgspec.Struct, frozen=True):
    """`port`: of ICMP, the code."""

    name: str
    kind: str
    family: int
    client: str
    server: str
    target: str
    port: int


class Field:
    """The sockets of a handful of attempts."""

    def __init__(self, router: Node, attempts: Iterable[Attempt]) -> None:
        self.router = router
        self.attempts = tuple(attempts)
        self._stack = contextlib.ExitStack()
        self._callers: dict[socket.socket, str] = {}
        self._ears = [self._ear(attempt) for attempt in self.attempts]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self, host: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
        made = self.router.world.socket(self.router.space(host), FAMILIES[family], kind, protocol)
        return self._stack.enter_context(made)

    def _ear(self, attempt: Attempt) -> socket.socket:
        server, family = attempt.server, attempt.family
        match attempt.kind:
            case "tcp":
                made = self._open(server, family, socket.SOCK_STREAM)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind(("", attempt.port))
                made.listen()
            case "icmp":
                made = self._open(server, family, socket.SOCK_RAW, ICMP[family])
            case "sctp":
                made = self._open(server, family, socket.SOCK_RAW, SCTP_NUMBER)
            case _:
                made = self._open(server, family, socket.SOCK_DGRAM)
                made.bind(("", attempt.port))
        made.setblocking(False)
        return made

    def arrived(self, awaited: Iterable[str]) -> set[str]:
        """The names of those that arrived, once the awaited ones did and it is quiet."""
        for number, attempt in enumerate(self.attempts, 1):
            self._send(attempt, number)
        found: set[str] = set()
        deadline = time.monotonic() + PATIENCE
        while not found >= set(awaited) and time.monotonic() < deadline:
            time.sleep(0.005)
            found |= self._heard()
        time.sleep(QUIET)
        return found | self._heard()

    def _send(self, attempt: Attempt, number: int) -> None:
        token = f"<{attempt.name}>".encode()
        to = (attempt.target, attempt.port)
        match attempt.kind:
            case "tcp":
                caller = self._open(attempt.client, attempt.family, socket.SOCK_STREAM)
                caller.setblocking(False)
                if caller.connect_ex(to) in {0, errno.EINPROGRESS}:
                    self._callers[caller] = attempt.name
            case "icmp":
                message = struct.pack("!BBHHH", ECHO[attempt.family], attempt.port, 0, number, 1) + token
                if attempt.family == 4:
                    message = message[:2] + checksum(message) + message[4:]
                raw = self._open(attempt.client, attempt.family, socket.SOCK_RAW, ICMP[attempt.family])
                raw.sendto(message, (attempt.target, 0))
            case "sctp":
                raw = self._open(attempt.client, attempt.family, socket.SOCK_RAW, SCTP_NUMBER)
                packet = SCTP(sport=5000 + number, dport=attempt.port) / Raw(init_chunk(attempt.name))
                raw.sendto(bytes(packet), (attempt.target, 0))
            case kind:
                sender = self._open(attempt.client, attempt.family, socket.SOCK_DGRAM)
                if kind == "extension":
                    lengthen(sender, attempt.family)
                with inside(self.router.space(attempt.client)), contextlib.suppress(PermissionError):
                    sender.sendto(token + bytes(LONG) if kind == "fragment" else token, to)

    def _heard(self) -> set[str]:
        found = set()
        for attempt, ear in zip(self.attempts, self._ears, strict=True):
            with contextlib.suppress(BlockingIOError):
                while attempt.kind != "tcp":
                    data = ear.recv(1 << 14)
                    at = data.rfind(b"<")
                    if at >= 0 and not (attempt.kind == "icmp" and data[at - 8] != ECHO[attempt.family]):
                        found.add(data[at:].partition(b">")[0].lstrip(b"<").decode())
        _, ready, _ = select.select([], list(self._callers), [], 0)
        for caller in ready:
            name = self._callers.pop(caller)
            if not caller.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                found.add(name)
        return found


def lengthen(sender: socket.socket, family: int) -> None:
    """Options in every header that it sends; of IPv6 both kinds of extension headers that hold some."""
    if family == 4:
        sender.setsockopt(socket.IPPROTO_IP, IP_OPTIONS, NO_OPERATIONS)
        return
    for option in (IPV6_HOPOPTS, IPV6_DSTOPTS):
        sender.setsockopt(socket.IPPROTO_IPV6, option, PADDING)
