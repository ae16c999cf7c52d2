"""What the daemon tells the outside: events go to every sink, to a ring of recent ones, and to whoever follows.

Law: nothing here waits: sinks write in threads of their own, a follower that is too slow loses lines. What is lost is
counted, and told as `events.lost` when there is room for it again. Memory is bounded.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Self
from weakref import WeakSet

import structlog

from calicod.daemon.beginnings import Known
from calicod.daemon.events import EventLog
from calicod.daemon.heap import give_back
from calicod.daemon.settings import Settings
from calicod.eventlog.sink import count_lines, fitting, lines_of
from calicod.eventlog.table import sink, title
from calicod.eventlog.writer import Writer
from calicod.model.event import Event, EventsLost
from calicod.model.interface import Interface
from calicod.model.moment import NANOSECONDS
from calicod.model.record import Batch, Record
from calicod.netfilter.endings import Ended
from calicod.netfilter.flow import Flow
from calicod.netfilter.nflog import Alike, Run
from calicod.ruleset.program import RuleSet

log = structlog.get_logger()

RECENT_LINES = 2_000
FOLLOWER_BYTES = 4 << 20
TELL_NS = 10 * NANOSECONDS
"""Losses of one sink are told at most this often."""
QUIET_NS = 150_000_000
"""So long after the last batch none is on its way: the log group is read each 100 ms, and the kernel holds back 20."""
ENDS_LIMIT = 20_000
"""Ends that wait for the decisions before them (20 MB); above it they are told out of order."""
CLOSE_SECONDS = 2.0
"""How long the end of the daemon, or of a trial, waits for one sink."""


class Follower:
    """The lines since it was made, in chunks, until it is ended; holds a bounded number of bytes."""

    def __init__(self, tell: Callable[[int], bytes], room: int = FOLLOWER_BYTES) -> None:
        self._tell = tell
        self._room = room
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._lost = 0
        self._ended = False
        self._changed = asyncio.Event()

    def put(self, pieces: Sequence[bytes]) -> None:
        """To be read; lines that find no room are lost, and told after those that did."""
        room = 0 if self._lost else self._room - self._bytes
        taken, size, left = fitting(pieces, room)
        self._waiting += taken
        self._bytes += size
        self._lost += count_lines(left)
        self._changed.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Everything that waits."""
        while not self._waiting and not self._lost:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        lost = [self._tell(self._lost)] if self._lost else []
        chunk = b"".join(self._waiting + lost)
        self._waiting, self._bytes, self._lost = [], 0, 0
        return chunk


class Recent:
    """The last so many lines."""

    def __init__(self, limit: int = RECENT_LINES) -> None:
        self._limit = limit
        self._held: deque[tuple[Sequence[bytes], int]] = deque()
        self._count = 0

    def put(self, pieces: Sequence[bytes]) -> None:
        """To be kept; older ones go, those that came together together."""
        held, count = self._held, count_lines(pieces)
        held.append((pieces, count))
        self._count += count
        while self._count - held[0][1] >= self._limit:
            self._count -= held.popleft()[1]

    def lines(self) -> list[bytes]:
        """Oldest first."""
        return lines_of(piece for pieces, _ in self._held for piece in pieces)[-self._limit :]


class Reporter:
    """One per supervisor. `clock`: wall clock in nanoseconds."""

    def __init__(self, settings: Settings, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._log = EventLog(settings.node_name, settings.marks)
        self._writers = tuple(Writer(title(made), sink(made)) for made in settings.events)
        self._told_ns = [0] * len(self._writers)
        self._recent = Recent()
        self._followers: WeakSet[Follower] = WeakSet()
        self._ends: deque[Ended] = deque()
        self._judged_ns = self._batch_ns = 0
        self._overruns = 0
        self._elsewhere = self._unlogged = 0

    @property
    def hits(self) -> dict[tuple[str, str, str], tuple[int, int, int]]:
        """Per policy: flows allowed, denied, packets logged (`views.Hits`)."""
        return self._log.hits()

    @property
    def written(self) -> int:
        """Lines that sinks have written."""
        return sum(writer.written for writer in self._writers)

    @property
    def lost(self) -> int:
        """Lines that sinks have not, and what was lost before it became a line."""
        return self._elsewhere + sum(writer.lost for writer in self._writers)

    def direct(self, ruleset: RuleSet, interfaces: Iterable[Interface]) -> None:
        """From now on addresses are told by this RuleSet."""
        self._log.adopt(ruleset, interfaces)

    def seed(self, flows: Iterable[Flow]) -> None:
        """Live connections that a former supervisor knew: their end is told under the same flow_id."""
        self._log.seed(flows)

    def know(self, allowed: Iterable[Known]) -> None:
        """What the kernel is about to allow by itself."""
        self._log.know(allowed)

    def begun(self, logged: Sequence[Run | Alike], lost: int) -> None:
        """What the kernel let pass by itself, when everything before it is here; `lost`: how many could not be told."""
        if missed := lost - self._unlogged:
            self._unlogged = lost
            self._elsewhere += missed
            self._log.lost("log-group", missed, "the kernel's buffer was full")
        if logged:
            now = self._batch_ns = self._clock()
            self._write(self._log.begun(logged, self._ends, now))

    def batch(self, batch: Batch) -> None:
        """What one worker judged. Ends come between the decisions where they belong: ports are used again at once."""
        self._elsewhere += batch.lost
        now = self._clock()
        lines = self._log.records(batch, self._ends, now)
        if batch.records:
            self._judged_ns, self._batch_ns = batch.records[-1].time_ns, now
        self._write(lines)

    def connections(
        self, began: Sequence[Flow], ends: Sequence[Ended], overruns: int, *, judging: bool = False
    ) -> None:
        """What conntrack told; `overruns`: how often since its stream was opened the kernel had no room for it.

        `judging`: a batch comes next, so ends that may belong behind its decisions wait for it.
        """
        if missed := overruns - self._overruns:
            self._overruns = overruns
            self._elsewhere += missed
            self._log.lost("conntrack", missed, "the kernel's buffer was full; it does not say how many")
        now = self._clock()
        self._write(self._log.connections(began, now))
        self._ends.extend(ends)
        self._write(self._ended(self._judged_ns if judging else self._due(now)))

    def emit(self, event: Event) -> None:
        """Any other event; time and node are filled in."""
        self._write(self._log.tell(event, self._clock()))

    async def settled(self) -> None:
        """Returns when every sink was given what was told so far, or when one of them takes too long for it."""
        await asyncio.gather(*(asyncio.to_thread(writer.settle, CLOSE_SECONDS) for writer in self._writers))

    def repeated(self, record: Record, count: int) -> None:
        """What the kernel refused by itself, as it was told of this packet."""
        self._write(self._log.repeated(record, count, self._clock()))

    def tick(self) -> None:
        """Once a second: summaries that are due, and what was lost."""
        now, quiet = self._clock(), not any(writer.waits for writer in self._writers)
        self._write(self._ended(self._due(now)))
        self._write(self._log.tick(now))
        if quiet:
            give_back()
        for number, writer in enumerate(self._writers):
            if abs(now - self._told_ns[number]) >= TELL_NS:
                self._told_ns[number] = now
                self._tell_losses(writer)

    def reopen(self) -> None:
        """SIGUSR1: every file is opened by its name again."""
        for writer in self._writers:
            writer.reopen()

    def recent(self) -> list[bytes]:
        """The last lines, oldest first."""
        return self._recent.lines()

    def follow(self) -> Follower:
        """The lines from this call on."""
        follower = Follower(self._missed)
        self._followers.add(follower)
        return follower

    def close(self) -> None:
        """Tells all that is due, and waits a little for the sinks."""
        self._write(self._ended(None))
        self._write(self._log.close(self._clock()))
        for writer in self._writers:
            self._tell_losses(writer)
        for writer in self._writers:
            writer.close(CLOSE_SECONDS)
        for follower in tuple(self._followers):
            follower.end()

    def _due(self, now_ns: int) -> int | None:
        """The moment up to which no decision is on its way that an end would overtake; None: too many ends wait."""
        if len(self._ends) > ENDS_LIMIT:
            return None
        return now_ns if abs(now_ns - self._batch_ns) >= QUIET_NS else self._judged_ns

    def _ended(self, until_ns: int | None) -> list[bytes]:
        """The ends of connections up to a moment; None: all."""
        return self._log.ended(self._ends, self._clock(), until_ns)

    def _write(self, pieces: Sequence[bytes]) -> None:
        if not pieces:
            return
        self._recent.put(pieces)
        for writer in self._writers:
            writer.put(pieces)
        for follower in tuple(self._followers):
            follower.put(pieces)

    def _tell_losses(self, writer: Writer) -> None:
        """In the daemon's own log at once, as an event when the sink takes it."""
        if writer.trouble:
            log.warning("sink.failed", sink=writer.name, reason=writer.trouble, lost=writer.lost)
        for reason, count in writer.take_losses().items():
            log.warning("events.lost", sink=writer.name, reason=reason, count=count)
            if count:
                self.emit(EventsLost(where=writer.name, count=count, reason=reason))

    def _missed(self, count: int) -> bytes:
        told = EventsLost(where="follower", count=count, reason="it reads too slowly")
        return b"".join(self._log.tell(told, self._clock()))
