import json
import socket
import threading
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from calicod.cli import status as module
from calicod.cli.status import command
from calicod.daemon.state import Status, TrialState
from tests.unit.cli.serving import serving
from tests.unit.daemon.test_state import STATUS

HEALTHY = msgspec.structs.replace(STATUS, healthy=True, state="healthy", reasons=(), rejected=())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


def asked(path: Path, *words: str) -> Result:
    return CliRunner().invoke(command, ["--socket", str(path), *words])


def test_a_healthy_daemon_exits_0(path):
    with serving(path, {"/status": HEALTHY}):
        done = asked(path)

    assert done.exit_code == 0
    assert done.output.startswith("healthy: node n1, revision 3, generation 4, 5 resources, 6 endpoints here")


def test_a_daemon_that_is_not_healthy_exits_1_and_says_why(path):
    with serving(path, {"/status": STATUS}):
        done = asked(path)

    assert done.exit_code == 1
    for part in ("because: why", "rejected: a.yaml:1:0: R005 no", "note: note", "dropped by the kernel as invalid: 1"):
        assert part in done.output


TRIED = TrialState(phase="trial", began="", seconds_left=41.6, files=("/p/a.yaml", "/p/b.yaml"), edited=("/p/c.yaml",))
STUCK = TrialState(phase="install", began="", seconds_left=None, files=("/p/a.yaml",), trouble="no space")


@pytest.mark.parametrize(
    ("trial", "told"),
    [
        (
            TRIED,
            [
                "on trial: a set of 2 files, 42 s left; `calicod confirm` keeps it, else it rolls back",
                "  changed meanwhile, not in force: /p/c.yaml",
            ],
        ),
        (STUCK, ["a set of 1 files is confirmed, and not among the policy files yet"]),
    ],
)
def test_a_set_on_trial_is_told_with_its_time(path, trial, told):
    with serving(path, {"/status": msgspec.structs.replace(HEALTHY, trial=trial)}):
        done = asked(path)

    assert [line for line in told if line in done.output.splitlines()] == told
    assert done.exit_code == 0


def test_json_is_the_whole_answer(path):
    with serving(path, {"/status": HEALTHY}):
        done = asked(path, "--json")

    assert msgspec.json.decode(done.output, type=Status) == HEALTHY
    assert json.loads(done.output)["healthy"] is True


def test_a_daemon_that_cannot_be_reached_exits_3(path):
    done = asked(path)

    assert (done.exit_code, done.stdout) == (3, "")
    assert "K060" in done.stderr


def test_waiting_ends_as_soon_as_it_is_healthy(path):
    def begin() -> None:
        time.sleep(0.3)
        with serving(path, {"/status": HEALTHY}):
            time.sleep(2)

    thread = threading.Thread(target=begin)
    thread.start()
    began = time.monotonic()
    done = asked(path, "--wait", "20")
    took = time.monotonic() - began
    thread.join()

    assert (done.exit_code, took < 5) == (0, True)


def test_waiting_ends_with_the_time_given(path):
    with serving(path, {"/status": STATUS}):
        assert asked(path, "--wait", "0.2").exit_code == 1
    path.unlink()
    assert asked(path, "--wait", "0.2").exit_code == 3


def test_waiting_ends_with_the_time_given_though_nobody_answers(path, monkeypatch):
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()

        assert asked(path, "--wait", "0.2").exit_code == 3


def test_the_help_shows_an_example():
    assert "calicod status --wait 10" in CliRunner().invoke(command, ["--help"]).output


def test_a_reason_of_any_text_steers_no_terminal(path):
    with serving(path, {"/status": msgspec.structs.replace(STATUS, reasons=("c\x1b]0;x is\n  hint: rename it",))}):
        done = asked(path)

    assert "  because: c\\x1b]0;x is\n  hint: rename it\n" in done.output
