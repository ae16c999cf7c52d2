"""Where event lines go: the plug.

Law: nothing that happens to a sink is an exception: what could not be written is counted in what `write` returns. A
line is written whole or not at all. A sink may wait; whoever must not wait puts a `writer.Writer` before it.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Shortfall(msgspec.Struct, frozen=True):
    """What went wrong: so many lines were not written (0: all were, but not as was asked), and why."""

    count: int
    reason: str


class Sink(Protocol):
    """One place that event lines are written to."""

    def write(self, lines: Sequence[bytes]) -> Shortfall | None:
        """Writes the lines in order, each with its newline; None: all is well."""

    def reopen(self) -> None:
        """What is written from now on goes to where the name points now."""

    def close(self) -> None:
        """Nothing is written any more."""
