"""A stand-in: a child of a worker that judges by the former enforcement while the worker loads the next one (ADR 0027).

Law: one process at a time reads the queues, the stand-in from `begin` until its account has come or it is reaped. It
gives no orders and takes none, dies with its worker, and leaves by itself, so that nobody can hide behind it for long.
"""

import os
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

import msgspec

from calicod.daemon.confinement import die_with
from calicod.daemon.totals import Totals

LARGE_BYTES = 256 << 10
"""Of an enforcement file: what is smaller is loaded within some 2 ms, and a fork costs as much."""
STAY_SECONDS = 30.0
"""How long a stand-in stays: as long as a worker may take to load (`workers.LOADING_SECONDS`)."""
FAREWELL_SECONDS = 1.0
"""Within which it has to answer when it is asked to leave: a batch takes 1 ms."""
ARRIVAL_SECONDS = 0.05
"""How long its worker waits at most until it is there; a fork takes 1 ms."""
HERE = b"!"
MAX_ACCOUNT = 4096
FAILED = 70


class Account(msgspec.Struct, frozen=True):
    """What a stand-in has counted when it leaves, its worker's own counts included, and what was not told."""

    totals: Totals
    records_lost: int
    lost_untold: int


class StandIn:
    """A stand-in as its worker sees it. `left` must be called, once: until then nobody else may read the queues."""

    def __init__(self, pid: int, end: socket.socket) -> None:
        self.pid = pid
        self._end = end

    def left(self) -> Account | None:
        """Asks it to leave, and waits: its account; None when it died, or had to be killed, without one.

        With its account it has given its last verdict and told its last record; then its end is not waited for.
        """
        account = None
        with suppress(OSError, msgspec.DecodeError), self._end:  # it died: an empty message
            self._end.settimeout(FAREWELL_SECONDS)
            self._end.shutdown(socket.SHUT_WR)  # no message: left unread, it would reset what the other has sent
            said = self._end.recv(MAX_ACCOUNT)
            if said == HERE:  # it came later than anybody waited for it
                said = self._end.recv(MAX_ACCOUNT)
            account = msgspec.msgpack.decode(said, type=Account)
        if account is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)  # INVARIANT: whoever has sent no account is gone before `release`
        return account

    def reaped(self) -> bool:
        """Whether its process is gone; never waits."""
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] != 0
        except ChildProcessError:  # `left` has done it
            return True


def begin(judge: Callable[[socket.socket, float], Account]) -> StandIn | None:
    """Forks a stand-in that runs `judge`, which ends when the socket is readable or the moment has come.

    None: there is no process to be had, and the worker loads without one.
    """
    worker = os.getpid()
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError:
        return None
    with theirs:
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            return None
        if not pid:
            _stand_in(worker, ours, theirs, judge)
    with suppress(OSError):  # until it runs nobody judges: it gets the processor, not who is about to work for long
        ours.settimeout(ARRIVAL_SECONDS)
        ours.recv(len(HERE))
    return StandIn(pid, ours)


def _stand_in(
    worker: int, ours: socket.socket, theirs: socket.socket, judge: Callable[[socket.socket, float], Account]
) -> None:
    """The whole life of a stand-in; never returns."""
    code = FAILED
    try:
        die_with(worker)
        ours.close()
        theirs.send(HERE, socket.MSG_NOSIGNAL)
        account = judge(theirs, monotonic() + STAY_SECONDS)
        theirs.send(msgspec.msgpack.encode(account), socket.MSG_NOSIGNAL)
        code = 0
    except BaseException:  # noqa: BLE001  the end of the process, whatever it was; the worker misses the account
        traceback.print_exc()
    finally:
        os._exit(code)  # INVARIANT: no destructor of a queue may run here, it would unbind the keeper's queue
