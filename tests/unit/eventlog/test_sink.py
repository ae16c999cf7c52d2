"""The promises of every sink, by every sink."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from calicod.eventlog.console import ConsoleSettings, ConsoleSink
from calicod.eventlog.file import FileSettings, FileSink
from calicod.eventlog.memory import MemorySink
from calicod.eventlog.sink import Shortfall, Sink

LINES = [b'{"event":"daemon.recovered","number":%d}\n' % number for number in range(3)]


class Case(NamedTuple):
    """A sink, what it holds, and how it comes to have no room."""

    sink: Sink
    held: Callable[[], bytes]
    fill: Callable[[], None]


class Full(io.StringIO):
    """A stream whose other end may go away."""

    full = False

    def write(self, text: str) -> int:
        if self.full:
            raise BrokenPipeError(32, "broken pipe")
        return super().write(text)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def file_case(folder: Path) -> Case:
    path = folder / "events.jsonl"
    sink = FileSink(FileSettings(path))

    def fill() -> None:
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/full")

    return Case(sink, path.read_bytes, fill)


def console_case(_: Path) -> Case:
    stream = Full()
    return Case(
        ConsoleSink(ConsoleSettings("json"), stream),
        lambda: stream.getvalue().encode(),
        lambda: setattr(stream, "full", True),
    )


def memory_case(_: Path) -> Case:
    sink = MemorySink()
    return Case(sink, lambda: b"".join(sink.lines), lambda: setattr(sink, "room", len(sink.lines)))


@pytest.fixture(params=[file_case, console_case, memory_case], ids=["file", "console", "memory"])
def case(request, tmp_path) -> Case:
    return request.param(tmp_path)


def test_lines_are_written_in_order_as_they_are(case):
    assert case.sink.write(LINES[:2]) is None
    assert case.sink.write(LINES[2:]) is None

    assert case.held() == b"".join(LINES)


def test_nothing_to_write_is_no_trouble(case):
    assert case.sink.write([]) is None


def test_what_finds_no_room_is_counted_and_no_exception(case):
    case.sink.write(LINES[:1])
    case.fill()

    shortfall = case.sink.write(LINES)

    assert isinstance(shortfall, Shortfall)
    assert shortfall.count == len(LINES)
    assert shortfall.reason


def test_writing_goes_on_after_reopening(case):
    case.sink.write(LINES[:1])
    case.sink.reopen()
    case.sink.write(LINES[1:])

    assert case.held() == b"".join(LINES)


def test_closing_keeps_what_was_written_and_leaks_no_descriptor(case):
    before = descriptors()
    case.sink.write(LINES)
    case.sink.close()

    assert case.held() == b"".join(LINES)
    assert descriptors() == before
