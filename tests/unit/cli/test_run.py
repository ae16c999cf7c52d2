"""How `calicod run` ends when it cannot begin; what it does when it can is in tests/netns."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from calicod.cli.run import command

CALICOD = (sys.executable, "-c", "from calicod.cli.main import main; main()")
NO_NET_ADMIN = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")


def test_the_help_says_how_it_ends_and_shows_an_example():
    shown = " ".join(CliRunner().invoke(command, ["--help"]).output.split())

    assert "calicod run --config /etc/calicod/calicod.yaml" in shown
    assert "Exit: 0 stopped, 1 the configuration has errors" in shown


def test_errors_of_the_configuration_come_with_their_place_and_exit_1(tmp_path):
    config = tmp_path / "calicod.yaml"
    config.write_text("node_name: n1\nworkerz: 2\nqueue_length: many\n")

    done = CliRunner().invoke(command, ["--config", str(config)])

    assert done.exit_code == 1
    assert f"{config}:2:1: " in done.stderr
    assert f"{config}:3:15: " in done.stderr
    assert done.stdout == ""


def test_a_configuration_that_is_not_there_exits_1(tmp_path):
    done = CliRunner().invoke(command, ["--config", str(tmp_path / "absent.yaml")])

    assert done.exit_code == 1
    assert "there is no such file" in done.stderr


def test_an_option_that_there_is_not_is_wrong_usage():
    assert CliRunner().invoke(command, ["--configuration", "x"]).exit_code == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a capability up")
def test_without_cap_net_admin_it_exits_4_and_makes_nothing(tmp_path):
    config = tmp_path / "calicod.yaml"
    config.write_text("run_directory: run\nstate_directory: state\n")

    done = subprocess.run(
        [*NO_NET_ADMIN, *CALICOD, "run", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 4
    assert done.stderr.startswith("K040 not permitted to filter packets")
    assert "hint: " in done.stderr
    assert list(tmp_path.iterdir()) == [config]
