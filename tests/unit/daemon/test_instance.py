import grp
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from calicod.daemon.instance import DIRECTORY_MODE, GROUP, LOCK_FILE, claim, lock, make_directory, require_permission
from calicod.errors import CalicodError

ROOT = os.geteuid() == 0
EVERYTHING = "Name:\tpython\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n"
ONLY_NET_ADMIN = "CapEff:\t0000000000001000\n"
ALL_BUT_NET_ADMIN = "CapEff:\t000001ffffffefff\n"


def group_exists() -> bool:
    return any(entry.gr_name == GROUP for entry in grp.getgrall())


@pytest.mark.parametrize("status", [EVERYTHING, ONLY_NET_ADMIN])
def test_cap_net_admin_alone_is_enough(status):
    require_permission(status)

    assert "CapEff" in status


@pytest.mark.parametrize("status", [ALL_BUT_NET_ADMIN, "CapEff:\t0000000000000000\n", ""])
def test_without_cap_net_admin_nothing_begins(status):
    with pytest.raises(CalicodError) as caught:
        require_permission(status)

    assert (caught.value.code, caught.value.exit_code) == ("K040", 4)
    assert "systemctl start calicod" in str(caught.value)


def test_the_directory_is_made_with_its_parents_and_closed_to_others(tmp_path):
    path = tmp_path / "run" / "calicod"

    notices = make_directory(path)

    assert stat.S_IMODE(path.stat().st_mode) == DIRECTORY_MODE
    assert notices == (() if group_exists() else (f"no group `{GROUP}`: only root may use the control socket",))


def test_a_directory_of_somebody_elses_things_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "notes.txt").touch()

    assert make_directory(tmp_path) == ()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_directory_that_others_may_write_to_is_refused(tmp_path):
    tmp_path.chmod(0o777)

    with pytest.raises(CalicodError, match="others may write to it") as caught:
        make_directory(tmp_path)
    assert (caught.value.code, caught.value.exit_code) == ("K045", 4)


@pytest.mark.skipif(not ROOT, reason="needs root to give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path):
    os.chown(tmp_path, 65534, -1)

    with pytest.raises(CalicodError, match="it belongs to user 65534") as caught:
        make_directory(tmp_path)
    assert caught.value.code == "K045"


def test_a_path_that_is_no_directory_is_refused_with_its_name(tmp_path):
    path = tmp_path / "file"
    path.touch()

    with pytest.raises(CalicodError, match=f'run_directory "{path}" cannot be used') as caught:
        make_directory(path)
    assert (caught.value.code, caught.value.exit_code) == ("K045", 4)


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path):
    target = tmp_path / "target"
    (tmp_path / LOCK_FILE).symlink_to(target)

    with pytest.raises(CalicodError, match="K045"):
        lock(tmp_path / LOCK_FILE)
    assert not target.exists()


HOLD = """
import os, sys
from pathlib import Path
from calicod.daemon.instance import lock
lock(Path(sys.argv[1]))
if len(sys.argv) > 2 and not os.fork():
    os.execlp("sleep", "sleep", "30")
print(os.getpid(), flush=True)
sys.stdin.read()
"""


def holder(path: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_another_instance_is_told_by_its_process(tmp_path):
    with holder(tmp_path / LOCK_FILE) as other:
        pid = other.stdout.readline().strip()

        with pytest.raises(CalicodError) as caught:
            lock(tmp_path / LOCK_FILE)

        other.kill()
    assert (caught.value.code, caught.value.exit_code) == ("K044", 4)
    assert f'another calicod runs in "{tmp_path}": process {pid}' in str(caught.value)
    assert "run_directory" in str(caught.value)


def test_a_claim_ends_with_its_process_whatever_its_children_do(tmp_path):
    with holder(tmp_path / LOCK_FILE, "and a child") as other:
        other.stdout.readline()
        other.kill()
        other.wait()

        os.close(lock(tmp_path / LOCK_FILE))
    assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"


@pytest.mark.skipif(not ROOT, reason="needs root for a claim")
def test_a_claimed_directory_is_given_back(tmp_path):
    instance = claim(tmp_path / "run")
    assert (tmp_path / "run" / LOCK_FILE).read_text() == f"{os.getpid()}\n"
    instance.close()

    with holder(tmp_path / "run" / LOCK_FILE) as other:
        assert other.stdout.readline().strip() == str(other.pid)
        other.kill()


@pytest.mark.skipif(not ROOT, reason="needs root for a claim")
def test_a_claim_that_is_refused_makes_nothing(tmp_path):
    path = tmp_path / "parent" / "run"
    script = (
        "import encodings.ascii, os, sys\nfrom pathlib import Path\nfrom calicod.daemon.instance import claim\n"
        "os.setgroups([]); os.setresuid(65534, 65534, 65534)\nclaim(Path(sys.argv[1]))"
    )
    tmp_path.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False, timeout=30
    )

    assert "K040" in done.stderr
    assert not path.parent.exists()
