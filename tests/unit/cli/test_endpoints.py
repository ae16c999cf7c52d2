from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from calicod.cli.endpoints import command
from calicod.daemon.state import EndpointState, PolicyName
from tests.unit.cli.serving import serving
from tests.unit.daemon.test_state import ENDPOINT

ABSENT = msgspec.structs.replace(
    ENDPOINT,
    type="HostEndpoint",
    namespace="",
    name="h",
    state="down",
    interface="",
    interfaces=(),
    addresses=(),
    ingress=(),
    profiles=(),
    labels={},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


def asked(path: Path, answer: tuple[EndpointState, ...], *words: str) -> Result:
    with serving(path, {"/endpoints": answer}):
        return CliRunner().invoke(command, ["--socket", str(path), *words])


def test_an_endpoint_is_shown_with_its_interface_addresses_and_policies_in_order(path):
    assert asked(path, (ENDPOINT,)).output.splitlines() == [
        "WorkloadEndpoint a/w: up on cali1; 10.65.0.2",
        "  labels: a=b",
        "  ingress: default|a/p",
        "  egress: no policy",
        "  profiles: kns.a",
    ]


def test_an_endpoint_without_an_interface_says_so(path):
    assert asked(path, (ABSENT,)).output.startswith("HostEndpoint h: down on by address (not present); no address")


def test_a_node_without_an_endpoint_says_that_nothing_is_judged(path):
    assert asked(path, ()).output == "no endpoint on this node: nothing is judged\n"


def test_json_is_the_whole_answer(path):
    answer = asked(path, (ENDPOINT, ABSENT), "--json").output

    assert msgspec.json.decode(answer, type=tuple[EndpointState, ...]) == (ENDPOINT, ABSENT)


def test_a_daemon_that_cannot_be_reached_exits_3(path):
    assert CliRunner().invoke(command, ["--socket", str(path)]).exit_code == 3


def test_a_staged_policy_is_marked_where_it_stands_in_the_order(path):
    staged = PolicyName("StagedNetworkPolicy", "default", "a", "s", staged=True)
    answer = msgspec.structs.replace(ENDPOINT, ingress=(staged, *ENDPOINT.ingress))

    assert "  ingress: default|a/s (staged) -> default|a/p\n" in asked(path, (answer,)).output


def test_an_interface_of_any_name_steers_no_terminal(path):
    shown = asked(path, (msgspec.structs.replace(ENDPOINT, interfaces=("c\x1b]0;x",)),)).output

    assert "up on c\\x1b]0;x; " in shown
