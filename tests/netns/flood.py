"""New flows without a pause, to what is allowed and to what is not: datagrams, echo requests, connections.

Law: every flow has a name that travels in it; what arrives is known by its name, where it arrived and when.
"""

import errno
import re
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from tests.netns.node import FAMILIES, Node
from tests.netns.world import inside

ALLOWED, FORBIDDEN = 3000, 4000
"""Ports of datagrams; those of connections are one higher. Of echo requests code 0 is allowed, code 1 is not."""
SERVERS = ("w1", "node")
ECHO = {4: 8, 6: 128}
ICMP = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
NAME = re.compile(rb"<((?:udp|icmp) [^<>]+)>")
PAUSE = 0.004
"""Seconds between two pairs of datagrams; each fifth time there is a pair of the others too."""
SYN_SECONDS = 8.0
"""A connection attempt that had no answer by then is given up: SYNs are repeated after 1, 3 and 7 seconds."""


class Flood:
    """From `ext` to workload and node, in both families. `sent` and `arrived` are times by name.

    `reused`: flows from a port that a former one had: while conntrack knows that one, they are no new flows.
    """

    def __init__(self, router: Node) -> None:
        self.router = router
        self.sent: dict[bytes, float] = {}
        self.arrived: dict[bytes, float] = {}
        self.reused: set[bytes] = set()
        self.forbidden: list[bytes] = []
        self.strange: list[bytes] = []
        self._number = 0
        self._ports: set[tuple[object, ...]] = set()
        self._open = True
        self._kept: deque[socket.socket] = deque()
        self._calling: dict[socket.socket, bytes] = {}
        self._sockets: list[socket.socket] = []
        jobs = [self._send]
        for server in SERVERS:
            for family in FAMILIES:
                jobs += self._serve(server, family)
        self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]
        for thread in self._threads:
            thread.start()

    def _serve(self, server: str, family: int) -> Iterable[Callable[[], None]]:
        """Whoever takes what arrives at one server."""
        space, world = self.router.space(server), self.router.world
        echoes = world.socket(space, FAMILIES[family], socket.SOCK_RAW, ICMP[family])
        yield lambda: self._receive(echoes, f"icmp {server} {family}")
        for port in (ALLOWED, FORBIDDEN):
            datagrams = world.socket(space, FAMILIES[family], socket.SOCK_DGRAM)
            listener = world.socket(space, FAMILIES[family], socket.SOCK_STREAM)
            for made, number in ((datagrams, port), (listener, port + 1)):
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == 6:
                    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                made.bind(("", number))
            listener.listen(1024)
            yield lambda d=datagrams, p=port: self._receive(d, f"udp {server} {family} {p}")
            yield lambda l=listener: self._accept(l)
            self._sockets += (datagrams, listener)
        self._sockets.append(echoes)

    def _receive(self, receiver: socket.socket, expected: str) -> None:
        receiver.settimeout(0.2)
        while self._open:
            try:
                data = receiver.recv(500)
            except TimeoutError:
                continue
            found = NAME.search(data)
            if found is None or (found[1].startswith(b"icmp") and data[found.start() - 8] not in ECHO.values()):
                continue  # a neighbour's question, or an answer
            name = found[1]
            if b"forbidden" in name:
                self.forbidden.append(name)
            elif name in self.arrived or not name.startswith(expected.encode()):
                self.strange.append(name)
            else:
                self.arrived[name] = time.monotonic()

    def _accept(self, listener: socket.socket) -> None:
        listener.settimeout(0.2)
        while self._open:
            with suppress(TimeoutError, ConnectionError):
                listener.accept()[0].close()

    def _send(self) -> None:
        targets = [(server, family) for server in SERVERS for family in FAMILIES]
        with inside(self.router.space("ext")):
            echoes = {family: socket.socket(FAMILIES[family], socket.SOCK_RAW, ICMP[family]) for family in FAMILIES}
            turn = 0
            while self._open:
                server, family = targets[turn % len(targets)]
                turn += 1
                for verdict, port in (("allowed", ALLOWED), ("forbidden", FORBIDDEN)):
                    self._datagram(server, family, verdict, port)
                    if turn % 5 == 0:
                        self._echo(echoes[family], server, family, verdict)
                        self._call(server, family, verdict, port + 1)
                self._look()
                while len(self._kept) > 400:
                    self._kept.popleft().close()
                time.sleep(PAUSE)
        for made in (*self._kept, *self._calling, *echoes.values()):
            made.close()

    def _name(self, *words: object) -> bytes:
        self._number += 1
        name = " ".join(map(str, (*words, self._number))).encode()
        self.sent[name] = time.monotonic()
        return name

    def _datagram(self, server: str, family: int, verdict: str, port: int) -> None:
        sender = socket.socket(FAMILIES[family], socket.SOCK_DGRAM)
        name = self._name("udp", server, family, port, verdict)
        sender.sendto(b"<%s>" % name, (self.router.peer("ext", server, family), port))
        self._compare(name, sender, server, family, port)
        self._kept.append(sender)

    def _compare(self, name: bytes, sender: socket.socket, *target: object) -> None:
        flow = (*target, sender.getsockname()[1])
        if flow in self._ports:
            self.reused.add(name)
        self._ports.add(flow)

    def _echo(self, sender: socket.socket, server: str, family: int, verdict: str) -> None:
        name = self._name("icmp", server, family, verdict)
        head = struct.pack("!BBHHH", ECHO[family], verdict == "forbidden", 0, self._number & 0xFFFF, 1)
        message = head + b"<%s>" % name
        if family == 4:
            message = message[:2] + checksum(message) + message[4:]
        sender.sendto(message, (self.router.peer("ext", server, family), 0))

    def _call(self, server: str, family: int, verdict: str, port: int) -> None:
        caller = socket.socket(FAMILIES[family], socket.SOCK_STREAM)
        caller.setblocking(False)
        name = self._name("tcp", server, family, verdict)
        if caller.connect_ex((self.router.peer("ext", server, family), port)) in {0, errno.EINPROGRESS}:
            self._compare(name, caller, server, family, port)
            self._calling[caller] = name

    def _look(self) -> None:
        """Which of those that call were answered, or have waited long enough."""
        now = time.monotonic()
        _, ready, _ = select.select([], list(self._calling), [], 0)
        for caller in ready:
            name = self._calling.pop(caller)
            if not caller.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                if b"forbidden" in name:
                    self.forbidden.append(name)
                self.arrived[name] = now
            caller.close()
        for caller, name in list(self._calling.items())[:20]:
            if now - self.sent[name] > SYN_SECONDS:
                self._calling.pop(caller).strip()
                caller.close()

    def stop(self) -> None:
        """Nothing is sent any more; what is on its way arrives. May be called again."""
        time.sleep(0.5)
        self._open = False
        for thread in self._threads:
            thread.join(2)
        for made in self._sockets:
            made.close()

    def allowed(self, until: float) -> list[bytes]:
        """What was sent before then and may arrive."""
        return [name for name, at in list(self.sent.items()) if b" allowed " in name and at < until]

    def working_again(self, after: float) -> float:
        """Seconds until something new arrived that was sent after that moment."""
        new = ((name, at) for name, at in list(self.arrived.items()) if name not in self.reused)
        times = [at for name, at in new if self.sent[name] >= after]
        return min(times, default=float("inf")) - after


def checksum(data: bytes) -> bytes:
    """The Internet's (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)
