from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from calicod.cli.rollback import command
from calicod.daemon.proposal import Outcome, Refusal
from tests.unit.cli.serving import serving

DONE = Outcome(done="rolled-back", revision=7, generation=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


def asked(path: Path, answer: Outcome, *words: str) -> Result:
    with serving(path, {"/rollback": answer}) as seen:
        done = CliRunner().invoke(command, ["--socket", str(path), *words])
    assert seen == ["POST /rollback"]
    return done


def test_the_revision_in_force_is_told(path):
    done = asked(path, DONE)

    assert (done.exit_code, done.stdout) == (0, "rolled back: revision 7\n")


def test_json_is_the_whole_answer(path):
    assert msgspec.json.decode(asked(path, DONE, "--json").stdout, type=Outcome) == DONE


def test_where_there_is_nothing_to_do_it_exits_1_and_says_so(path):
    done = asked(path, Outcome(refusal=Refusal("K052", "there is nothing", "look at the status")))

    assert (done.exit_code, done.exception.code) == (1, "K052")


def test_a_daemon_that_cannot_be_reached_exits_3(path):
    assert CliRunner().invoke(command, ["--socket", str(path)]).exception.exit_code == 3
