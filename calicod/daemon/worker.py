"""A worker: reads its two queues, judges, tells the supervisor.

Law: no I/O but its queues, its channel and the enforcement file; no threads, no locks. A verdict never waits for a
record. When the file cannot be loaded, the enforcement before it stays in force, and the supervisor is told.
"""

import gc
import os
import select
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, perf_counter_ns

import msgspec

from calicod.daemon.channel import MAX_DATAGRAM, WorkerEnd, encode
from calicod.daemon.confinement import confine
from calicod.daemon.instance import ENFORCEMENT_FILE
from calicod.daemon.judge import Judge, Totals
from calicod.daemon.rejection import Rejection
from calicod.intercept.interceptor import Decide, Interceptor
from calicod.model.marks import MarkLayout
from calicod.model.record import Applied, Batch, Counters, PickedUp, Record, Report, Severed, Swap, ToWorker
from calicod.ruleset.enforcement import decode

BUDGET = 64
"""Packets judged in one queue before the other one, and the supervisor, get their turn (1 ms)."""
LOOKS = 20
"""Looks for more packets after the last one before the worker sleeps: some 20 µs, in which others have the processor if
they want it. Under load the next packet comes that soon, and waking up costs more than looking."""
FLUSH_SECONDS = 0.005
"""Records wait at most this long for others; while few come they do not wait at all."""
COUNTERS_SECONDS = 1.0


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
        self._looks = 0
        self._poll = select.poll()
        self._poll.register(seat.channel, select.POLLIN)
        self._readers: dict[int, tuple[Interceptor, Decide]] = {}

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
        for descriptor, _ in self._awaited():
            reader = self._readers.get(descriptor)
            if reader is None:
                self._obey(tuple(self.seat.channel.messages()))
            else:
                self._looks = LOOKS
                reader[0].read(reader[1], BUDGET)
        now = monotonic()
        if self.records and (len(self.records) >= BUDGET or now - self._flushed_at >= FLUSH_SECONDS):
            self._flush()
            self._flushed_at = now
        if now - self._counted_at >= COUNTERS_SECONDS:
            self._count(now)

    def _awaited(self) -> list[tuple[int, int]]:
        """What there is to do; waits for it, but looks some times first when packets came a moment ago."""
        poll = self._poll.poll
        while self._looks:
            self._looks -= 1
            os.sched_yield()
            if ready := poll(0):
                return ready
        return poll(self._patience())

    def _patience(self) -> int:
        """Milliseconds until something has to be sent."""
        due = self._counted_at + COUNTERS_SECONDS
        if self.records:
            due = min(due, self._flushed_at + FLUSH_SECONDS)
        return max(0, int((due - monotonic()) * 1000) + 1)

    def _obey(self, messages: tuple[ToWorker, ...]) -> None:
        """Of several swaps only the last matters: the file holds the newest revision."""
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
        began = perf_counter_ns()
        try:
            enforcement = decode((self.seat.run_directory / ENFORCEMENT_FILE).read_bytes())
            marks, fail_open = self.seat.marks, self.seat.fail_open
            note, former, rejection = self.records.append, self.judge, self._rejection()
            judge = Judge(
                enforcement,
                self.totals,
                note,
                marks=marks,
                fail_open=fail_open,
                rejection=rejection,
                picked=self.seat.marks.picked,
                tell=self._turn,
                former=former,
            )
        except Exception as failure:  # noqa: BLE001  whatever is wrong with the new one, the one before stays in force
            self._tell(perf_counter_ns() - began, f"{type(failure).__name__}: {failure}")
            return
        former, self.judge = self.judge, judge
        self._read(judge)
        if former is not None:
            del former
            gc.collect()  # what was before has cycles (2 ms at 1,000 policies)
        self._tell(perf_counter_ns() - began)

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
