"""The main process: binds the queues, forks the others, replaces what dies. Nothing else.

Law: no asyncio, no threads, nothing foreign is parsed. It waits in one place only, for a signal. It holds the queues
and both ends of every channel, so whoever is replaced finds everything where its predecessor left it. Nothing that a
child does ends it.
"""

import fcntl
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic

import msgspec

from calicod.daemon import worker
from calicod.daemon.channel import ControlEnd, End, KeeperEnd, SupervisorEnd, keeper_pair, worker_pair
from calicod.daemon.confinement import die_with
from calicod.daemon.priority import give_way
from calicod.daemon.worker import Seat
from calicod.errors import CalicodError
from calicod.intercept.nfqueue import Queue
from calicod.model.marks import MarkLayout
from calicod.model.record import Ready, SupervisorDied, ToKeeper, WorkerDied
from calicod.netfilter.nflog import LogGroup

SIGNALS = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGIO})
"""SIGIO: the supervisor has said something."""
FORWARDED = frozenset({signal.SIGHUP, signal.SIGUSR1})
STOPPING = frozenset({signal.SIGTERM, signal.SIGINT})
FAILED = 70
"""Exit code of a child that an exception ended (sysexits EX_SOFTWARE)."""
BURST = 10
"""Deaths of one child within a second that are made good at once; more is a loop, and waits."""
BURST_SECONDS = 1.0
BACKOFF_SECONDS = 0.25
STOP_SECONDS = 20.0
"""How long a supervisor may take to end after it was asked to."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper needs of the settings. `resumes`: the first workers need no orders, see `resumption`."""

    run_directory: Path
    queue_base: int
    queue_length: int
    workers: int
    marks: MarkLayout
    fail_open: bool = False
    rejects: bool = False
    resets: bool = False
    resumes: bool = False


class Channels(msgspec.Struct, frozen=True):
    """What the supervisor gets: its ends of the channels, those to the workers by their number.

    `log_group`: what the kernel lets pass by itself; what a supervisor has not read waits there for the next one.
    """

    workers: tuple[SupervisorEnd, ...]
    keeper: ControlEnd
    log_group: LogGroup | None = None


class Child:
    """A process that is kept alive. `pid` 0: it is not running, and due at `due`."""

    def __init__(self, begin: Callable[[], int], ended: Callable[[int, int], None]) -> None:
        self.begin = begin
        self.ended = ended
        self.pid = 0
        self.due = 0.0
        self._deaths: list[float] = []

    def start(self) -> None:
        """Begins it; when no process is to be had (EAGAIN, ENOMEM), that counts as a death."""
        try:
            self.pid = self.begin()
        except OSError:
            self.died(monotonic())

    def died(self, now: float) -> None:
        """Not running any more; due at once, or later when it dies over and over."""
        self.pid = 0
        self._deaths = [t for t in self._deaths if now - t < BURST_SECONDS]
        self._deaths.append(now)
        self.due = now + (BACKOFF_SECONDS if len(self._deaths) > BURST else 0.0)


class Keeper:
    """Keeps one supervisor and `layout.workers` workers. Binds the queues at once: raises CalicodError.

    `run_supervisor` runs in the supervisor's process and returns its exit code; `run_worker` never returns. `prepare`
    is called once, when the workers are there and the supervisor is not.
    """

    def __init__(
        self,
        layout: Layout,
        run_supervisor: Callable[[Channels], int],
        run_worker: Callable[[Seat], None] = worker.run,
        prepare: Callable[[], None] = lambda: None,
        log_group: LogGroup | None = None,
    ) -> None:
        self.pid = os.getpid()
        self._queues = bind(layout)
        pairs = [worker_pair() for _ in range(layout.workers)]
        self._worker_ends = [ours for ours, _ in pairs]
        self._keeper_end, control = keeper_pair()
        self._channels = Channels(tuple(theirs for _, theirs in pairs), control, log_group)
        self._run_supervisor = run_supervisor
        self._run_worker = run_worker
        self._prepare = prepare
        self._seats = [self._seat(layout, number) for number in range(layout.workers)]
        self._ready = False
        self._hung: set[int] = set()
        self._stopping_until: float | None = None
        self._exit_code: int | None = None
        self._supervisor = Child(self._begin_supervisor, self._supervisor_ended)
        begin, ended = self._begin_worker, self._worker_ended
        self._workers = [Child(partial(begin, n), partial(ended, n)) for n in range(layout.workers)]

    def run(self) -> int:
        """Forks, keeps, and returns the daemon's exit code once the supervisor has ended for good."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        wake_by(self._keeper_end)
        try:
            share()
            for child in self._workers:
                child.start()
            self._prepare()
            share()
            while self._exit_code is None:
                self._start_due()
                self._wait()
        finally:
            self._end(self._workers)
            self._end([self._supervisor])
        return self._exit_code

    def _seat(self, layout: Layout, number: int) -> Seat:
        return Seat(
            number=number,
            original=self._queues[number],
            reply=self._queues[layout.workers + number],
            channel=self._worker_ends[number],
            run_directory=layout.run_directory,
            marks=layout.marks,
            fail_open=layout.fail_open,
            rejects=layout.rejects,
            resets=layout.resets,
            first=not layout.resumes,
        )

    def _children(self) -> tuple[Child, ...]:
        return (*self._workers, self._supervisor)

    def _start_due(self) -> None:
        now = monotonic()
        for child in self._children():
            gone_for_good = child is self._supervisor and self._stopping_until is not None
            if not child.pid and child.due <= now and not gone_for_good:
                child.start()

    def _wait(self) -> None:
        """Waits for one signal, or until a child or the end of the patience with the supervisor is due."""
        dues = [child.due for child in self._children() if not child.pid]
        if self._stopping_until is not None:
            dues.append(self._stopping_until)
        patience = max(0.0, min(dues) - monotonic()) if dues else STOP_SECONDS
        got = signal.sigtimedwait(SIGNALS, patience)
        if got is not None and got.si_signo in FORWARDED and self._supervisor.pid:
            os.kill(self._supervisor.pid, got.si_signo)
        elif got is not None and got.si_signo in STOPPING:
            self._stop()
        self._obey()
        self._reap()
        if self._stopping_until is not None and monotonic() >= self._stopping_until:
            self._exit_code = FAILED

    def _obey(self) -> None:
        """Takes what the supervisor has said. A worker that was replaced meanwhile is not meant any more."""
        for message in heard(self._keeper_end):
            if isinstance(message, Ready):
                self._ready = True
                give_way(self._supervisor.pid)
            elif message.worker < len(self._workers):
                child = self._workers[message.worker]
                if child.pid and message.pid in {0, child.pid}:
                    self._hung.add(child.pid)
                    os.kill(child.pid, signal.SIGKILL)

    def _stop(self) -> None:
        """Asks the supervisor to finish; asked a second time, nobody waits any longer."""
        if self._stopping_until is not None:
            self._stopping_until = 0.0
            return
        self._stopping_until = monotonic() + STOP_SECONDS
        if self._supervisor.pid:
            os.kill(self._supervisor.pid, signal.SIGTERM)
        else:
            self._exit_code = 0

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for child in self._children():
                if child.pid == pid:
                    child.died(monotonic())
                    child.ended(pid, os.waitstatus_to_exitcode(status))

    def _worker_ended(self, number: int, pid: int, status: int) -> None:
        how = f"hung, {describe(status)}" if pid in self._hung else describe(status)
        self._hung.discard(pid)
        self._keeper_end.send(WorkerDied(number, pid, status, how))

    def _supervisor_ended(self, pid: int, status: int) -> None:
        self._obey()
        if self._stopping_until is not None:
            self._exit_code = max(0, status)
        elif not self._ready and 0 <= status < FAILED:
            self._exit_code = status
        else:
            self._keeper_end.send(SupervisorDied(pid, status, describe(status)))

    def _begin_worker(self, number: int) -> int:
        pid = self._fork(partial(self._be_worker, number))
        self._seats[number] = msgspec.structs.replace(self._seats[number], first=False)
        return pid

    def _begin_supervisor(self) -> int:
        return self._fork(self._be_supervisor)

    def _be_worker(self, number: int) -> int:
        seat = self._seats[number]
        leave(queue for queue in self._queues if queue not in {seat.original, seat.reply})
        ends: tuple[End, ...] = (*self._worker_ends, *self._channels.workers, self._channels.keeper, self._keeper_end)
        for end in ends:
            if end is not seat.channel:
                end.close()
        if self._channels.log_group is not None:
            self._channels.log_group.close()
        for number_of in STOPPING | FORWARDED:
            signal.signal(number_of, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self._run_worker(seat)
        return FAILED

    def _be_supervisor(self) -> int:
        leave(self._queues)
        ends: tuple[End, ...] = (*self._worker_ends, self._keeper_end)
        for end in ends:
            end.close()
        for number in (*FORWARDED, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if self._ready:
            give_way(os.getpid())
        return self._run_supervisor(self._channels)

    def _fork(self, body: Callable[[], int]) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            return pid
        code = FAILED
        try:
            die_with(self.pid)
            code = body()
        except CalicodError as error:
            print(f"calicod: {error}", file=sys.stderr)  # noqa: T201  the process has no other voice at its end
            code = error.exit_code
        except BaseException:  # noqa: BLE001  the end of the process, whatever it was; the code tells the keeper
            traceback.print_exc()
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)  # INVARIANT: no destructor of a queue may run here, it would unbind the keeper's queue

    def _end(self, children: Iterable[Child]) -> None:
        for child in children:
            if child.pid:
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
                child.pid = 0


def bind(layout: Layout) -> list[Queue]:
    """Every queue: those of the original direction by worker, then those of the reply direction. All or none."""
    queues: list[Queue] = []
    try:
        for number in range(layout.queue_base, layout.queue_base + 2 * layout.workers):
            queues.append(Queue(number, layout.queue_length, layout.marks, fail_open=layout.fail_open))  # noqa: PERF401  those bound so far must be known
    except CalicodError:
        for queue in queues:
            queue.close()
        raise
    return queues


def share() -> None:
    """What was imported stays shared between the processes."""
    gc.collect()
    gc.freeze()


def leave(queues: Iterable[Queue]) -> None:
    """Lets go of queues that this process does not read: they must end with the keeper."""
    for queue in queues:
        queue.leave()


def heard(end: KeeperEnd) -> tuple[ToKeeper, ...]:
    """What waits; what cannot be read is no reason for the keeper to end."""
    messages: list[ToKeeper] = []
    while True:
        try:
            message = end.receive()
        except (msgspec.DecodeError, EOFError):  # the keeper holds the other end too: it was an empty message
            continue
        if message is None:
            return tuple(messages)
        messages.append(message)


def wake_by(end: KeeperEnd) -> None:
    """From now on the kernel sends SIGIO to this process, which must block it, when something comes."""
    fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)


def describe(status: int) -> str:
    """An exit status in words; negative for a signal.

    >>> describe(-9), describe(3)
    ('killed by SIGKILL', 'exit code 3')
    """
    if status >= 0:
        return f"exit code {status}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-status).name}"
    return f"killed by signal {-status}"
