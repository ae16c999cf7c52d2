import os
import signal
import subprocess
import sys
import time

import pytest

from calicod.cli.demo.cases import examples
from calicod.cli.demo.daemon import Daemon, Events
from calicod.cli.demo.space import add_namespace, remove_namespace
from calicod.cli.demo.trial import files
from calicod.daemon.settings import load_settings
from calicod.errors import CalicodError
from calicod.model.event import DaemonRecovered, encode
from tests.unit.cli.demo.build import event

SPACE = "cdd-space"


def test_events_are_read_once_and_whole(tmp_path):
    file = tmp_path / "events.jsonl"
    events = Events(file)
    first, second = encode(event()), encode(DaemonRecovered())

    assert events.read() == ()
    file.write_bytes(first + second[:10])
    assert events.read() == (event(),)
    with file.open("ab") as stream:
        stream.write(second[10:])
    assert events.read() == (DaemonRecovered(),)
    assert events.read() == ()


def test_its_configuration_is_valid_and_keeps_everything_in_its_folder(tmp_path):
    daemon = Daemon("none", tmp_path, {"workers": 2})
    with pytest.raises(CalicodError):
        daemon.start()
    settings = load_settings(daemon.config)

    assert settings.node_name == "node"
    assert [str(path) for path in settings.policy_paths] == [str(daemon.policies)]
    assert str(settings.run_directory) == str(daemon.socket.parent)
    assert str(settings.state_directory).startswith(str(tmp_path))
    assert settings.workers == 2


def test_a_daemon_that_ends_at_once_is_told_with_its_exit_code_and_the_end_of_its_log(tmp_path):
    daemon = Daemon("there-is-no-such-namespace", tmp_path)

    with pytest.raises(
        CalicodError, match=r"K081 the daemon did not start: it ended with exit code \d+\n.*no-such-name"
    ):
        daemon.start()


def test_what_never_began_has_no_log_and_nothing_to_stop(tmp_path):
    daemon = Daemon("none", tmp_path)
    daemon.kill()

    assert (daemon.tail(), daemon.stop()) == ("", None)


def test_a_child_ends_with_its_parent():
    code = (
        "import subprocess, sys, time\n"
        "from calicod.cli.demo.daemon import die_with_parent\n"
        "child = subprocess.Popen(['sleep', '60'], preexec_fn=die_with_parent, stdout=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()

    deadline = time.monotonic() + 5
    while running(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  gone between two looks
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.netns
def test_a_daemon_enforces_what_it_is_given_and_ends_in_order(tmp_path):
    add_namespace(SPACE)
    daemon = Daemon(SPACE, tmp_path)
    example = examples() / "09-default-deny"
    try:
        assert daemon.start().healthy
        first, nothing = daemon.use(files(example)), daemon.use([])
        assert (first.rejected, nothing.rejected) == ((), ())
        assert list(daemon.policies.iterdir()) == []
        assert nothing.revision > first.revision
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        remove_namespace(SPACE)


@pytest.mark.netns
def test_killing_it_ends_every_process_of_it(tmp_path):
    add_namespace(SPACE)
    daemon = Daemon(SPACE, tmp_path)
    try:
        status = daemon.start()
        pids = [status.pid, status.supervisor_pid, *(worker.pid for worker in status.workers)]
        daemon.kill()
        deadline = time.monotonic() + 5
        while any(running(pid) for pid in pids):
            assert time.monotonic() < deadline, [pid for pid in pids if running(pid)]
            time.sleep(0.02)
        assert daemon.process.returncode == -signal.SIGKILL
        assert os.getpid() not in pids
    finally:
        daemon.kill()
        remove_namespace(SPACE)
