"""JSON Lines in a file that this sink rotates, and that other programs may rotate.

Law: a line that could not be written whole is taken back, or ended before the next one begins. The file is opened
without waiting: a pipe that nobody reads loses lines, it stops nobody.
"""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from calicod.eventlog.sink import NEWLINE, Shortfall

FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""O_RDWR: a named pipe opens before its reader comes, and the last byte of a file can be looked at."""
FILE_MODE, FOLDER_MODE = 0o640, 0o750
CHUNK_BYTES = 4 << 20
"""At most so much is given to the kernel at once. With each call of the kernel this thread gives the interpreter away,
and a supervisor under load gives it back after 5 ms only."""


class FileSettings(msgspec.Struct, frozen=True):
    """`max_bytes`: of one file, 0 without a limit. `keep`: how many older ones stay, `path.1` the youngest of them."""

    path: Path = Path("/var/log/calicod/events.jsonl")
    max_bytes: int = 100 << 20
    keep: int = 5


class FileSink:
    """Appends. Opens the file with the first line, and again when its name points elsewhere."""

    def __init__(self, settings: FileSettings) -> None:
        self.settings = settings
        self._descriptor = -1
        self._identity = (-1, -1)
        self._torn = False

    def write(self, pieces: Sequence[bytes]) -> Shortfall | None:
        """Appends; in a new file when this one is full."""
        data, done, complaint = b"".join(pieces), 0, ""
        failure: OSError | None = None
        while done < len(data) and failure is None:
            try:
                size, complaint = self._ready(data.index(NEWLINE, done) + 1 - done, complaint)
            except OSError as error:
                failure = error
            else:
                written, failure = self._append(data, done, self._fitting(data, done, size))
                done += written
        if failure is not None:
            complaint = f"{self.settings.path}: cannot be written: {failure.strerror or failure}"
        return Shortfall(data.count(NEWLINE, done), complaint) if complaint else None

    def reopen(self) -> None:
        """Closes the file; the next line opens what the name points to then."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def close(self) -> None:
        """Nothing was kept back."""
        self.reopen()

    def _ready(self, need: int, complaint: str) -> tuple[int, str]:
        """Opens what the name points to, rotates a full file; its size, and what went wrong with rotating."""
        size = self._size()
        if self.settings.max_bytes and size and size + need > self.settings.max_bytes:
            try:
                self._rotate()
            except OSError as error:
                return size, f"{self.settings.path}: cannot be rotated: {error.strerror or error}"
            size = self._open()
        return size, complaint

    def _size(self) -> int:
        """Of the file that the name points to, which is opened unless it is the open one."""
        if self._descriptor >= 0:
            with suppress(FileNotFoundError):
                named = self.settings.path.stat()
                if (named.st_dev, named.st_ino) == self._identity:
                    return size_in(named)
            self.reopen()
        return self._open()

    def _open(self) -> int:
        path = self.settings.path
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self._descriptor = os.open(path, FLAGS, FILE_MODE)
        opened = os.fstat(self._descriptor)
        self._identity, size = (opened.st_dev, opened.st_ino), size_in(opened)
        self._torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != NEWLINE
        return size

    def _rotate(self) -> None:
        """The file becomes `path.1`, and so on; the oldest goes."""
        path, keep = self.settings.path, self.settings.keep
        names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, keep + 1))]
        if not keep:
            path.unlink()
        for older, younger in reversed(list(zip(names[1:], names, strict=False))):
            with suppress(FileNotFoundError):
                younger.rename(older)
        self.reopen()

    def _fitting(self, data: bytes, begin: int, size: int) -> int:
        """Where lines end, of which one write and the file take as many; one at least."""
        limit = self.settings.max_bytes
        room = min(CHUNK_BYTES, max(0, limit - size)) if limit else CHUNK_BYTES
        if len(data) - begin <= room:
            return len(data)
        return data.rfind(NEWLINE, begin, begin + room) + 1 or data.index(NEWLINE, begin) + 1

    def _append(self, data: bytes, begin: int, end: int) -> tuple[int, OSError | None]:
        """How many bytes, of whole lines, were written, and what stopped the others."""
        written = begin
        try:
            if self._torn:
                os.write(self._descriptor, NEWLINE)
                self._torn = False
            while written < end:
                written += os.write(self._descriptor, memoryview(data)[written:end])
        except OSError as error:
            whole = max(begin, data.rfind(NEWLINE, begin, written) + 1)
            self._take_back(written - whole)
            return whole - begin, error
        return end - begin, None

    def _take_back(self, rest: int) -> None:
        """Removes the beginning of a line, `rest` bytes; where that cannot be, the next write ends it."""
        if not rest:
            return
        try:
            os.ftruncate(self._descriptor, size_in(os.fstat(self._descriptor)) - rest)
        except OSError:
            self._torn = True


def size_in(status: os.stat_result) -> int:
    """Of a regular file; 0 for what has no size, such as a pipe."""
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
