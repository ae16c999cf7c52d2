"""Event lines kept in a list: for tests, and wherever no file is at hand.

Law: the same promises as every sink, kept in the same order.
"""

from collections.abc import Sequence

from calicod.eventlog.sink import Shortfall, lines_of


class MemorySink:
    """Keeps up to `room` lines (None: all); `reopened` counts, `closed` tells."""

    def __init__(self, room: int | None = None) -> None:
        self.lines: list[bytes] = []
        self.room = room
        self.reopened = 0
        self.closed = False

    def write(self, pieces: Sequence[bytes]) -> Shortfall | None:
        """Keeps what there is room for."""
        lines = lines_of(pieces)
        room = len(lines) if self.room is None else max(0, self.room - len(self.lines))
        self.lines += lines[:room]
        return Shortfall(len(lines) - room, "the memory is full") if room < len(lines) else None

    def reopen(self) -> None:
        """Counted; the list has no name that could point elsewhere."""
        self.reopened += 1

    def close(self) -> None:
        """The lines stay readable."""
        self.closed = True
