import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calicod.daemon import priority
from calicod.daemon.priority import ATTRIBUTES, NICE, SLICE_NS, give_way

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275, "riscv64": 275}
THREADED = """import os, sys, threading
os.sched_setscheduler(0, int(sys.argv[1]), os.sched_param(0))
threading.Thread(target=threading.Event().wait).start()
print("ready", flush=True)
sys.stdin.readline()
threading.Thread(target=threading.Event().wait).start()
print("more", flush=True)
"""


@contextmanager
def process(policy: int = os.SCHED_OTHER) -> Iterator["subprocess.Popen[str]"]:
    """With a second thread; a third comes when it reads a line."""
    command = [sys.executable, "-c", THREADED, str(policy)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        child.stdout.readline()
        try:
            yield child
        finally:
            child.kill()


def attributes(thread: int) -> tuple[int, int, int]:
    """Policy, niceness and slice of a thread, as the kernel tells them."""
    answer = ctypes.create_string_buffer(ATTRIBUTES.size)
    call = SCHED_GETATTR[platform.machine()]
    assert ctypes.CDLL(None, use_errno=True).syscall(call, thread, answer, ATTRIBUTES.size, 0) == 0
    _, policy, _, nice, _, runtime, _, _ = ATTRIBUTES.unpack(answer.raw)
    return policy, nice, runtime


def threads(pid: int) -> list[int]:
    return [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]


def knows_slices() -> bool:
    return tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 12)


def test_every_thread_gives_way_and_so_does_what_it_starts_later():
    nice = os.getpriority(os.PRIO_PROCESS, 0) + NICE
    with process() as child:
        assert child.stdin
        assert child.stdout
        give_way(child.pid)
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        found = threads(child.pid)
        assert len(found) >= 2
        for thread in found:
            policy, told, runtime = attributes(thread)
            assert (policy, told) == (os.SCHED_OTHER, nice)
            assert not knows_slices() or runtime == SLICE_NS


def test_the_policy_that_the_operator_gave_stays():
    with process(os.SCHED_BATCH) as child:
        give_way(child.pid)
        assert {attributes(thread)[0] for thread in threads(child.pid)} == {os.SCHED_BATCH}


@pytest.mark.parametrize("calls", [{}, {platform.machine(): 1 << 20}], ids=["unknown machine", "refused"])
def test_where_the_kernel_takes_no_slice_the_niceness_is_set_all_the_same(monkeypatch, calls):
    monkeypatch.setattr(priority, "SCHED_SETATTR", calls)
    with process() as child:
        give_way(child.pid)
        told = {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads(child.pid)}
    assert told == {min(os.getpriority(os.PRIO_PROCESS, 0) + NICE, 19)}


def test_a_process_that_has_ended_is_no_error():
    with process() as child:
        pass
    assert not Path(f"/proc/{child.pid}").exists()
    give_way(child.pid)
