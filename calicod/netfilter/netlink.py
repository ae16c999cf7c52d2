"""A netlink socket and the shape of its messages: just enough for conntrack and for link events.

Law: what the kernel could not deliver is told (`overruns`), never ignored; nothing here knows what a message means.
"""

import ctypes
import errno
import socket
import struct
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from calicod.errors import CalicodError
from calicod.netfilter.many import Mailbox

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
SOL_NETLINK = 270
NETLINK_ADD_MEMBERSHIP = 1
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

HEADER = struct.Struct("=IHHII")
"""Length, type, flags, sequence, port."""
ATTRIBUTE = struct.Struct("=HH")
ERROR = struct.Struct("=i")
FILTER = struct.Struct("@HP")
"""`struct sock_fprog`: how many steps, and where they are."""
FILTER_STEP = struct.Struct("=HBBI")
"""`struct sock_filter`: code, how many steps to leave out if true and if false, operand."""

Step = tuple[int, int, int, int]

RECEIVE = 1 << 16
"""One read takes at most this; a message of a dump has at most 32 KiB, an event a few hundred bytes."""
EVENT_RECEIVE = 1 << 13
TIMEOUT = 5.0


class Netlink:
    """A socket in the namespace of whoever makes it. `overruns`: how often the kernel had to drop what was for us."""

    def __init__(self, protocol: int, *, groups: tuple[int, ...] = (), buffer: int = 1 << 20) -> None:
        try:
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
            self.socket.bind((0, 0))
            for group in groups:
                self.socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
        except OSError as error:
            raise CalicodError(
                "K018",
                f"the kernel gives no netlink socket of protocol {protocol}: {error}",
                hint="load nf_conntrack_netlink (`modprobe`) and give the process CAP_NET_ADMIN",
                exit_code=4,
            ) from error
        self.buffer = self._enlarge(buffer)
        self.overruns = 0
        self._sequence = 0
        self._mailbox: Mailbox | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the socket back."""
        self.socket.close()

    def fileno(self) -> int:
        """For an event loop's `add_reader`."""
        return self.socket.fileno()

    def attach(self, steps: Sequence[Step]) -> None:
        """The kernel gives this socket only what the filter (classic BPF) lets pass."""
        program = b"".join(FILTER_STEP.pack(*step) for step in steps)
        memory = ctypes.create_string_buffer(program, len(program))  # read by the kernel before setsockopt returns
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, FILTER.pack(len(steps), ctypes.addressof(memory)))

    def receive(self, size: int = EVENT_RECEIVE) -> bytes | None:
        """One datagram of a socket that does not block; None when there is none. An overrun is counted."""
        while True:
            try:
                return self.socket.recv(size, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overruns += 1

    def receive_many(self) -> list[bytes]:
        """Some datagrams, as many `receive`; none: nothing waits."""
        if self._mailbox is None:
            self._mailbox = Mailbox(self.socket)
        while True:
            try:
                return self._mailbox.receive()
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overruns += 1

    def request(self, kind: int, body: bytes, flags: int) -> Iterator[tuple[int, bytes]]:
        """Sends one message and yields each answer as (type, body). Raises OSError as the kernel answers."""
        sequence = self.send(kind, body, flags | NLM_F_REQUEST)
        self.socket.settimeout(TIMEOUT)
        while True:
            for message, number, content in messages(self.socket.recv(RECEIVE)):
                if number != sequence:
                    continue
                if message == NLMSG_DONE:
                    return
                if message == NLMSG_ERROR:
                    fail(content)
                    return
                yield message, content
                if not flags & (NLM_F_DUMP | NLM_F_ACK):
                    return

    def send(self, kind: int, body: bytes, flags: int) -> int:
        """Sends one message; returns its sequence number."""
        message, sequence = self.message(kind, body, flags)
        self.socket.send(message)
        return sequence

    def message(self, kind: int, body: bytes, flags: int) -> tuple[bytes, int]:
        """A message with the next sequence number, and that number."""
        self._sequence += 1
        return HEADER.pack(HEADER.size + len(body), kind, flags, self._sequence, 0) + body, self._sequence

    def _enlarge(self, size: int) -> int:
        """As large as asked for, whatever net.core.rmem_max; as large as may be, without CAP_NET_ADMIN."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
        except PermissionError:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def fail(content: bytes) -> None:
    """Raises the OSError that an NLMSG_ERROR carries; 0 is an acknowledgement."""
    number = -ERROR.unpack_from(content)[0]
    if number:
        raise OSError(number, errno.errorcode.get(number, str(number)))


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, sequence, body) of each message of a datagram."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, _, sequence, _ = HEADER.unpack_from(data, offset)
        if length < HEADER.size:
            return
        yield kind, sequence, data[offset + HEADER.size : offset + length]
        offset += (length + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    length = ATTRIBUTE.size + len(value)
    return ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes of a body by type; what is cut short is left out."""
    found = {}
    offset = 0
    while offset + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, offset)
        if length < ATTRIBUTE.size or offset + length > len(data):
            break
        found[kind & NLA_TYPE_MASK] = data[offset + ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found
