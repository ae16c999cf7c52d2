import os
import resource
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calicod.eventlog.file import FileSettings, FileSink
from calicod.eventlog.sink import Several

LINE = b'{"event":"daemon.recovered"}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "events.jsonl"


def made(path: Path, max_bytes: int = 0, keep: int = 5) -> FileSink:
    return FileSink(FileSettings(path, max_bytes, keep))


def lines(*numbers: int) -> list[bytes]:
    return [b"line %d\n" % number for number in numbers]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A write that would make a file larger is cut short, and the next one fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


# The file


def test_the_folder_is_made_and_the_file_is_not_for_everybody(path):
    made(path).write([LINE])

    assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o027 == 0


def test_what_is_there_already_stays(path):
    path.parent.mkdir()
    path.write_bytes(b"before\n")

    made(path).write([LINE])

    assert path.read_bytes() == b"before\n" + LINE


def test_a_line_that_a_dead_process_left_unfinished_is_ended(path):
    path.parent.mkdir()
    path.write_bytes(b'{"event":')

    made(path).write([LINE])

    assert path.read_bytes() == b'{"event":\n' + LINE


def test_a_file_that_cannot_be_opened_is_tried_again_with_each_write(path):
    path.mkdir(parents=True)
    sink = made(path)

    shortfall = sink.write(lines(1, 2))
    assert (shortfall.count, "Is a directory" in shortfall.reason) == (2, True)

    path.rmdir()
    assert sink.write(lines(3)) is None
    assert path.read_bytes() == b"line 3\n"


# Rotation by others


@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_a_file_that_was_renamed_or_removed_is_made_anew(path, how):
    sink = made(path)
    sink.write(lines(1))
    old = path.with_name("old")
    path.rename(old) if how == "renamed" else path.unlink()

    sink.write(lines(2))

    assert path.read_bytes() == b"line 2\n"
    assert how == "removed" or old.read_bytes() == b"line 1\n"


def test_a_file_that_was_emptied_in_place_is_written_from_its_beginning(path):
    sink = made(path)
    sink.write(lines(1))
    os.truncate(path, 0)

    sink.write(lines(2))

    assert path.read_bytes() == b"line 2\n"


# Rotation by itself


def test_no_file_grows_beyond_its_limit_and_the_oldest_goes(path):
    sink = made(path, max_bytes=14, keep=2)

    for number in range(9):
        assert sink.write(lines(number)) is None

    kept = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    assert kept == {
        "events.jsonl": b"line 8\n",
        "events.jsonl.1": b"line 6\nline 7\n",
        "events.jsonl.2": b"line 4\nline 5\n",
    }


def test_one_write_of_many_lines_fills_many_files(path):
    assert made(path, max_bytes=14, keep=9).write(lines(*range(5))) is None

    assert [path.with_name(f"events.jsonl{n}").read_bytes() for n in (".2", ".1", "")] == [
        b"line 0\nline 1\n",
        b"line 2\nline 3\n",
        b"line 4\n",
    ]


def test_a_line_longer_than_the_limit_gets_a_file_of_its_own(path):
    sink = made(path, max_bytes=5, keep=1)

    sink.write(lines(1, 2))

    assert (path.read_bytes(), path.with_name("events.jsonl.1").read_bytes()) == (b"line 2\n", b"line 1\n")


def test_without_files_to_keep_the_full_one_goes(path):
    sink = made(path, max_bytes=7, keep=0)

    sink.write(lines(1, 2))

    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == {"events.jsonl": b"line 2\n"}


def test_a_file_that_cannot_be_rotated_grows_on_and_says_so(path):
    sink = made(path, max_bytes=7, keep=1)
    path.with_name("events.jsonl.1").mkdir(parents=True)

    shortfall = sink.write(lines(1, 2))

    assert (shortfall.count, "cannot be rotated" in shortfall.reason) == (0, True)
    assert path.read_bytes() == b"line 1\nline 2\n"


# No room


def test_on_a_full_disk_no_half_line_stays(path):
    sink = made(path)

    with largest_file(17):
        shortfall = sink.write(lines(1, 2, 3, 4))

    assert (shortfall.count, "File too large" in shortfall.reason) == (2, True)
    assert path.read_bytes() == b"line 1\nline 2\n"
    assert sink.write(lines(5)) is None
    assert path.read_bytes() == b"line 1\nline 2\nline 5\n"


def test_a_half_line_that_cannot_be_taken_back_is_ended_later(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    sink = made(pipe)
    long = [b"x" * 9_000 + b"\n"] * 20

    shortfall = sink.write(long)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    first = os.read(reader, 1 << 20)
    assert sink.write([LINE]) is None
    second = os.read(reader, 1 << 20)
    os.close(reader)

    assert first.count(b"\n") == len(long) - shortfall.count > 0
    assert not first.endswith(b"\n")
    assert second == b"\n" + LINE


def test_a_pipe_that_nobody_reads_stops_nobody(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    sink = made(pipe)

    lost = sum(shortfall.count for _ in range(100) if (shortfall := sink.write([LINE] * 100)))

    assert 0 < lost < 10_000


# Pieces of several lines


def test_a_piece_of_several_lines_is_written_as_its_lines_are(path):
    sink = made(path, max_bytes=14, keep=5)

    assert sink.write([Several(b"".join(lines(1, 2, 3)), 3), *lines(4)]) is None

    assert path.with_name(f"{path.name}.1").read_bytes() == b"line 1\nline 2\n"
    assert path.read_bytes() == b"line 3\nline 4\n"


def test_of_a_piece_that_finds_no_room_the_lines_that_did_stay(path):
    sink = made(path)

    with largest_file(17):
        shortfall = sink.write([Several(b"".join(lines(1, 2, 3, 4)), 4)])

    assert (shortfall.count, path.read_bytes()) == (2, b"line 1\nline 2\n")
