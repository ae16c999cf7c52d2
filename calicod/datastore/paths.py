"""Which files a PATH means (contract.md): a file, a directory of `*.yaml`, `*.yml` and `*.json`, or `-`.

Law: the order is that of the names, the same on every machine. A file that several paths lead to is read once.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

STDIN = "-"
SUFFIXES = (".yaml", ".yml", ".json")
MAX_DEPTH = 32


class Found(msgspec.Struct, frozen=True):
    """A file to read, as it will be named in findings; or why a path cannot be read, with the way out."""

    path: str
    problem: str = ""
    hint: str | None = None


def files(paths: Iterable[str | Path]) -> tuple[Found, ...]:
    """Every file that the paths mean, in order, and every path that cannot be read."""
    seen: set[tuple[int, int]] = set()
    found: list[Found] = []
    for path in paths:
        for candidate in map(_nameable, _expand(str(path))):
            key = _inode(candidate.path) if not candidate.problem else None
            if key is None or key not in seen:
                found.append(candidate)
            if key is not None:
                seen.add(key)
    return tuple(found)


def _nameable(found: Found) -> Found:
    """The same, unless its name is no text: then nothing that it holds could be told with its place."""
    try:
        found.path.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(found.path).decode("utf-8", "backslashreplace")
        return Found(shown, "its name is not UTF-8", "rename it")
    return found


def _expand(path: str) -> Iterator[Found]:
    if path == STDIN:
        yield Found(STDIN)
        return
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        yield _unreadable(path, error)
        return
    if stat.S_ISDIR(mode):
        yield from _directory(path, ())
    elif stat.S_ISSOCK(mode) or stat.S_ISBLK(mode):
        yield Found(path, "neither a file nor a directory", "give a file, a directory or -")
    else:
        yield Found(path)


def _directory(path: str, above: Sequence[tuple[int, int]]) -> Iterator[Found]:
    """Files below a directory, in order.

    Hidden ones are left out, as `*` leaves them out: among them are editors' locks and the `..data` of a mounted
    ConfigMap, through which each file would come twice.
    """
    here = _inode(path)
    if here is None or here in above or len(above) >= MAX_DEPTH:
        return
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        yield _unreadable(path, error)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            directory, regular = entry.is_dir(), entry.is_file()
        except OSError as error:
            yield _unreadable(entry.path, error)
            continue
        if directory:
            yield from _directory(entry.path, (*above, here))
        elif entry.name.endswith(SUFFIXES):
            yield _entry(entry.path, regular=regular)


def _entry(path: str, *, regular: bool) -> Found:
    if regular:
        return Found(path)
    if os.path.islink(path):  # noqa: PTH114  # no Path per file: directories may hold many thousands
        return Found(path, "the link leads nowhere", "remove it, or mend what it leads to")
    return Found(path, "not a regular file", "remove it, or give it another ending")


def _inode(path: str) -> tuple[int, int] | None:
    if path == STDIN:
        return (0, 0)
    try:
        found = os.stat(path)  # noqa: PTH116  # as above
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _unreadable(path: str, error: OSError) -> Found:
    hints = {
        FileNotFoundError: "check the path, or create it",
        PermissionError: "run as a user that may read it, or change its permissions",
    }
    return Found(path, (error.strerror or str(error)).lower(), hints.get(type(error)))
