"""Event lines on standard output: for people on a terminal, as JSON Lines elsewhere.

Law: what a terminal is given is printable (`readable`). rich is imported with the first line that needs it.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TextIO

import msgspec

from calicod.eventlog import readable
from calicod.eventlog.sink import Shortfall, lines_of

FORMATS = ("auto", "console", "json")


class ConsoleSettings(msgspec.Struct, frozen=True):
    """`format`: as `log_format`; auto is console on a terminal, else json."""

    format: str = "auto"


class ConsoleSink:
    """Prints each line; the stream is not its own and stays open."""

    def __init__(self, settings: ConsoleSettings, stream: TextIO | None = None) -> None:
        self.settings = settings
        self._stream = stream or sys.stdout
        self._print: Callable[[bytes], None] | None = None

    def write(self, pieces: Sequence[bytes]) -> Shortfall | None:
        """Prints; what a closed terminal or pipe does not take is lost."""
        done, lines = 0, lines_of(pieces)
        try:
            if self._print is None:
                self._print = printer(self.settings.format, self._stream)
            for line in lines:
                self._print(line)
                done += 1
            self._stream.flush()
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            return Shortfall(len(lines) - done or 1, f"console: {error}")
        return None

    def reopen(self) -> None:
        """There is no name to look up again."""

    def close(self) -> None:
        """Standard output belongs to the process."""


def printer(form: str, stream: TextIO) -> Callable[[bytes], None]:
    """What prints one line in that format."""
    if form == "json" or (form == "auto" and not stream.isatty()):
        return lambda line: print(line.decode(), end="", file=stream)
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, soft_wrap=True, highlight=False, markup=False, emoji=False)
    return lambda line: console.print(Text.assemble(*readable.pieces(line)))
