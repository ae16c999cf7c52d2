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
from pathlib import Path

import msgspec

from calicod import __version__
from calicod.daemon.booted import boot_id, boot_time
from calicod.daemon.instance import TRIAL_FILE
from calicod.daemon.settings import Settings
from calicod.datastore.fingerprints import Fingerprint, fingerprint
from calicod.errors import CalicodError
from calicod.model.interface import Interface
from calicod.netfilter.addresses import addresses

NOTE_FILE = "resumption.msgpack"
LIFE_SECONDS = 10.0
"""A daemon that gave no sign of life for so long is history."""
TICK_SECONDS = 0.02
"""More than a tick of the clock that the kernel stamps files by. What was changed within it may change unseen."""
LOOKS = 5
NAMESPACE = Path("/proc/self/ns/net")

Nic = tuple[int, str, tuple[bytes, ...]]
"""Index, name and addresses of an interface."""


class Note(msgspec.Struct, frozen=True):
    """What was there when the policy in force was read. `last_good`: files that stand for what is broken in `files`.

    The time of its last change (mtime) is that of the last sign of life, in seconds since the boot.
    """

    settings: bytes
    place: str
    files: Fingerprint
    last_good: Fingerprint
    nics: tuple[Nic, ...]


class Resumption:
    """The note of one daemon. Writing it fails silently: it only saves the next daemon's clients a moment.

    `last_good`: the files, besides policy's own, that say what is in force.
    """

    def __init__(self, settings: Settings, last_good: tuple[Path, ...] = ()) -> None:
        self._settings = digest(settings)
        self._paths = settings.policy_paths
        self._last_good = last_good
        self._path = settings.run_directory / NOTE_FILE
        self._looked: Fingerprint | None = None
        self._read: tuple[Fingerprint, Fingerprint] | None = None

    def before_reading(self) -> None:
        """Looks at the policy files; blocks. Until `after_reading` nobody knows what was read."""
        self._read = None
        self._looked = settled(self._paths)

    def after_reading(self) -> None:
        """Everything was read, without an exception; blocks."""
        if self._looked is not None:
            self._read = (self._looked, fingerprint(self._last_good))

    def forget(self) -> None:
        """Before anything else comes into force. Raises OSError."""
        self._path.unlink(missing_ok=True)

    def remember(self, interfaces: Iterable[Interface]) -> None:
        """What was read is in force everywhere."""
        # Not above: the keeper, which only asks, does without all that it imports.
        from calicod.daemon.enforcer import write_atomically

        if self._read is None:
            return
        nics = tuple(sorted((nic.index, nic.name, tuple(sorted(nic.addresses))) for nic in interfaces))
        with suppress(OSError):
            write_atomically(self._path, msgspec.msgpack.encode(Note(self._settings, place(), *self._read, nics)))
        self.live()

    def live(self) -> None:
        """A sign of life, each second."""
        now = boot_time()
        with suppress(OSError):
            os.utime(self._path, (now, now))


def resumes(settings: Settings, now: float | None = None) -> bool:
    """Whether the enforcement file is what policy, as it is written, says on this host. `now`: as boot_time()."""
    path = settings.run_directory / NOTE_FILE
    try:
        age = (boot_time() if now is None else now) - path.stat().st_mtime
        note = msgspec.msgpack.decode(path.read_bytes(), type=Note)
        return (
            0 <= age <= LIFE_SECONDS
            and note.settings == digest(settings)
            and note.place == place()
            and not os.path.lexists(settings.state_directory / TRIAL_FILE)  # it may be in force in place of the files
            and note.nics == present()
            and note.last_good == fingerprint([name for name, *_ in note.last_good])
            and note.files == fingerprint(settings.policy_paths)
        )
    except (OSError, CalicodError, ValueError, msgspec.MsgspecError):  # text that is no UTF-8 is a ValueError
        return False


def settled(paths: Iterable[Path]) -> Fingerprint | None:
    """The fingerprint of files, once a further change would show in it; None while they change all the time. Blocks."""
    known = tuple(paths)
    for _ in range(LOOKS):
        found = fingerprint(known)
        now = time.time()
        if not any(0 <= now - changed / 1e9 < TICK_SECONDS for *_, changed in found):
            return found
        time.sleep(TICK_SECONDS)
    return None


def present() -> tuple[Nic, ...]:
    """Every interface. Raises CalicodError or OSError."""
    found = addresses()
    return tuple(sorted((index, name, found.get(index, ())) for index, name in socket.if_nameindex()))


def place() -> str:
    """Which boot of which machine it is, and which network namespace. Raises OSError."""
    return f"{boot_id()} {NAMESPACE.readlink()}"


def digest(settings: Settings) -> bytes:
    """Of every setting, and of our version."""
    return blake2b(f"{__version__} {settings!r}".encode()).digest()
