from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from calicod.cli.policies import command
from calicod.daemon.state import PolicyState
from tests.unit.cli.serving import serving
from tests.unit.daemon.test_state import POLICY

IDLE = msgspec.structs.replace(POLICY, kind="GlobalNetworkPolicy", namespace="", name="g", endpoints=())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


def asked(path: Path, answer: tuple[PolicyState, ...], *words: str) -> Result:
    with serving(path, {"/policies": answer}):
        return CliRunner().invoke(command, ["--socket", str(path), *words])


def test_a_policy_is_shown_with_its_place_endpoints_and_hits(path):
    shown = asked(path, (msgspec.structs.replace(POLICY, allowed=4, denied=2, logged=1),)).output

    assert shown.splitlines() == [
        "default|NetworkPolicy a/p (a.yaml:1): 1 ingress and 0 egress rules",
        "  selects: a/w",
        "  decided: 4 allowed, 2 denied, 1 logged",
    ]


def test_a_policy_that_selects_nothing_here_says_so(path):
    assert "selects: nothing here" in asked(path, (IDLE,)).output


def test_a_node_without_policy_says_so(path):
    assert asked(path, ()).output == "no policy\n"


def test_json_is_the_whole_answer(path):
    answer = asked(path, (POLICY, IDLE), "--json").output

    assert msgspec.json.decode(answer, type=tuple[PolicyState, ...]) == (POLICY, IDLE)


def test_a_daemon_that_cannot_be_reached_exits_3(path):
    assert CliRunner().invoke(command, ["--socket", str(path)]).exit_code == 3


def test_a_staged_policy_is_said_to_decide_nothing(path):
    shown = asked(path, (msgspec.structs.replace(POLICY, kind="StagedNetworkPolicy", staged=True),)).output

    assert shown.splitlines()[-1] == ("  staged: decides nothing; events tell under policies.pending what it would do")


def test_a_file_of_any_name_steers_no_terminal(path):
    shown = asked(path, (msgspec.structs.replace(POLICY, file="a\x1b]0;x\nb.yaml"),)).output

    assert "(a\\x1b]0;x\\nb.yaml:1)" in shown
