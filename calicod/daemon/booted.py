"""Which boot of the machine this is, and how long ago it was: a clock that no one can set."""

import time
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_time() -> float:
    """Seconds since the machine was started, asleep or not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The same for as long as the machine runs."""
    return BOOT_ID.read_text(encoding="ascii").strip()
