"""What teardown does with a daemon: processes that hold its lock. Rules and marks: tests/netns/test_daemon.py."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from calicod.cli import teardown as module
from calicod.cli.teardown import Removed, command, lines, stop
from calicod.errors import CalicodError
from calicod.netfilter import probe
from tests.netns.world import inside, world

pytestmark = pytest.mark.netns
HOLD = """
import os, signal, sys, time
from pathlib import Path
from calicod.daemon.instance import lock
lock(Path(sys.argv[1]) / "lock")
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module", autouse=True)
def apart() -> Iterator[None]:
    with world("cd-t", ["down"]) as made, inside(made.namespaces[0]):
        yield


@contextmanager
def held(folder: Path, *, deaf: bool = False, elsewhere: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of the run directory."""
    prefix = ("unshare", "--net") if elsewhere else ()
    words = (*prefix, sys.executable, "-c", HOLD, str(folder), "deaf" if deaf else "")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def torn_down(folder: Path, *words: str) -> Result:
    config = folder / "calicod.yaml"
    config.write_text(json.dumps({"run_directory": str(folder), "node_name": "n"}))
    return CliRunner().invoke(command, ["--config", str(config), *words])


def test_without_a_daemon_and_without_rules_there_is_nothing_to_do(tmp_path):
    done = torn_down(tmp_path, "--json")

    assert (done.exit_code, json.loads(done.output)) == (0, {"stopped": None, "rules": [], "stamps": 0})


def test_a_daemon_that_runs_is_asked_to_end_first(tmp_path):
    with held(tmp_path) as daemon:
        done = torn_down(tmp_path)
        ended = daemon.wait(5)

    assert done.exit_code == 0
    assert f"stopped the daemon, process {daemon.pid}" in done.output
    assert ended == -15


def test_no_daemon_can_begin_while_rules_are_removed(tmp_path, monkeypatch):
    (tmp_path / "lock").write_text("1\n")
    seen = []

    def remove() -> None:
        try:
            with held(tmp_path):
                seen.append("began")
        except AssertionError:
            seen.append("refused")

    monkeypatch.setattr(probe, "remove_everything", remove)
    torn_down(tmp_path)

    assert seen == ["refused"]


def test_a_daemon_of_another_network_namespace_is_left_alone(tmp_path, monkeypatch):
    removed = []
    monkeypatch.setattr(probe, "remove_everything", lambda: removed.append(1))
    with held(tmp_path, elsewhere=True) as daemon:
        done = torn_down(tmp_path)
        assert daemon.poll() is None

    assert (done.exit_code, removed) == (1, [])
    assert "K061" in done.stderr
    assert f"nsenter --target {daemon.pid} --net calicod teardown" in done.stderr


def test_a_daemon_that_does_not_end_is_told_and_nothing_is_removed(tmp_path, monkeypatch):
    removed = []
    monkeypatch.setattr(probe, "remove_everything", lambda: removed.append(1))
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    with held(tmp_path, deaf=True) as daemon:
        done = torn_down(tmp_path)

    assert (done.exit_code, removed) == (1, [])
    assert f"K062 the daemon, process {daemon.pid}, did not end" in done.stderr


def test_files_that_tell_of_rules_that_are_gone_go_too(tmp_path):
    for name in ("enforcement.msgpack", "steered.msgpack", "other"):
        (tmp_path / name).write_text("")

    torn_down(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["calicod.yaml", "other"]


def test_without_the_permission_nothing_is_done_and_it_exits_4(tmp_path, monkeypatch):
    def refuse() -> None:
        raise CalicodError("K010", "CAP_NET_ADMIN is missing", exit_code=4)

    monkeypatch.setattr(probe, "require_capability", refuse)
    with held(tmp_path) as daemon:
        done = torn_down(tmp_path)
        assert daemon.poll() is None

    assert (done.exit_code, "K010" in done.stderr) == (4, True)


def test_a_configuration_with_errors_exits_1(tmp_path):
    (tmp_path / "c.yaml").write_text("workers: 0\n")

    done = CliRunner().invoke(command, ["--config", str(tmp_path / "c.yaml")])

    assert (done.exit_code, "c.yaml:1" in done.stderr) == (1, True)


def test_a_lock_that_nobody_holds_is_no_daemon(tmp_path):
    (tmp_path / "lock").write_text("1\n")

    lock, stopped = stop(tmp_path)

    assert (lock is not None, stopped) == (True, None)


def test_what_was_done_is_said_in_words():
    assert lines(Removed(stopped=None, rules=("iptables-nft ipv4",), stamps=3)) == [
        "no daemon was running",
        "removed the rules of iptables-nft ipv4",
        "cleared the marks of 3 connections",
    ]
