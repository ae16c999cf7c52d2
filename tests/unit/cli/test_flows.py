from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from calicod.cli.flows import command, told
from calicod.daemon.state import LiveFlow
from tests.unit.cli.serving import serving
from tests.unit.daemon.test_state import FLOW

PING = replace(FLOW, protocol="icmp", src_port=None, dst_port=None, icmp_type=8, icmp_code=0, policy=None, reason=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


def asked(path: Path, *words: str, flows: tuple[LiveFlow, ...] = (FLOW, PING)) -> Result:
    lines = b"".join(msgspec.json.encode(flow) + b"\n" for flow in flows)
    with serving(path, {"/flows": lines}) as seen:
        done = CliRunner().invoke(command, ["--socket", str(path), *words])
    assert seen == ["GET /flows"]
    return done


def test_each_flow_is_a_line_for_people(path):
    rest = " 12 s 400 B out 300 B back"
    rule = "NetworkPolicy a/web rule 0 (a.yaml:7)"
    done = asked(path)

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"tcp 192.0.2.10:40000 -> 10.65.0.2:80 (a/n1-k8s-w-eth0) rule {rule}{rest}",
        f"icmp 192.0.2.10 -> 10.65.0.2 (a/n1-k8s-w-eth0) type 8 code 0 unknown{rest}",
    ]


def test_json_is_what_the_daemon_wrote(path):
    lines = asked(path, "--json").stdout.splitlines()

    assert [msgspec.json.decode(line, type=LiveFlow) for line in lines] == [FLOW, PING]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("--src", "192.0.2.0/24"), 2),
        (("--dst", "a/n1-k8s-w-eth0"), 2),
        (("--dst", "192.0.2.10"), 0),
        (("--policy", "a/web"), 1),
        (("--policy", "web"), 1),
        (("--protocol", "ICMP"), 1),
        (("--port", "80"), 1),
        (("--port", "80", "--protocol", "icmp"), 0),
    ],
)
def test_only_what_passes_every_filter_is_shown(path, words, shown):
    assert len(asked(path, *words).stdout.splitlines()) == shown


def test_nothing_in_a_name_can_steer_a_terminal():
    strange = replace(FLOW, policy=replace(FLOW.policy, file="a\x1b[2Jb.yaml"))

    assert "a\\x1b[2Jb.yaml" in told(strange)


def test_a_daemon_that_cannot_be_reached_exits_3(path):
    assert CliRunner().invoke(command, ["--socket", str(path)]).exit_code == 3
