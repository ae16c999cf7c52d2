"""A process inside a namespace that opens connections, answers them and watches what arrives.

Run as a script, by path: `python station.py`. It reads one JSON object a line on stdin and answers each with one on
stdout; it ends when stdin does, and with it every socket it made.

Law: only the standard library: it starts in 30 ms. It decides nothing: what ought to arrive is for others to know. One
thread, no waiting but in one place.

An *arrival* is `protocol source port-or-id port-or-type`, as in `tcp 192.0.2.10 40001 80` or `icmp 192.0.2.10 77 8`.
"""

import contextlib
import errno
import json
import os
import selectors
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp", 132: "sctp"}
NUMBERS = {"icmp": {4: 1, 6: 58}, "sctp": {4: 132, 6: 132}}
ICMP_NUMBERS = {1, 58}
ECHO_REQUEST = {4: 8, 6: 128}
HAS_OPTIONS = 4
"""The family whose header tells its own length."""
ETH_P_IP = {4: 0x0800, 6: 0x86DD}
SO_RCVBUFFORCE = 33
BUFFER = 1 << 22
MOST = 65535
HEADER = {4: 20, 6: 40}
PORTS = struct.Struct(">HH")
ECHO_HEADER = 8


def arrival(family: int, packet: bytes) -> str | None:
    """What an IP packet is, as text; None for what has neither ports nor an echo id."""
    if len(packet) < HEADER[family]:
        return None
    protocol, source = (packet[9], packet[12:16]) if family == HAS_OPTIONS else (packet[6], packet[8:24])
    return described(protocol, socket.inet_ntop(FAMILIES[family], source), behind_header(family, packet))


def behind_header(family: int, packet: bytes) -> bytes:
    """What an IP packet carries."""
    return packet[(packet[0] & 15) * 4 if family == HAS_OPTIONS else HEADER[family] :]


def described(protocol: int, source: str, body: bytes) -> str | None:
    """An arrival from the protocol's own header."""
    name = PROTOCOLS.get(protocol)
    if name is None or len(body) < ECHO_HEADER:
        return None
    if protocol in ICMP_NUMBERS:
        return f"icmp {source} {int.from_bytes(body[4:6])} {body[0]}"
    sport, dport = PORTS.unpack_from(body)
    return f"{name} {source} {sport} {dport}"


class Line:
    """One connection, from either side: what came over it, and whether it is up."""

    def __init__(self, sock: socket.socket, peer: tuple[Any, ...] | None = None) -> None:
        self.sock = sock
        self.peer = peer
        self.texts: list[str] = []
        self.up = False
        self.error = ""
        self.first = ""


class Station:
    """Sockets and what came of them. Each public method named in `REQUESTS` is a request."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.lines: dict[str, Line] = {}
        self.listening: dict[tuple[str, str, int], socket.socket] = {}
        self.arrivals: dict[str, int] = {}
        self.waiting = b""

    # Requests

    def watch(self, *, local: bool) -> dict[str, Any]:
        """From now on arrivals are counted: `local` by sockets (behind the host's own filter), else at the link."""
        for family, number in ETH_P_IP.items():
            if local:
                raw = socket.socket(FAMILIES[family], socket.SOCK_RAW, NUMBERS["icmp"][family])
                self._on(raw, partial(self._take_icmp, raw, family))
            else:
                raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(number))
                self._on(raw, partial(self._take_frame, raw, family))
            raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
            raw.setblocking(False)
        return {}

    def listen(self, *, protocol: str, family: int, address: str, port: int) -> dict[str, Any]:
        """Answers connections to this port from now on: each text goes back to where it came from."""
        if (protocol, address, port) in self.listening:
            return {}
        if protocol in NUMBERS:
            sock = socket.socket(FAMILIES[family], socket.SOCK_RAW, NUMBERS[protocol][family])
            self._on(sock, lambda: self._drain(sock))
        else:
            sock = socket.socket(FAMILIES[family], KINDS[protocol])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, port))
            if protocol == "tcp":
                sock.listen(256)
                self._on(sock, lambda: self._accept(sock, port))
            else:
                self._on(sock, lambda: self._datagram(sock, port))
        sock.setblocking(False)
        self.listening[protocol, address, port] = sock
        return {}

    def call(
        self, *, name: str, protocol: str, family: int, source: str, target: str, port: int, text: str
    ) -> dict[str, Any]:
        """Opens a connection and says `text`. Answers with the port it is sent from."""
        sock = socket.socket(FAMILIES[family], KINDS[protocol])
        sock.setblocking(False)
        sock.bind((source, 0))
        line = self.lines[name] = Line(sock)
        line.first = text
        failed = sock.connect_ex((target, port))
        if failed not in {0, errno.EINPROGRESS}:
            line.error = errno.errorcode.get(failed, str(failed))
            return {"port": sock.getsockname()[1], "error": line.error}
        if protocol == "udp":
            line.up = True
            self._say(line, text)
            self._on(sock, lambda: self._hear(line))
        else:
            self.selector.register(sock, selectors.EVENT_WRITE, lambda: self._connected(line))
        return {"port": sock.getsockname()[1]}

    def raw(self, *, family: int, protocol: str, source: str, target: str, data: str) -> dict[str, Any]:
        """Sends the bytes (hexadecimal) behind an IP header of the kernel's."""
        with socket.socket(FAMILIES[family], socket.SOCK_RAW, NUMBERS[protocol][family]) as sock:
            sock.bind((source, 0))
            try:
                sock.sendto(bytes.fromhex(data), (target, 0))
            except OSError as error:
                return {"error": errno.errorcode.get(error.errno or 0, str(error))}
        return {}

    def tell(self) -> dict[str, Any]:
        """Everything that is known: connections with what came over them, and arrivals."""
        lines = {name: {"up": line.up, "texts": line.texts, "error": line.error} for name, line in self.lines.items()}
        return {"lines": lines, "arrivals": self.arrivals}

    def forget(self) -> dict[str, Any]:
        """Ends every connection at once (TCP with a reset) and forgets what arrived; who listened goes on."""
        for line in self.lines.values():
            self._close(line)
        self.lines.clear()
        self.arrivals.clear()
        return {}

    # What sockets tell

    def _on(self, sock: socket.socket, action: Callable[[], None]) -> None:
        self.selector.register(sock, selectors.EVENT_READ, action)

    def _count(self, text: str | None) -> None:
        if text is not None:
            self.arrivals[text] = self.arrivals.get(text, 0) + 1

    def _take_frame(self, sock: socket.socket, family: int) -> None:
        packet, about = sock.recvfrom(MOST)
        if about[2] != socket.PACKET_OUTGOING:
            self._count(arrival(family, packet))

    def _take_icmp(self, sock: socket.socket, family: int) -> None:
        packet, about = sock.recvfrom(MOST)
        body = behind_header(family, packet) if family == HAS_OPTIONS else packet  # IPv6 sockets give no header
        self._count(described(NUMBERS["icmp"][family], about[0], body))

    def _drain(self, sock: socket.socket) -> None:
        packet, about = sock.recvfrom(MOST)
        body = behind_header(HAS_OPTIONS, packet) if sock.family == socket.AF_INET else packet
        if len(body) >= PORTS.size:
            sport, dport = PORTS.unpack_from(body)
            self.lines.setdefault(f"sctp {about[0]} {sport} {dport}", Line(sock, about)).up = True

    def _accept(self, sock: socket.socket, port: int) -> None:
        taken, peer = sock.accept()
        taken.setblocking(False)
        line = self.lines[f"tcp {peer[0]} {peer[1]} {port}"] = Line(taken)
        line.up = True
        self._on(taken, lambda: self._hear(line, echo=True))

    def _datagram(self, sock: socket.socket, port: int) -> None:
        data, peer = sock.recvfrom(MOST)
        line = self.lines.setdefault(f"udp {peer[0]} {peer[1]} {port}", Line(sock, peer))
        line.up = True
        line.texts.append(data.decode())
        self._say(line, data.decode())

    def _connected(self, line: Line) -> None:
        self.selector.unregister(line.sock)
        failed = line.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            line.error = errno.errorcode.get(failed, str(failed))
            return
        line.up = True
        self._on(line.sock, lambda: self._hear(line))
        if line.first:
            self._say(line, line.first)

    def _hear(self, line: Line, *, echo: bool = False) -> None:
        try:
            data = line.sock.recv(MOST)
        except OSError as error:
            data = b""
            line.error = errno.errorcode.get(error.errno or 0, str(error))
            if line.sock.type == socket.SOCK_DGRAM:
                return
        if not data:
            self.selector.unregister(line.sock)
            line.up = False
            line.error = line.error or "closed"
            return
        line.texts.append(data.decode())
        if echo:
            self._say(line, data.decode())

    def _say(self, line: Line, text: str) -> None:
        try:
            if line.peer is None:
                line.sock.send(text.encode())
            else:
                line.sock.sendto(text.encode(), line.peer)
        except OSError as error:
            line.error = errno.errorcode.get(error.errno or 0, str(error))

    def _close(self, line: Line) -> None:
        if line.peer is not None:  # the socket is the listener's
            return
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(line.sock)
        with contextlib.suppress(OSError):
            line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.sock.close()

    # The only place that waits

    def run(self) -> None:
        """Until stdin ends, or nobody hears what it answers."""
        stdin = sys.stdin.fileno()
        self.selector.register(stdin, selectors.EVENT_READ, None)
        while True:
            for key, _ in self.selector.select():
                if isinstance(key.fileobj, socket.socket) and key.fileobj.fileno() < 0:
                    continue  # closed by an earlier one of this round
                if key.data is not None:
                    with contextlib.suppress(BlockingIOError, ConnectionError):
                        key.data()
                elif not self._answer(os.read(stdin, 1 << 16)):
                    return

    def _answer(self, data: bytes) -> bool:
        if not data:
            return False
        *requests, self.waiting = (self.waiting + data).split(b"\n")
        told = b""
        for request in requests:
            words = json.loads(request)
            try:
                answer = REQUESTS[words.pop("do")](self, **words)
            except (OSError, KeyError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            told += json.dumps(answer).encode() + b"\n"
        try:
            while told:
                told = told[os.write(sys.stdout.fileno(), told) :]
        except BrokenPipeError:
            return False
        return True


REQUESTS: dict[str, Callable[..., dict[str, Any]]] = {
    "watch": Station.watch,
    "listen": Station.listen,
    "call": Station.call,
    "raw": Station.raw,
    "tell": Station.tell,
    "forget": Station.forget,
}

if __name__ == "__main__":
    Station().run()
