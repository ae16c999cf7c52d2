"""Resources in files: read at once, watched for changes.

Law: a file that cannot be read is a finding, never an exception and never silence. A change is told once it can be
read, several at once are told once.
"""

import gc
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from hashlib import blake2b
from pathlib import Path

import msgspec

from calicod.datastore.fingerprints import Fingerprint, fingerprint
from calicod.datastore.paths import STDIN, Found, files
from calicod.errors import Diagnostic
from calicod.resources.document import MAX_TEXT
from calicod.resources.load import Loaded, load, together


class Text(msgspec.Struct, frozen=True):
    """A file by its path, with what it holds."""

    path: str
    content: bytes


POLL_SECONDS = 1.0
"""How often files are looked at when the kernel tells nothing: what lies behind a link, or is not there yet."""


def read(paths: Sequence[str | Path]) -> Loaded:
    """Every resource of every path, and every finding. A path of several names is read once; `-` is standard input."""
    with collector_paused():
        return together(tuple(_read(found, _parsed) for found in files(paths)))


def gather(paths: Sequence[str | Path]) -> tuple[tuple[Text, ...], Loaded]:
    """Every file of every path as it is, and what is in them."""
    texts: list[Text] = []

    def parse(path: str, content: bytes) -> Loaded:
        texts.append(Text(path, content))
        return _parsed(path, content)

    with collector_paused():
        loaded = together(tuple(_read(found, parse) for found in files(paths)))
    return tuple(texts), loaded


def read_texts(texts: Iterable[Text]) -> Loaded:
    """What is in these texts, as if they were files."""
    with collector_paused():
        return together(tuple(_parsed(text.path, text.content) for text in texts))


class Files:
    """Files and directories as a datastore. What a file held is remembered by its digest and not parsed again."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.paths = tuple(str(path) for path in paths)
        self._parsed: dict[tuple[str, bytes], Loaded] = {}

    def read(self) -> Loaded:
        """Everything in the files now."""
        former, self._parsed = self._parsed, {}

        def parse(path: str, content: bytes) -> Loaded:
            key = (path, blake2b(content).digest())
            self._parsed[key] = former[key] if key in former else _parsed(path, content)
            return self._parsed[key]

        with collector_paused():
            return together(tuple(_read(found, parse) for found in files(self.paths)))

    def changes(self) -> AsyncIterator[None]:
        """Yields after one or more changes of the files."""
        return watch(self.paths)


def watch(paths: Sequence[str | Path], poll_seconds: float = POLL_SECONDS) -> AsyncIterator[None]:
    """Yields when `read` may give something else than at the time of this call, or of the last yield.

    Call it before the first `read`, and no change is lost. The kernel wakes it up (inotify), and it looks for itself
    every `poll_seconds`: directories may appear later, links may be swapped far away, watches may run out.
    """
    return _watch(tuple(str(path) for path in paths), fingerprint(paths), poll_seconds)


async def _watch(paths: tuple[str, ...], known: Fingerprint, poll_seconds: float) -> AsyncIterator[None]:
    import asyncio  # those who only read do without its 20 ms

    while True:
        files_known = [path for path, *_ in known]
        touched = map(os.path.abspath, await _woken([*files_known, *paths], poll_seconds))
        now = await asyncio.to_thread(fingerprint, paths)
        # Two writes within one tick of the kernel's clock leave one fingerprint: what inotify names counts as well.
        if now != known or not set(touched).isdisjoint(map(os.path.abspath, files_known)):
            known = now
            yield


async def _woken(paths: Sequence[str], seconds: float) -> set[str]:
    """The paths at which something happened, as soon as it did; none after some seconds without."""
    import asyncio

    from watchfiles import awatch

    roots = _roots(paths)
    try:
        if roots:
            timeout = int(seconds * 1000)
            watching = awatch(
                *roots, recursive=False, debounce=50, step=20, rust_timeout=timeout, yield_on_timeout=True
            )
            async with aclosing(watching):
                return {path for _, path in await anext(watching)}
    except (OSError, StopAsyncIteration):
        # Watches ran out, or a root vanished between looking and watching: looking again will tell.
        pass
    await asyncio.sleep(seconds)
    return set()


def _roots(paths: Sequence[str]) -> tuple[str, ...]:
    """The directories in which a change would show first: those given, and those of the files in them."""
    near = {path if os.path.isdir(path) else os.path.dirname(path) or "." for path in paths if path != STDIN}  # noqa: PTH112, PTH120  # as above
    return tuple(sorted(directory for directory in near if os.path.isdir(directory)))  # noqa: PTH112  # as above


def _read(found: Found, parse: Callable[[str, bytes], Loaded]) -> Loaded:
    if found.problem:
        return _failed(found.path, found.problem, found.hint)
    try:
        content = _content(found.path)
    except OSError as error:
        return _failed(found.path, (error.strerror or str(error)).lower(), "check the permissions of the file")
    if len(content) > MAX_TEXT:
        # What was read is cut off: it may even be a stream of whole documents.
        return _failed(found.path, f"longer than {MAX_TEXT >> 20} MiB", "split the file", code="Y002")
    return parse(found.path, content)


def _parsed(path: str, content: bytes) -> Loaded:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return _undecodable(path, content, error)
    return load(text, path)


def _content(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read(MAX_TEXT + 1)
    with open(path, "rb") as file:  # noqa: PTH123  # as above
        return file.read(MAX_TEXT + 1)


def _failed(path: str, problem: str, hint: str | None, code: str = "Y019") -> Loaded:
    return Loaded(diagnostics=(Diagnostic(code=code, message=problem, hint=hint, file=path),), broken=(path,))


def _undecodable(path: str, content: bytes, error: UnicodeDecodeError) -> Loaded:
    before = content[: error.start].decode("utf-8")
    diagnostic = Diagnostic(
        code="Y002",
        message=f"byte 0x{content[error.start]:02x} is not UTF-8",
        hint="save the file as UTF-8",
        file=path,
        line=before.count("\n") + 1,
        column=len(before) - before.rfind("\n"),
    )
    return Loaded(diagnostics=(diagnostic,), broken=(path,))


@contextmanager
def collector_paused() -> Iterator[None]:
    """Reading makes a million nodes, all reachable: looking for garbage among them takes longer than reading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
