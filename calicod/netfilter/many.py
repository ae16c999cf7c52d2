"""Many datagrams of a socket with one call of the kernel (recvmmsg, Linux 2.6.33).

Law: as many `recv`, and quicker: a call for each datagram costs more than reading it, and gives the interpreter away
each time.
"""

import ctypes
import errno
import os
import socket
import struct

AT_ONCE = 64
ROOM = 1 << 13
"""Bytes for one datagram: an event has a few hundred."""
LIBC = ctypes.CDLL(None, use_errno=True)


class Part(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Header(ctypes.Structure):
    """`struct msghdr`."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("parts", ctypes.POINTER(Part)),
        ("part_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Message(ctypes.Structure):
    """`struct mmsghdr`: also how long the datagram is."""

    _fields_ = (("header", Header), ("length", ctypes.c_uint))


LENGTHS = struct.Struct(f"{Message.length.offset}x" + f"I{ctypes.sizeof(Message) - 4}x" * (AT_ONCE - 1) + "I")
"""Of all messages; `length` is the last field but for padding."""


class Mailbox:
    """Memory for some datagrams of one socket, used again and again."""

    def __init__(self, receiver: socket.socket) -> None:
        self._receiver = receiver
        self._memory = ctypes.create_string_buffer(AT_ONCE * ROOM)
        base = ctypes.addressof(self._memory)
        self._parts = (Part * AT_ONCE)(*(Part(base + number * ROOM, ROOM) for number in range(AT_ONCE)))
        one = (Message(Header(None, 0, ctypes.pointer(part), 1)) for part in self._parts)
        self._messages = (Message * AT_ONCE)(*one)
        self._view = memoryview(self._memory)

    def receive(self) -> list[bytes]:
        """What waits, up to `AT_ONCE`; does not block. Raises OSError; a datagram that is too long is cut."""
        descriptor = self._receiver.fileno()
        count = LIBC.recvmmsg(descriptor, self._messages, AT_ONCE, socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            if number in {errno.EAGAIN, errno.EINTR}:
                return []
            raise OSError(number, os.strerror(number))
        view, lengths = self._view, LENGTHS.unpack_from(self._messages)
        return [bytes(view[at : at + lengths[n]]) for n, at in enumerate(range(0, count * ROOM, ROOM))]
