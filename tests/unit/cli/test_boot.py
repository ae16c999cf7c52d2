"""`calicod boot` in a namespace of its own. What it lets pass: tests/netns/test_boot.py."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from calicod.cli.boot import command
from calicod.netfilter import probe
from tests.netns.world import inside, world
from tests.unit.daemon.control_plane import POLICY

pytestmark = pytest.mark.netns


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    with world("cd-b", ["host"]) as made, inside(made.namespaces[0]):
        yield


def booted(folder: Path, **policies: str) -> Result:
    (folder / "p").mkdir(exist_ok=True)
    for name, text in policies.items():
        (folder / "p" / f"{name}.yaml").write_text(text)
    config = {"policy_paths": ["p"], "state_directory": "state", "node_name": "n1"}
    (folder / "c.yaml").write_text(json.dumps(config))
    return CliRunner().invoke(command, ["--config", str(folder / "c.yaml")])


def test_rules_are_made_from_the_configuration(tmp_path):
    done = booted(tmp_path, a=POLICY.format(action="Allow"))

    assert (done.exit_code, "closed but for failsafe ports" in done.output) == (0, True)
    assert probe.choose("auto").inspect().generation == 0


def test_rules_that_are_there_already_are_left_alone(tmp_path):
    booted(tmp_path, a=POLICY.format(action="Allow"))
    before = probe.all_saved()

    again = booted(tmp_path, a=POLICY.format(action="Allow").replace('"*"', "eth9"))

    assert (again.exit_code, "are there already" in again.output) == (0, True)
    assert probe.all_saved() == before


def test_a_node_without_endpoints_is_told(tmp_path):
    assert "no endpoint of node n1 is written" in booted(tmp_path).output


def test_policy_files_with_errors_are_told_and_what_can_be_read_is_closed(tmp_path):
    done = booted(tmp_path, a=POLICY.format(action="Allow"), b="kind: [")

    assert (done.exit_code, "b.yaml:" in done.stderr) == (0, True)
    assert probe.choose("auto").inspect().generation == 0


def test_when_no_endpoint_can_be_read_nothing_is_said_to_be_well(tmp_path):
    done = booted(tmp_path, b="kind: [")

    assert (done.exit_code, "b.yaml:" in done.stderr) == (1, True)
    assert probe.choose("auto").inspect().generation is None


def test_a_configuration_with_errors_exits_1(tmp_path):
    (tmp_path / "c.yaml").write_text("workers: 0\n")

    done = CliRunner().invoke(command, ["--config", str(tmp_path / "c.yaml")])

    assert (done.exit_code, "c.yaml:1" in done.stderr) == (1, True)
