"""The socket pairs between the processes: whole messages, in order, never waited for.

Law: sending never blocks. What does not fit into the socket's buffer is dropped by the sender, who is told so and
counts it. A pair outlives the processes at its ends: the keeper holds both, so a successor finds what was sent to its
predecessor.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Generic, TypeVar

import msgspec

from calicod.model.record import FromKeeper, FromWorker, ToKeeper, ToWorker

MAX_DATAGRAM = 65536
"""Bytes of one message; a longer batch is sent in parts."""
BUFFER_BYTES = 4 << 20
"""What a pair may hold in each direction: some 40,000 records while a supervisor is replaced."""

SO_SNDBUFFORCE = 32
"""Of asm-generic/socket.h; Python does not name it."""

Sent = TypeVar("Sent")
Received = TypeVar("Received")

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode


class Channel(Generic[Sent, Received]):
    """One end of a pair; `decoder` is for the union of what comes from the other end."""

    def __init__(self, sock: socket.socket, decoder: msgspec.msgpack.Decoder[Received]) -> None:
        self.socket = sock
        self._decoder = decoder

    def fileno(self) -> int:
        """For `poll` and asyncio's `add_reader`."""
        return self.socket.fileno()

    def send(self, message: Sent) -> bool:
        """Whether the message is on its way; False: the buffer is full or the message too long, and it is gone."""
        return self.send_encoded(encode(message))

    def send_encoded(self, data: bytes) -> bool:
        """As `send`, for a message that is encoded already."""
        if len(data) > MAX_DATAGRAM:
            return False
        with suppress(OSError):  # EAGAIN, ENOBUFS: full; EPIPE: the other end is gone with the keeper
            return self.socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) == len(data)
        return False

    def receive(self) -> Received | None:
        """The next message, or None when none waits. Raises msgspec.DecodeError, and EOFError when the pair is gone."""
        try:
            data = self.socket.recv(MAX_DATAGRAM, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except ConnectionResetError as error:  # gone, with messages of ours that it had not read
            raise EOFError from error
        if not data:
            raise EOFError
        return self._decoder.decode(data)

    def messages(self) -> Iterator[Received]:
        """Every message that waits now."""
        while (message := self.receive()) is not None:
            yield message

    def close(self) -> None:
        """Closes this end, in this process."""
        self.socket.close()


WorkerEnd = Channel[FromWorker, ToWorker]
SupervisorEnd = Channel[ToWorker, FromWorker]
KeeperEnd = Channel[FromKeeper, ToKeeper]
ControlEnd = Channel[ToKeeper, FromKeeper]
End = WorkerEnd | SupervisorEnd | KeeperEnd | ControlEnd


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that keep message boundaries, with room for a supervisor's absence."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
        with suppress(PermissionError):  # without CAP_NET_ADMIN the buffer keeps the system's size
            end.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES)
    return ends


def worker_pair() -> tuple[WorkerEnd, SupervisorEnd]:
    """A worker's end and the supervisor's end of a new pair."""
    ours, theirs = pair()
    return (
        Channel(ours, msgspec.msgpack.Decoder(ToWorker)),
        Channel(theirs, msgspec.msgpack.Decoder(FromWorker)),
    )


def keeper_pair() -> tuple[KeeperEnd, ControlEnd]:
    """The keeper's end and the supervisor's end of a new pair."""
    ours, theirs = pair()
    return (
        Channel(ours, msgspec.msgpack.Decoder(ToKeeper)),
        Channel(theirs, msgspec.msgpack.Decoder(FromKeeper)),
    )
