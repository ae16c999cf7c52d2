"""A queue of the kernel (NFQUEUE).

Law: exactly one verdict for each packet, also when the deciding function raises. The queue lives as long as the process
that bound it, whoever reads it: a reader that dies leaves everything that waits to its successor, who drops what the
dead had read. Nothing else imports netfilterqueue.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

from netfilterqueue import NetfilterQueue, Packet

from calicod.errors import CalicodError
from calicod.intercept import netlink
from calicod.intercept.counters import available, read_counters
from calicod.intercept.interceptor import Decide
from calicod.intercept.owner import find_owner
from calicod.model.marks import MarkLayout
from calicod.model.verdict import Verdict

COPY_BYTES = 1024
"""Of each packet: enough for the headers that `packet.decode` walks."""
BYTES_PER_PACKET = 2560
"""What a waiting packet takes up in the socket's buffer at most, with the kernel's own bookkeeping (6.18: 2,304)."""
SOCKET_BYTES = 1 << 17
PEEK_BYTES = 64
TOGETHER = 4
"""Verdicts given in one write, at most: so many packets are lost with a reader that dies (ADR 0015)."""
NETLINK_NETFILTER = 12
SOL_NETLINK, NETLINK_NO_ENOBUFS = 270, 5
SO_RCVBUFFORCE = 33
LEAVING = frozenset({3, 4})
"""Netfilter's numbers of OUTPUT and POSTROUTING."""
VERSIONS: Mapping[int, int] = MappingProxyType({0x0800: 4, 0x86DD: 6})
"""Ethernet's protocol number -> IP version of its packets."""
ACCEPT, REJECT, SPARE = Verdict.ACCEPT, Verdict.REJECT, Verdict.SPARE

_bound: list[NetfilterQueue] = []
"""INVARIANT: the binding's destructor unbinds the queue, so none that is bound may be collected in a forked process."""


class _Enough(Exception):  # noqa: N818  not an error: the only way out of the binding's loop
    """The budget is used up."""


class Queue:
    """Queue `number` with room for `length` packets, bound to this process. Raises CalicodError.

    `fail_open`: packets for which there is no room pass unjudged (and uncounted: the kernel has no counter for them).
    """

    def __init__(self, number: int, length: int, marks: MarkLayout, *, fail_open: bool = False) -> None:
        self.number = number
        self._foreign = 0xFFFFFFFF & ~marks.packet_mask
        self._accept = marks.accept
        self._reject = marks.reject
        self._spare = marks.spare
        self._decide: Decide | None = None
        self._left = 0
        self._answers = netlink.Answers(number)
        self._unsent: list[bytes] = []
        self._flags = netlink.GSO | (netlink.FAIL_OPEN if fail_open else 0)
        require()
        try:
            self._queue = NetfilterQueue()
            self._queue.bind(number, self._take, length, range=COPY_BYTES, sock_len=SOCKET_BYTES)
            self._prepare(length)
        except OSError as error:
            raise _refused(number, error) from error
        _bound.append(self._queue)

    def fileno(self) -> int:
        """The netlink socket."""
        descriptor: int = self._queue.get_fd()
        return descriptor

    def read(self, decide: Decide, budget: int) -> int:
        """Judges what waits, `budget` packets at most; raises what `decide` raises, after dropping that packet."""
        self._decide = decide
        self._left = budget
        try:
            self._queue.run(block=False)
        except _Enough:
            return budget
        finally:
            self._answer()
        return budget - self._left

    def _take(self, packet: Packet) -> None:
        decide, verdict, mark, unsent = self._decide, None, packet.mark, self._unsent
        if decide is None:  # came up while the queue was being bound: it queues again, behind what waits
            packet.repeat()
            return
        try:
            hook, payload = packet.hook, packet.get_payload()
            if hook in LEAVING and not of_stack(payload, packet.hw_protocol):
                payload = b""
            verdict = decide(payload, mark, hook, packet.indev, packet.outdev)
        finally:
            if verdict is ACCEPT:
                unsent.append(self._answers.repeat(packet.id, mark & self._foreign | self._accept))
            elif verdict is REJECT:
                unsent.append(self._answers.repeat(packet.id, mark & self._foreign | self._reject))
            elif verdict is SPARE:
                unsent.append(self._answers.repeat(packet.id, mark & self._foreign | self._spare))
            else:
                unsent.append(self._answers.drop(packet.id))
        if len(unsent) >= TOGETHER:
            self._answer()
        self._left -= 1
        if not self._left:
            raise _Enough

    def _answer(self) -> None:
        """Gives the verdicts that were found. What fails here ends the reader: its successor drops what it had read."""
        if self._unsent:
            messages = b"".join(self._unsent)
            self._unsent.clear()
            os.write(self._queue.get_fd(), messages)

    def release(self) -> int:
        """Drops what a dead reader had read and not answered.

        The last id is read *before* the look at what waits, and the configuration message in between waits for the
        queue's lock: a packet with an id up to the last one is in the socket by then, or was read by the dead.
        """
        known = read_counters().get(self.number)
        last = known.id_sequence if known else 0
        self._configure()
        first = self._first_waiting()
        if first is not None:
            last = first - 1 & 0xFFFFFFFF
        if last:
            self._send(netlink.drop_message(self.number, last))
        return last

    def leave(self) -> None:
        """In a forked process that does not read this queue: lets go of it without unbinding it."""
        os.close(self.fileno())

    def close(self) -> None:
        """Unbinds the queue, for every process; what waits is dropped."""
        self._queue.unbind()
        _bound.remove(self._queue)
        del self._queue

    def _first_waiting(self) -> int | None:
        """The id of the packet that the next read would get; error reports before it are taken away."""
        with self._socket() as sock:
            while True:
                try:
                    head = sock.recv(PEEK_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return None
                number = netlink.packet_id(head)
                if number is not None:
                    return number
                sock.recv(PEEK_BYTES, socket.MSG_DONTWAIT)

    def _prepare(self, length: int) -> None:
        with self._socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, length * BYTES_PER_PACKET // 2)  # the kernel doubles it
            # without it one full buffer makes the kernel refuse every packet until all that waits was read
            sock.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
        self._configure()

    def _configure(self) -> None:
        self._send(netlink.flags_message(self.number, self._flags, netlink.GSO | netlink.FAIL_OPEN))

    def _send(self, data: bytes) -> None:
        with self._socket() as sock:
            sock.sendto(data, (0, 0))

    def _socket(self) -> socket.socket:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER, os.dup(self.fileno()))


def of_stack(payload: bytes, protocol: int) -> bool:
    """Whether a packet's version is that of the stack that sends it (its Ethernet protocol number).

    The kernel checks the version of what arrives, not of what a raw socket sends: read as the other family, such a
    packet is allowed as one flow and stamped by conntrack as another.
    """
    return not payload or payload[0] >> 4 == VERSIONS.get(protocol)


def require() -> None:
    """The kernel must have NFQUEUE; it loads the module for whoever asks. Raises CalicodError."""
    if not available():
        with suppress(OSError):
            NetfilterQueue()
    if not available():
        raise CalicodError(
            "K042",
            "this kernel has no NFQUEUE (nfnetlink_queue)",
            hint="load it with `modprobe nfnetlink_queue`; in a container the host must load it",
            exit_code=4,
        )


def _refused(number: int, error: OSError) -> CalicodError:
    """Why the queue could not be bound, and what to do."""
    taken = None
    with suppress(OSError):  # the table is root's
        taken = read_counters().get(number)
    if taken is None:
        hint = "calicod needs CAP_NET_ADMIN in this network namespace"
        return CalicodError("K043", f"queue {number} cannot be bound: {error}", hint=hint, exit_code=4)
    owner = find_owner(taken.owner)
    who = str(owner) if owner else f"a process with netlink port {taken.owner}"
    hint = "stop that process, or choose other numbers with `queue_base` in calicod.yaml"
    return CalicodError("K041", f"queue {number} is taken by {who}", hint=hint, exit_code=4)
