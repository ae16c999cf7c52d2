"""A list of network namespaces of its own for each process of tests that runs beside others (pytest-xdist).

Law: what is called the same in two processes never meets; a process that runs alone is left as it is.
"""

import ctypes
import os
from pathlib import Path

CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
NAMES = Path("/run/netns")
"""Where `ip netns` keeps the names."""

_libc = ctypes.CDLL(None, use_errno=True)


def stand_apart() -> None:
    """From here on this process, and what it starts, sees no namespace but its own. Needs root; raises OSError."""
    _ask(_libc.unshare(CLONE_NEWNS), "unshare")
    _ask(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount /")
    NAMES.mkdir(parents=True, exist_ok=True)
    _ask(_libc.mount(b"tmpfs", os.fsencode(NAMES), b"tmpfs", 0, None), f"mount {NAMES}")


def _ask(answer: int, what: str) -> None:
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
