from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from calicod.cli.apply import Answer, command, result
from calicod.daemon.proposal import Outcome, Prospect, Refusal
from tests.unit.cli.serving import serving
from tests.unit.daemon.test_proposal import CUT, OUTCOME, PROSPECT, TRIAL
from tests.unit.datastore.texts import tier

APPLIED = replace(OUTCOME, rejected=())
QUIET = Prospect(flows=3, resources=1, files=("/p/web.yaml",))
SSH = {"SSH_CONNECTION": "192.0.2.9 50000 192.0.2.1 22"}
NO_SSH = {"SSH_CONNECTION": ""}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "web.yaml").write_text(tier("web", 1))
    return tmp_path / "c.sock"


def asked(
    path: Path, *words: str, prospect: Prospect = QUIET, outcome: Outcome = APPLIED, ssh: bool = False
) -> tuple[Result, list[str]]:
    with serving(path, {"/prospect": prospect, "/apply": outcome}) as seen:
        words = (str(path.parent / "web.yaml"), "--socket", str(path), *words)
        done = CliRunner().invoke(command, words, env=SSH if ssh else NO_SSH)
    return done, seen


def test_what_would_be_cut_is_told_before_it_is_applied(path):
    done, seen = asked(path, "--confirm-within", "60s", prospect=PROSPECT, ssh=True)
    told = done.stdout.splitlines()

    assert (done.exit_code, seen) == (0, ["POST /prospect", "POST /apply"])
    assert told[1:3] == [
        "your own session 192.0.2.9:50000 -> 192.0.2.1:22 WOULD BE CUT",
        "1 of 3 live flows would be cut:",
    ]
    assert told[3].startswith("  your own session: tcp 192.0.2.10:40000 -> 10.65.0.2:80")
    assert told[3].endswith("; refused: rule NetworkPolicy a/web rule 0 (a.yaml:7)")
    assert told[4:] == [
        "1 flows could not be judged beforehand: their path is not certain",
        "applied: revision 7",
        "on trial for 42 s: `calicod confirm` keeps it, otherwise it rolls back by itself",
    ]


def test_a_dry_run_asks_and_applies_nothing(path):
    done, seen = asked(path, "--dry-run", prospect=PROSPECT)

    assert (done.exit_code, seen) == (0, ["POST /prospect"])


def test_who_would_cut_his_own_session_for_good_must_insist(path):
    done, seen = asked(path, prospect=PROSPECT)

    assert (done.exit_code, seen, done.exception.code) == (1, ["POST /prospect"], "K057")


def test_who_insists_is_obeyed(path):
    done, seen = asked(path, "--force", prospect=PROSPECT)

    assert (done.exit_code, seen) == (0, ["POST /prospect", "POST /apply"])


def test_errors_of_the_input_end_it_before_the_daemon_is_asked(path):
    (path.parent / "web.yaml").write_text(tier("web", "much"))
    done, seen = asked(path, "--confirm-within", "60s")

    assert (done.exit_code, seen, "web.yaml:4" in done.stderr) == (1, [], True)


def test_an_input_without_resources_is_not_applied(path):
    (path.parent / "web.yaml").write_text("")
    done, seen = asked(path)

    assert (done.exception.code, seen) == ("K057", [])


@pytest.mark.parametrize("which", ["prospect", "outcome"])
def test_what_the_daemon_refuses_is_told_with_its_exit_code(path, which):
    refusal = Refusal("K050", "a set is on trial already", "confirm it", 1)
    kinds = {"prospect": Prospect, "outcome": Outcome}
    done, _ = asked(path, "--confirm-within", "60s", **{which: kinds[which](refusal=refusal)})

    assert (done.exit_code, done.exception.code) == (1, "K050")


def test_json_is_what_the_daemon_answered(path):
    done, _ = asked(path, "--confirm-within", "60s", "--json", prospect=PROSPECT)

    assert msgspec.json.decode(done.stdout, type=Answer) == Answer(PROSPECT, APPLIED)


@pytest.mark.parametrize("time", ["60s", "60", "1m", "1.5m", "24h"])
def test_a_time_is_given_with_its_unit(path, time):
    assert asked(path, "--confirm-within", time)[0].exit_code == 0


@pytest.mark.parametrize("time", ["4s", "0", "25h", "soon", "-5s", "60 s", ""])
def test_a_time_that_is_none_or_of_no_use_is_wrong_usage(path, time):
    done, seen = asked(path, "--confirm-within", time)

    assert (done.exit_code, seen) == (2, [])


def test_standard_input_is_a_set_too(path):
    with serving(path, {"/prospect": QUIET, "/apply": APPLIED}) as seen:
        done = CliRunner().invoke(command, ["-", "--socket", str(path)], input=tier("web", 1), env=NO_SSH)

    assert (done.exit_code, len(seen)) == (0, 2)


def test_many_cuts_are_shortened(path):
    done, _ = asked(path, "--dry-run", prospect=replace(PROSPECT, cuts=(CUT,) * 30, cut=3000))

    assert "  and 2980 more: --json has 30 of them" in done.stdout.splitlines()


def test_what_a_rollback_would_not_bring_back_is_told(path):
    done, _ = asked(path, "--dry-run", prospect=replace(PROSPECT, resets=True))

    assert "what is cut is reset (cut_with_reset): it stays cut, also after a rollback" in done.stdout.splitlines()


def test_files_that_were_edited_meanwhile_and_what_could_not_be_installed_are_told():
    trial = replace(TRIAL, phase="install", seconds_left=None, trouble="no space")
    told = result(Outcome(done="confirmed", revision=7, edited=("/p/a.yaml",), trial=trial))

    assert told == [
        "confirmed: revision 7",
        "replaced a file that was changed meanwhile: /p/a.yaml",
        "`calicod rollback` brings them back",
        "no space; it is tried again",
    ]


def test_a_daemon_that_cannot_be_reached_exits_3(path):
    done = CliRunner().invoke(command, [str(path.parent / "web.yaml"), "--socket", str(path)])

    assert done.exception.exit_code == 3
