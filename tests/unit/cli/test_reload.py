from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from calicod.cli.reload import command
from calicod.daemon.state import Reloaded, TrialState
from tests.unit.cli.serving import serving
from tests.unit.daemon.test_state import WRONG

GOOD = Reloaded(revision=7, generation=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


def asked(path: Path, answer: Reloaded, *words: str) -> Result:
    with serving(path, {"/reload": answer}) as seen:
        done = CliRunner().invoke(command, ["--socket", str(path), *words])
    assert seen == ["POST /reload"]
    return done


def test_the_revision_in_force_is_printed(path):
    done = asked(path, GOOD)

    assert (done.exit_code, done.stdout) == (0, "revision 7\n")


def test_a_resource_that_was_rejected_exits_1_and_the_rest_is_in_force(path):
    done = asked(path, Reloaded(revision=7, generation=3, rejected=(WRONG,)))

    assert (done.exit_code, done.stdout) == (1, "revision 7\n")
    assert "a.yaml:1:0: R005 no" in done.stderr


def test_a_change_that_failed_exits_1_and_says_why(path):
    done = asked(path, Reloaded(revision=7, generation=3, error="K013 the lock is held"))

    assert (done.exit_code, "K013 the lock is held" in done.stderr) == (1, True)


def test_json_is_the_whole_answer(path):
    assert msgspec.json.decode(asked(path, GOOD, "--json").stdout, type=Reloaded) == GOOD


def test_a_set_in_place_of_the_files_is_told(path):
    trial = TrialState(phase="trial", began="", seconds_left=42.0, files=("/p/a.yaml",))
    done = asked(path, Reloaded(revision=7, generation=3, trial=trial))

    assert (done.exit_code, done.stdout) == (0, "revision 7\n")
    assert "the policy files are not in force" in done.stderr


def test_a_daemon_that_cannot_be_reached_exits_3(path):
    assert CliRunner().invoke(command, ["--socket", str(path)]).exit_code == 3
