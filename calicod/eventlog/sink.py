"""Where event lines go: the plug.

Law: nothing that happens to a sink is an exception: what could not be written is counted in what `write` returns. A
line is written whole or not at all. A sink may wait; whoever must not wait puts a `writer.Writer` before it. Lines come
in pieces: one with its newline, or `Several` that were made at once, which cost little more than one.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Protocol, Self

import msgspec

NEWLINE = b"\n"


class Several(bytes):
    """So many lines at once; to count them anew would cost more than writing them."""

    lines: int

    def __new__(cls, content: bytes, lines: int) -> Self:
        """`lines`: how many newlines are in it."""
        made = super().__new__(cls, content)
        made.lines = lines
        return made


class Shortfall(msgspec.Struct, frozen=True):
    """What went wrong: so many lines were not written (0: all were, but not as was asked), and why."""

    count: int
    reason: str


class Sink(Protocol):
    """One place that event lines are written to."""

    def write(self, pieces: Sequence[bytes]) -> Shortfall | None:
        """Writes the lines in order; None: all is well."""

    def reopen(self) -> None:
        """What is written from now on goes to where the name points now."""

    def close(self) -> None:
        """Nothing is written any more."""


def count_lines(pieces: Iterable[bytes]) -> int:
    """How many lines there are in all of them.

    >>> count_lines([b"one", Several(b"two three", 2)])
    3
    """
    return sum(piece.lines if type(piece) is Several else 1 for piece in pieces)


def fitting(pieces: Sequence[bytes], room: int) -> tuple[Sequence[bytes], int, Sequence[bytes]]:
    """The first pieces, for which there is room for so many bytes, their bytes, and the other pieces.

    >>> fitting([b"one", b"two", b"three"], 7)
    ([b'one', b'two'], 6, [b'three'])
    """
    size = sum(map(len, pieces))
    if size <= room:
        return pieces, size, ()
    sizes = [size for size in accumulate(map(len, pieces), initial=0) if size <= max(0, room)]
    number = len(sizes) - 1
    return pieces[:number], sizes[-1], pieces[number:]


def lines_of(pieces: Iterable[bytes]) -> list[bytes]:
    r"""Each line by itself.

    >>> lines_of([b"one\n", Several(b"two\nthree\n", 2)])
    [b'one\n', b'two\n', b'three\n']
    """
    return [line + NEWLINE for piece in pieces for line in piece.split(NEWLINE)[:-1]]
