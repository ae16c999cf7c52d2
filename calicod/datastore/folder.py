"""The policy files as a whole: which set they are, and how another set takes their place.

Law: a set is replaced file by file, each in one step, and replacing may be begun again after any interruption: the end
is the same. Whoever replaces sees to it that nobody reads the files meanwhile. What was in them is taken before.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from calicod.datastore.files import Text
from calicod.datastore.fingerprints import Fingerprint
from calicod.datastore.lastgood import settle
from calicod.datastore.paths import STDIN, SUFFIXES, Found, files
from calicod.errors import CalicodError

STDIN_NAME = "stdin.yaml"
FILE_MODE = 0o644
MAX_NAME = 200
"""Characters of one part of a path; file systems take 255 bytes."""


def names(texts: Iterable[Text], paths: Sequence[str | Path]) -> tuple[Text, ...]:
    """The same texts under the names that they get in a policy folder: relative, each once, not hidden."""
    roots = sorted((Path(path).parts for path in paths), key=len, reverse=True)
    taken: set[str] = set()
    named = []
    for text in texts:
        name = _free(_relative(text.path, roots), taken)
        taken.add(name)
        named.append(Text(name, text.content))
    return tuple(named)


def _relative(path: str, roots: Iterable[tuple[str, ...]]) -> str:
    """Where a file lies below the directory that was named; the name alone of a file that was named itself."""
    if path == STDIN:
        return STDIN_NAME
    parts = Path(path).parts
    root = next((root for root in roots if len(root) < len(parts) and parts[: len(root)] == root), parts[:-1])
    *folders, name = (part.lstrip(".") or "_" for part in parts[len(root) :])
    return "/".join((*folders, name if name.endswith(SUFFIXES) else f"{name}.yaml"))


def _free(name: str, taken: set[str]) -> str:
    """The name, or the first with a number that nobody has."""
    stem, dot, suffix = name.rpartition(".")
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{stem}-{number}{dot}{suffix}"
    return free


def is_name(name: str) -> bool:
    """A file of that name would be read from a policy folder, and lies in it.

    >>> is_name("web.yaml"), is_name("../web.yaml"), is_name("a/.b/web.yaml"), is_name("web.txt")
    (True, False, False, False)
    """
    parts = PurePosixPath(name).parts
    plain = all(not part.startswith(".") and part.isprintable() and len(part) <= MAX_NAME for part in parts)
    return plain and name == "/".join(parts) and not name.startswith("/") and name.endswith(SUFFIXES)


def target(paths: Sequence[Path]) -> Path:
    """The folder that takes a set. Raises CalicodError when the policy files cannot be replaced by one."""
    for path in paths:
        if not path.is_dir() and (path.exists() or path.suffix in SUFFIXES):
            raise _irreplaceable(f'"{path}" is not a directory', "name directories in policy_paths")
    for found in files(paths):
        if not found.problem and _linked(found, paths):
            raise _irreplaceable(f'"{found.path}" is a link', "change what it leads to, where that is looked after")
    chosen = paths[0] if paths else Path()
    for path in paths:
        existing = next(folder for folder in (path, *path.parents) if folder.exists())
        if not os.access(existing, os.W_OK | os.X_OK):
            hint = "let the daemon write there: `ReadWritePaths=` in its unit"
            raise _irreplaceable(f'"{existing}" cannot be written by the daemon', hint)
    return chosen


def _linked(found: Found, paths: Iterable[Path]) -> bool:
    """The file is a link, or lies behind one below its policy path."""
    path = Path(found.path)
    above = (folder for folder in path.parents if _below(folder, paths))
    return path.is_symlink() or any(folder.is_symlink() for folder in above)


def _below(path: Path, paths: Iterable[Path]) -> bool:
    return any(root in path.parents for root in paths)


def _irreplaceable(why: str, hint: str) -> CalicodError:
    return CalicodError("K053", f"the policy files cannot be replaced: {why}", hint=hint)


def present(paths: Sequence[Path]) -> tuple[Text, ...]:
    """Every policy file as it is. Raises OSError."""
    return tuple(Text(found.path, Path(found.path).read_bytes()) for found in files(paths) if not found.problem)


def install(paths: Sequence[Path], texts: Iterable[Text]) -> None:
    """Makes these, by their full paths, the only policy files. Raises OSError; then it may be called again."""
    wanted = {text.path: text.content for text in texts}
    touched = set[Path]()
    for found in files(paths):
        path = Path(found.path)
        if found.path not in wanted and not found.problem:
            path.unlink(missing_ok=True)
            touched |= {path.parent, *_emptied(path.parent, paths)}
    for name, content in wanted.items():
        path = Path(name)
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, content)
            touched.add(path.parent)
    for folder in touched:
        if folder.is_dir():
            settle(folder)


def _emptied(folder: Path, paths: Sequence[Path]) -> Iterable[Path]:
    """Removes folders in which nothing is left, up to the policy path."""
    while _below(folder, paths):
        with suppress(OSError):
            folder.rmdir()
        folder = folder.parent
        yield folder


def _write(path: Path, content: bytes) -> None:
    """Replaces a file in one step, with the mode of the one before. Its draft is hidden, so nobody reads it."""
    draft = path.with_name(f".{path.name}.calicod")
    mode = path.stat().st_mode & 0o777 if path.exists() else FILE_MODE
    with draft.open("wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def differences(before: Fingerprint, now: Fingerprint) -> tuple[str, ...]:
    """The files that were written, made or removed between two looks."""
    changed = {path for path, *_ in {*before} ^ {*now}}
    return tuple(sorted(changed))
