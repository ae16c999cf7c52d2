"""A sink that nobody waits for: a thread writes what was put into a bounded queue.

Law: `put` never waits and never fails: what the queue has no room for, and what the sink could not write, is lost and
counted. What is put is written in order. A thread that hangs in the sink does not keep the process alive.
"""

import threading
from collections import Counter, deque
from collections.abc import Sequence

from calicod.eventlog.sink import Shortfall, Sink, count_lines, fitting

ROOM_BYTES = 16 << 20
"""Of lines that wait: some 20,000 events, half a second of a flood."""
GATHER_SECONDS = 0.02
"""How long lines are gathered after some were written, if there is room: waking the thread for each costs more than
writing it, and holds up others."""
FULL = 4
"""A part of the room so large is written at once."""
AT_ONCE_BYTES = 4 << 20
"""With so much, and the rest of one `put`, a turn is full: a sink holds what it writes twice."""
SLOW = "the sink is too slow"


class Writer:
    """Owns the sink; only its thread touches it. `written`, `lost`: lines since the beginning."""

    def __init__(self, name: str, sink: Sink, room: int = ROOM_BYTES) -> None:
        self.name = name
        self.written = 0
        self.lost = 0
        self.trouble = ""
        self._sink = sink
        self._room = room
        lock = threading.RLock()
        self._changed, self._given = threading.Condition(lock), threading.Condition(lock)
        self._put_lines = self._given_lines = 0
        self._waiting: deque[tuple[Sequence[bytes], int, int]] = deque()
        self._bytes = 0
        self._reopen = self._closing = self._resting = False
        self._untold: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._thread.start()

    @property
    def waits(self) -> int:
        """Bytes that the sink was not given yet."""
        return self._bytes

    def put(self, pieces: Sequence[bytes]) -> None:
        """To be written as soon as the sink can."""
        with self._changed:
            taken, size, left = fitting(pieces, self._room - self._bytes)
            if left:
                self._lose(Shortfall(count_lines(left), SLOW))
            if not taken:
                return
            count = count_lines(taken)
            self._waiting.append((taken, count, size))
            self._put_lines += count
            self._bytes += size
            if not self._resting or self._due():
                self._changed.notify()

    def settle(self, patience: float) -> bool:
        """Waits until the sink was given what was put so far, for so many seconds at most; whether it was."""
        with self._given:
            last = self._put_lines
            return self._given.wait_for(lambda: self._given_lines >= last, patience)

    def reopen(self) -> None:
        """The sink is opened anew, before anything else is written."""
        with self._changed:
            self._reopen = True
            self._changed.notify()

    def take_losses(self) -> Counter[str]:
        """Lines lost by reason since the last call; none while telling of them would be lost too."""
        with self._changed:
            if self.trouble or self._bytes * 2 > self._room:
                return Counter()
            losses, self._untold = self._untold, Counter()
            return losses

    def close(self, patience: float) -> None:
        """Writes what waits, for so many seconds at most, and closes the sink; the rest is lost."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(patience)
        with self._changed:
            if left := sum(count for _, count, _ in self._waiting):
                self._bytes -= sum(size for _, _, size in self._waiting)
                self._waiting.clear()
                self._lose(Shortfall(left, SLOW))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._reopen or self._closing)
                reopen, self._reopen = self._reopen, False
                pieces, count, size = self._take()
                closing = self._closing
            if reopen:
                self._sink.reopen()
            if pieces:
                self._write(pieces, count, size)
                if not closing:
                    self._rest()
            elif closing:
                self._sink.close()
                return

    def _take(self) -> tuple[list[bytes], int, int]:
        """What waits, or its beginning: pieces, lines and bytes."""
        pieces, count, size = list[bytes](), 0, 0
        while self._waiting and size < AT_ONCE_BYTES:
            more, lines, length = self._waiting.popleft()
            pieces += more
            count += lines
            size += length
        return pieces, count, size

    def _rest(self) -> None:
        """Whoever puts something meanwhile wakes nobody."""
        with self._changed:
            self._resting = True
            self._changed.wait_for(self._due, GATHER_SECONDS)
            self._resting = False

    def _due(self) -> bool:
        """Whether there is something that is not gathered any longer."""
        return self._closing or self._reopen or self._bytes * FULL > self._room

    def _write(self, pieces: list[bytes], count: int, size: int) -> None:
        try:
            shortfall = self._sink.write(pieces)
        except Exception as failure:  # noqa: BLE001  a fault of ours must not end the event log unseen
            shortfall = Shortfall(count, f"{type(failure).__name__}: {failure}")
        with self._changed:
            self._bytes -= size
            self._given_lines += count
            self._given.notify_all()
            lost = shortfall.count if shortfall else 0
            self.written += count - lost
            self.trouble = shortfall.reason if shortfall and lost else ""
            if shortfall:
                self._lose(shortfall)

    def _lose(self, shortfall: Shortfall) -> None:
        self.lost += shortfall.count
        self._untold[shortfall.reason] += shortfall.count
