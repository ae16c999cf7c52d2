"""A queue whose packets come from a list: for tests, and wherever no kernel is at hand.

Law: the same promises as the kernel's queue, kept in the same order.
"""

import os
from collections import deque
from collections.abc import Iterable

import msgspec

from calicod.intercept.interceptor import Decide
from calicod.model.marks import MarkLayout
from calicod.model.verdict import Verdict


class Arrival(msgspec.Struct, frozen=True):
    """A packet as it comes up; `hook` is netfilter's number."""

    payload: bytes
    mark: int = 0
    hook: int = 1
    indev: int = 0
    outdev: int = 0


class Departure(msgspec.Struct, frozen=True):
    """What became of a packet: it goes on with this mark (`repeated`), or not."""

    arrival: Arrival
    repeated: bool
    mark: int


class MemoryQueue:
    """Packets wait in it from the beginning, or are put in; `departures` are those that got their verdict, in order."""

    def __init__(self, marks: MarkLayout, arrivals: Iterable[Arrival] = ()) -> None:
        self.departures: list[Departure] = []
        self._marks = marks
        self._waiting = deque[Arrival]()
        self._taken: list[Arrival] = []
        self._last = 0
        self._readable = os.eventfd(0, os.EFD_NONBLOCK)
        for arrival in arrivals:
            self.put(arrival)

    def put(self, arrival: Arrival) -> None:
        """One more packet waits."""
        self._waiting.append(arrival)
        os.eventfd_write(self._readable, 1)

    def take(self) -> Arrival:
        """What a reader does that dies before it has answered."""
        arrival = self._waiting.popleft()
        self._last += 1
        self._taken.append(arrival)
        return arrival

    def fileno(self) -> int:
        """Readable while packets wait."""
        return self._readable

    def read(self, decide: Decide, budget: int) -> int:
        """Judges what waits, `budget` packets at most."""
        judged = 0
        while self._waiting and judged < budget:
            arrival = self.take()
            verdict = None
            try:
                verdict = decide(arrival.payload, arrival.mark, arrival.hook, arrival.indev, arrival.outdev)
            finally:
                self._answer(arrival, verdict)
            judged += 1
        if not self._waiting:
            self._drain()
        return judged

    def release(self) -> int:
        """Drops what was taken and not answered."""
        for arrival in tuple(self._taken):
            self._answer(arrival, None)
        return self._last

    def close(self) -> None:
        """What waits is dropped."""
        self._waiting.clear()
        os.close(self._readable)

    def _answer(self, arrival: Arrival, verdict: Verdict | None) -> None:
        self._taken.remove(arrival)
        foreign = arrival.mark & ~self._marks.packet_mask
        if verdict is Verdict.ACCEPT:
            self.departures.append(Departure(arrival, repeated=True, mark=foreign | self._marks.accept))
        elif verdict is Verdict.REJECT:
            self.departures.append(Departure(arrival, repeated=True, mark=foreign | self._marks.reject))
        elif verdict is Verdict.SPARE:
            spare = self._marks.spare
            self.departures.append(Departure(arrival, repeated=True, mark=foreign | spare))
        else:
            self.departures.append(Departure(arrival, repeated=False, mark=arrival.mark))

    def _drain(self) -> None:
        try:
            os.eventfd_read(self._readable)
        except BlockingIOError:
            return
