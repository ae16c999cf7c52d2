"""The command, in a namespace of its own."""

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from calicod.cli.doctor.table import CHECKS
from calicod.cli.doctor.visit import command
from tests.netns.world import inside, run, world

pytestmark = pytest.mark.netns


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    with world("cd-v", ["host"]) as made, inside(made.namespaces[0]):
        yield


def doctor(tmp_path, *words: str) -> Result:
    (tmp_path / "policies").mkdir(exist_ok=True)
    (tmp_path / "c.yaml").write_text("{policy_paths: [policies], run_directory: run, state_directory: state}")
    return CliRunner().invoke(command, ["--config", str(tmp_path / "c.yaml"), *words])


def test_a_host_that_can_do_it_exits_0_with_one_line_for_each_finding(tmp_path):
    done = doctor(tmp_path)

    assert done.exit_code == 0
    assert {line.split()[1] for line in done.output.splitlines()} == {f"{name}:" for name in CHECKS}
    assert {line.split()[0] for line in done.output.splitlines()} <= {"ok", "warn"}


def test_what_would_make_it_fail_exits_1_and_is_told_with_its_mend(tmp_path):
    run("iptables-nft", "-A", "INPUT", "-j", "NFQUEUE", "--queue-num", "5200")

    done = doctor(tmp_path, "--json")

    answer = json.loads(done.output)
    failed = [finding for finding in answer["findings"] if finding["state"] == "fail"]
    assert (done.exit_code, answer["ok"]) == (1, False)
    assert [finding["check"] for finding in failed] == ["marks"]
    assert "queue_base" in failed[0]["mend"]
