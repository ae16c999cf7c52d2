import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from calicod.daemon.confinement import CAP_NET_ADMIN, die_with

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give capabilities up")
KEPT = 1 << CAP_NET_ADMIN
CONFINED = "import os\nfrom calicod.daemon.confinement import confine, die_with\n"


def told(body: str) -> str:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", CONFINED + body], capture_output=True, text=True, check=False, timeout=30
    )
    assert not done.returncode, done.stderr
    return done.stdout


def capabilities(status: str) -> dict[str, int]:
    lines = (line.split() for line in status.splitlines() if line.startswith("Cap"))
    return {name.rstrip(":"): int(value, 16) for name, value in lines}


@NEEDS_ROOT
def test_a_confined_process_keeps_cap_net_admin_and_nothing_else():
    shown = told("confine()\nprint(open('/proc/self/status').read())")

    assert capabilities(shown) == {"CapInh": 0, "CapPrm": KEPT, "CapEff": KEPT, "CapBnd": KEPT, "CapAmb": 0}
    assert "NoNewPrivs:\t1" in shown


@NEEDS_ROOT
def test_no_program_that_is_executed_gets_more():
    shown = told("confine()\nos.execlp('cat', 'cat', '/proc/self/status')")

    assert capabilities(shown)["CapEff"] == KEPT


@NEEDS_ROOT
def test_a_confined_process_cannot_become_or_do_what_needs_another_capability():
    body = """
confine()
for attempt in (lambda: os.setuid(1), lambda: os.chroot("/"), lambda: os.nice(-5)):
    try:
        attempt()
        print("done")
    except PermissionError:
        print("refused")
"""
    assert told(body).split() == ["refused"] * 3


@NEEDS_ROOT
def test_a_child_dies_with_its_parent_though_it_gave_its_privileges_up():
    body = """
import time
reading, writing = os.pipe()
parent = os.getpid()
child = os.fork()
if not child:
    die_with(parent)
    confine()
    os.close(1)
    os.close(2)
    os.write(writing, b".")
    time.sleep(60)
os.read(reading, 1)
print(child)
"""
    assert gone(int(told(body)))


def test_a_child_whose_parent_has_died_already_ends_at_once():
    child = os.fork()
    if not child:
        die_with(os.getpid())  # not the process that forked it
        os._exit(0)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 1


def gone(pid: int) -> bool:
    """Whether the process ends within two seconds."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    return False
