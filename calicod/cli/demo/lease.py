"""A folder and a name that belong to one run of the demo as long as it lives.

Law: what a run leaves behind is known by its name alone, and whether it still lives by a lock that the kernel gives
back when the process ends, however it ends. Only what bears a name of ours, and whose lock is free, is removed.
"""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from calicod.cli.demo.space import namespaces, remove_namespace

BASE = Path("/run")
LOCK = "lock"


class Lease:
    """A folder below `base`, and the prefix of every namespace that goes with it."""

    def __init__(self, folder: Path, prefix: str, descriptor: int) -> None:
        self.folder = folder
        self.prefix = prefix
        self._descriptor = descriptor

    def close(self) -> None:
        """Removes the namespaces and the folder, and gives the lock back last."""
        clear(self.prefix)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._descriptor)


def claim(prefix: str, base: Path = BASE) -> Lease:
    """A lease of this process, after everything that dead ones of the same prefix left behind is removed."""
    with one_at_a_time(base):
        reclaim(prefix, base)
        name = f"{prefix}{os.getpid()}"
        folder = base / name
        folder.mkdir(mode=0o700)
        descriptor = lock(folder / LOCK)
    if descriptor is None:  # nobody else can know the folder yet
        raise FileExistsError(folder)
    return Lease(folder, f"{name}-", descriptor)


@contextlib.contextmanager
def one_at_a_time(base: Path) -> Iterator[None]:
    """Waits for whoever claims or reclaims here: a folder is not locked yet while it is made."""
    descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def reclaim(prefix: str, base: Path) -> tuple[str, ...]:
    """Removes what dead runs left behind; returns their names."""
    dead = []
    for folder in sorted(base.iterdir()):
        if not re.fullmatch(rf"{re.escape(prefix)}\d+", folder.name):
            continue
        descriptor = lock(folder / LOCK)
        if descriptor is not None:
            clear(f"{folder.name}-")
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)
            dead.append(folder.name)
    return tuple(dead)


def clear(prefix: str) -> None:
    """Removes every namespace whose name begins so."""
    for name in namespaces():
        if name.startswith(prefix):
            remove_namespace(name)


def lock(path: Path) -> int | None:
    """The descriptor of the locked file; None: somebody alive holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except FileNotFoundError:  # its owner, who ended just now, removed the folder
        return None
    return descriptor
