"""The run directory, and the one daemon that may work in it.

Law: the lock belongs to the process that claimed it and ends with it: the kernel gives it back, also after `kill -9`.
It is a record lock: forked children neither inherit nor prolong it.
"""

import fcntl
import grp
import os
import stat
from pathlib import Path

from calicod.errors import CalicodError
from calicod.intercept import nfqueue

ENFORCEMENT_FILE = "enforcement.msgpack"
TRIAL_FILE = "trial"
"""In the state directory."""
LOCK_FILE = "lock"
GROUP = "calicod"
DIRECTORY_MODE = 0o750
CAP_NET_ADMIN = 12


class Instance:
    """A claimed run directory. `notices` are for `calicod status`."""

    def __init__(self, run_directory: Path, descriptor: int, notices: tuple[str, ...]) -> None:
        self.run_directory = run_directory
        self.notices = notices
        self._descriptor = descriptor

    def close(self) -> None:
        """Gives the directory back."""
        os.close(self._descriptor)


def claim(run_directory: Path) -> Instance:
    """Makes the run directory and locks it. Raises CalicodError when this host, or another daemon, does not let us."""
    require_permission(Path("/proc/self/status").read_text(encoding="ascii"))
    nfqueue.require()
    notices = make_directory(run_directory)
    return Instance(run_directory, lock(run_directory / LOCK_FILE), notices)


def require_permission(status: str) -> None:
    """CAP_NET_ADMIN must be in force; `status` is /proc/self/status."""
    words = next((line.split() for line in status.splitlines() if line.startswith("CapEff:")), ["", "0"])
    if not int(words[1], 16) >> CAP_NET_ADMIN & 1:
        raise CalicodError(
            "K040",
            "not permitted to filter packets: CAP_NET_ADMIN is missing",
            hint="run it as root, or start the unit: `systemctl start calicod`",
            exit_code=4,
        )


def make_directory(path: Path) -> tuple[str, ...]:
    """The directory, for root and the group `calicod`; notices say what is different. Raises CalicodError.

    A directory that holds other things than ours is used as it is: its owner and mode are not ours to change.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)
        about = path.stat()
        ours = (path / LOCK_FILE).exists() or not any(path.iterdir())
    except OSError as error:
        raise unusable(path, str(error.strerror)) from error
    if about.st_uid != os.geteuid():
        raise unusable(path, f"it belongs to user {about.st_uid}")
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise unusable(path, "others may write to it")
    return shape(path) if ours else ()


def shape(path: Path) -> tuple[str, ...]:
    """Opens the directory to the group `calicod`, or says that there is none."""
    notices: tuple[str, ...] = ()
    try:
        group = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        group = os.getegid()
        notices = (f"no group `{GROUP}`: only root may use the control socket",)
    try:
        os.chown(path, -1, group)
        path.chmod(DIRECTORY_MODE)
    except PermissionError:  # CAP_CHOWN is not among what the unit keeps; the unit made the directory as it should be
        return (*notices, f"`{path}` keeps its group and mode")
    return notices


def unusable(path: Path, why: str) -> CalicodError:
    """The error for a run directory that cannot be one."""
    return CalicodError(
        "K045",
        f'run_directory "{path}" cannot be used: {why}',
        hint="choose a directory that only root may write to, as `/run/calicod`",
        exit_code=4,
    )


def lock(path: Path) -> int:
    """The descriptor of the locked file, which tells people the number of the process. Raises CalicodError."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise unusable(path.parent, f"{LOCK_FILE}: {error.strerror}") from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise CalicodError(
            "K044",
            f'another calicod runs in "{path.parent}": process {pid}',
            hint="stop it, or give this one its own `run_directory` in a network namespace of its own",
            exit_code=4,
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
