"""A worker: reads its two queues, judges, tells the supervisor.

Law: no I/O but its queues, its channel and the enforcement file; no threads, no locks, and no other process but a
stand-in, which judges while a large file is loaded. A verdict never waits for a record. When the file cannot be loaded,
the enforcement before it stays in force, and the supervisor is told.
"""

import gc
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, perf_counter_ns

import msgspec

from calicod.daemon import standin
from calicod.daemon.channel import MAX_DATAGRAM, WorkerEnd, encode
from calicod.daemon.confinement import confine
from calicod.daemon.instance import ENFORCEMENT_FILE
from calicod.daemon.judge import Judge
from calicod.daemon.rejection import Rejection
from calicod.daemon.standin import Account, StandIn
from calicod.daemon.totals import Totals
from calicod.intercept.interceptor import Decide, Interceptor
from calicod.model.marks import MarkLayout
from calicod.model.record import Applied, Batch, Counters, PickedUp, Record, Report, Severed, Swap
from calicod.ruleset.enforcement import decode

BUDGET = 64
"""Packets judged in one queue before the other one, and the supervisor, get their turn (1 ms)."""
FLUSH_SECONDS = 0.005
"""Records wait at most this long for others; while few come they do not wait at all."""
COUNTERS_SECONDS = 1.0
HELD_UP_SECONDS = 3.0
"""Who has not counted for so long was held up: what waits for it has waited too long to be judged by what was."""


class Seat(msgspec.Struct, frozen=True):
    """What a worker gets from the keeper. `original` and `reply` are its queues; `number` counts workers from 0.

    `first`: there was no worker here before it: what an enforcement file holds may not be what policy says now.
    """

    number: int
    original: Interceptor
    reply: Interceptor
    channel: WorkerEnd
    run_directory: Path
    marks: MarkLayout
    fail_open: bool
    rejects: bool = False
    resets: bool = False
    first: bool = False


def run(seat: Seat) -> None:
    """Judges until the keeper is gone. In a process of its own: gives up every privilege it does not need."""
    confine()
    gc.disable()  # judging makes no cycles, and a collection would hold up verdicts
    worker = Worker(seat)
    worker.begin()
    with suppress(EOFError):  # the keeper is gone
        while True:
            worker.turn()


class Worker:
    """The loop, one `turn` at a time."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self.totals = Totals()
        self.judge: Judge | None = None
        self.records: list[Record] = []
        self.records_lost = 0
        self._lost_untold = 0
        self._flushed_at = self._counted_at = monotonic()
        self._poll = select.poll()
        self._poll.register(seat.channel, select.POLLIN)
        self._readers: dict[int, tuple[Interceptor, Decide]] = {}
        self._leaving: tuple[StandIn, ...] = ()

    def begin(self) -> None:
        """Releases what a predecessor left behind, and loads what is in force, if there is anything.

        What was in force when a former daemon ended may not be what policy says now: the first worker waits for orders.
        """
        self.seat.original.release()
        self.seat.reply.release()
        if not self.seat.first and self._file_may_exist():
            self._load()

    def turn(self) -> None:
        """Waits until there is something to do, and does it."""
        self._round(self._obey)
        now = monotonic()
        if now - self._counted_at >= COUNTERS_SECONDS:
            self._count(now)

    def _round(self, attend: Callable[[], object]) -> None:
        """Judges what waits and tells it in time; `attend` is called when somebody has spoken."""
        for descriptor, _ in self._poll.poll(self._patience()):
            reader = self._readers.get(descriptor)
            if reader is None:
                attend()
            else:
                reader[0].read(reader[1], BUDGET)
        now = monotonic()
        if self.records and (len(self.records) >= BUDGET or now - self._flushed_at >= FLUSH_SECONDS):
            self._flush()
            self._flushed_at = now

    def _patience(self) -> int:
        """Milliseconds until something has to be sent."""
        due = self._counted_at + COUNTERS_SECONDS
        if self.records:
            due = min(due, self._flushed_at + FLUSH_SECONDS)
        return max(0, int((due - monotonic()) * 1000) + 1)

    def _obey(self) -> None:
        """Of several swaps only the last matters: the file holds the newest revision."""
        messages = tuple(self.seat.channel.messages())
        swaps = [message for message in messages if isinstance(message, Swap)]
        if swaps:
            if self.judge is not None and self.judge.revision == swaps[-1].revision:
                self._tell(0)
            else:
                self._load()
        if any(isinstance(message, Report) for message in messages):
            self._count(monotonic())
            self._tell(0)

    def _file_may_exist(self) -> bool:
        try:
            return (self.seat.run_directory / ENFORCEMENT_FILE).exists()
        except OSError:  # a folder above it is closed to a process without capabilities: loading will say so
            return True

    def _load(self) -> None:
        """Judges by what the enforcement file holds from now on, or goes on as before and says why."""
        self._flush()
        began, stand_in, error = perf_counter_ns(), self._substitute(), ""
        try:
            judge = self._judge_of_file()
            if stand_in is not None and self.judge is not None:
                judge.prepare(self.judge)
            self._enforce(judge)
        except Exception as failure:  # noqa: BLE001  whatever is wrong with the new one, the one before stays in force
            error = f"{type(failure).__name__}: {failure}"
        if stand_in is not None:
            self._take_over(stand_in)
        # INVARIANT: who tells a revision is the only one who judges, and judges by it
        self._tell(perf_counter_ns() - began, error)

    def _judge_of_file(self) -> Judge:
        """The judge of what the enforcement file holds, to take the place of the present one."""
        return Judge(
            decode((self.seat.run_directory / ENFORCEMENT_FILE).read_bytes()),
            self.totals,
            self.records.append,
            marks=self.seat.marks,
            fail_open=self.seat.fail_open,
            rejection=self._rejection(),
            picked=self.seat.marks.picked,
            tell=self._turn,
            former=self.judge,
        )

    def _enforce(self, judge: Judge) -> None:
        """Puts it in the place of the present judge, of which nothing stays."""
        former, self.judge = self.judge, judge
        self._read(judge)
        if former is not None:
            del former
            gc.collect()  # what was before has cycles (2 ms at 1,000 policies)

    def _substitute(self) -> StandIn | None:
        """Somebody who judges meanwhile, if loading takes long; not after a while in which nobody did."""
        if self.judge is None or monotonic() - self._counted_at >= HELD_UP_SECONDS:
            return None
        try:
            size = (self.seat.run_directory / ENFORCEMENT_FILE).stat().st_size
        except OSError:  # loading will say so
            return None
        return standin.begin(self._stand_in_for) if size >= standin.LARGE_BYTES else None

    def _stand_in_for(self, end: socket.socket, until: float) -> Account:
        """In the stand-in: judges as before until it is asked to leave, and tells its records but no counters."""
        self._poll.unregister(self.seat.channel)
        self._poll.register(end, select.POLLIN)
        self._counted_at = until - COUNTERS_SECONDS  # then it wakes up, to leave
        asked: list[bool] = []
        while not asked and monotonic() < until:
            self._round(lambda: asked.append(True))
        self._flush()
        return Account(self.totals, self.records_lost, self._lost_untold)

    def _take_over(self, stand_in: StandIn) -> None:
        """From now on nobody else judges. What a stand-in had counted that died is lost, like what it had read."""
        account = stand_in.left()
        self._leaving = (*self._leaving, stand_in)
        if account is None:
            self.seat.original.release()
            self.seat.reply.release()
            return
        self.totals.follow(account.totals)
        self.records_lost, self._lost_untold = account.records_lost, account.lost_untold

    def _rejection(self) -> Rejection:
        """New with each enforcement: what it cuts is told once more."""
        return Rejection(rejects=self.seat.rejects, sever=self._sever if self.seat.resets else None)

    def _sever(self, packet: bytes) -> None:
        """When there is no room the other end learns of it when it speaks."""
        self.seat.channel.send(Severed(self.seat.number, packet))

    def _turn(self, packet: bytes) -> None:
        """When there is no room it comes up again."""
        self.seat.channel.send(PickedUp(self.seat.number, packet))

    def _read(self, judge: Judge) -> None:
        original, reply = self.seat.original, self.seat.reply
        self._readers = {original.fileno(): (original, judge.original), reply.fileno(): (reply, judge.reply)}
        for descriptor in self._readers:
            self._poll.register(descriptor, select.POLLIN)

    def _tell(self, took_ns: int, error: str = "") -> None:
        revision = self.judge.revision if self.judge is not None else 0
        self.seat.channel.send(Applied(self.seat.number, os.getpid(), revision, took_ns, error))

    def _count(self, now: float) -> None:
        self._counted_at = now
        self._leaving = tuple(stand_in for stand_in in self._leaving if not stand_in.reaped())
        totals = self.totals
        self.seat.channel.send(
            Counters(
                worker=self.seat.number,
                pid=os.getpid(),
                judged=totals.judged,
                denied=totals.denied,
                malformed=totals.malformed,
                failed=totals.failed,
                records_lost=self.records_lost,
                last_failure=totals.last_failure,
            )
        )

    def _flush(self) -> None:
        """Sends the records; what the supervisor has no room for is lost, counted, and told with the next batch."""
        if not self.records or self.judge is None:
            return
        whole = Batch(self.seat.number, self.judge.revision, tuple(self.records), self._lost_untold)
        self.records.clear()
        for part, data in parts(whole):
            if self.seat.channel.send_encoded(data):
                self._lost_untold -= part.lost
            else:
                self.records_lost += len(part.records)
                self._lost_untold += len(part.records)


def parts(batch: Batch) -> Iterator[tuple[Batch, bytes]]:
    """The batch in as many messages as it needs, each with its bytes; a single record that is too long stays so."""
    data = encode(batch)
    count = len(batch.records)
    if len(data) <= MAX_DATAGRAM or count <= 1:
        yield batch, data
        return
    yield from parts(Batch(batch.worker, batch.revision, batch.records[: count // 2], batch.lost))
    yield from parts(Batch(batch.worker, batch.revision, batch.records[count // 2 :]))
