"""Who goes first where the processor is scarce: verdicts, then policy and events.

Law: what a kernel lacks or refuses is left out; nothing here is needed for a right verdict.
"""

import ctypes
import os
import platform
import struct
from contextlib import suppress
from pathlib import Path

NICE = 5
"""Of the supervisor: the buffers between it and the verdicts hold some seconds of a flood."""
SLICE_NS = 10_000_000
"""How long the supervisor may work in one go if nobody else wants to, some times what others have. Who has a shorter
slice interrupts it at once when he wakes, not at the next tick (up to 4 ms). Linux 6.12, `sched_setattr(2)`; kernels
before know no slice of a process. With the longest there is, 0.1 s, it gets its share too late to read a flood."""
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
"""Numbers of the system call, which the C library has a name for since glibc 2.41 only."""
SCHED_FLAG_KEEP_POLICY = 0x08
ATTRIBUTES = struct.Struct("@IIQiIQQQ")
"""`struct sched_attr`: size, policy, flags, nice, priority, runtime (of SCHED_OTHER the slice), deadline, period."""

_libc = ctypes.CDLL(None, use_errno=True)


def give_way(pid: int) -> None:
    """Lets others go before that process, with all its threads, and interrupt it.

    Not at the start: until the first policy is in force there are no verdicts without the supervisor.
    """
    nice = os.getpriority(os.PRIO_PROCESS, os.getppid() if pid == os.getpid() else 0) + NICE
    with suppress(OSError):  # it has ended meanwhile
        for thread in Path(f"/proc/{pid}/task").iterdir():
            if not _sliced(int(thread.name), nice):
                with suppress(OSError):  # this one has
                    os.setpriority(os.PRIO_PROCESS, int(thread.name), nice)


def _sliced(thread: int, nice: int) -> bool:
    """Whether the thread has its niceness and its slice now; what it starts from now on has them too."""
    call = SCHED_SETATTR.get(platform.machine())
    wanted = ATTRIBUTES.pack(ATTRIBUTES.size, 0, SCHED_FLAG_KEEP_POLICY, nice, 0, SLICE_NS, 0, 0)
    return call is not None and not _libc.syscall(call, thread, wanted, 0)
