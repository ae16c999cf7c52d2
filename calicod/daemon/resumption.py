"""May the first workers judge by what the last daemon enforced, before policy is read? When nothing can have changed.

Law: only what was in force to the end is noted, and the note is gone before anything else comes into force. It holds
for a moment after the last sign of life, for the same settings, the same policy files and the same interfaces. Whatever
is missing, old or different: the workers wait for orders.
"""

import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b

import msgspec

from calicod import __version__
from calicod.daemon.settings import Settings
from calicod.datastore.fingerprints import Fingerprint, fingerprint
from calicod.model.interface import Interface

NOTE_FILE = "resumption.msgpack"
LIFE_SECONDS = 10.0
"""A daemon that gave no sign of life for so long is history: addresses may have moved, and they are not compared."""


class Note(msgspec.Struct, frozen=True):
    """What was there when the policy in force was read. `names`: every interface by its index."""

    settings: bytes
    files: Fingerprint
    names: tuple[tuple[int, str], ...]


class Resumption:
    """The note of one daemon. Writing it fails silently: it only saves the next daemon's clients a moment."""

    def __init__(self, settings: Settings) -> None:
        self._settings = digest(settings)
        self._paths = settings.policy_paths
        self._path = settings.run_directory / NOTE_FILE
        self._files: Fingerprint | None = None

    def before_reading(self) -> None:
        """Looks at the policy files; blocks."""
        self._files = fingerprint(self._paths)

    def forget(self) -> None:
        """Before anything else comes into force. Raises OSError."""
        self._path.unlink(missing_ok=True)

    def remember(self, interfaces: Iterable[Interface]) -> None:
        """What was read is in force everywhere."""
        # Not above: the keeper, which only asks, does without all that it imports.
        from calicod.daemon.enforcer import write_atomically

        if self._files is None:
            return
        names = tuple((interface.index, interface.name) for interface in interfaces)
        note = msgspec.msgpack.encode(Note(self._settings, self._files, names))
        with suppress(OSError):
            write_atomically(self._path, note)

    def live(self) -> None:
        """A sign of life, each second."""
        with suppress(OSError):
            os.utime(self._path)


def resumes(settings: Settings, now: float | None = None) -> bool:
    """Whether the enforcement file is what policy, as it is written, says on this host. `now`: as time.time()."""
    path = settings.run_directory / NOTE_FILE
    try:
        age = (time.time() if now is None else now) - path.stat().st_mtime
        note = msgspec.msgpack.decode(path.read_bytes(), type=Note)
        return (
            0 <= age <= LIFE_SECONDS
            and note.settings == digest(settings)
            and sorted(note.names) == sorted(socket.if_nameindex())
            and note.files == fingerprint(settings.policy_paths)
        )
    except (OSError, ValueError, msgspec.MsgspecError):  # text that is no UTF-8 is a ValueError
        return False


def digest(settings: Settings) -> bytes:
    """Of every setting, and of our version."""
    return blake2b(f"{__version__} {settings!r}".encode()).digest()
