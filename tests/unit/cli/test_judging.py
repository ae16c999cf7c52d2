import json

import pytest

from calicod.cli.judging import Judging, protocol_number
from tests.unit.cli.offline import EXAMPLES, HOST, OPEN, calicod, packets, resources

INBOUND = {"id": 1, "hook": "input", "in": "eth0", "src": "192.0.2.9", "dst": "192.0.2.1", "protocol": 6, "dport": 80}
BY_ADDRESS = HOST.replace("interfaceName: eth0, ", "")


def reasons(text: str) -> list[str]:
    return [json.loads(line)["reason"] for line in text.splitlines()]


def test_the_interfaces_of_a_file_find_a_host_endpoint_by_address(tmp_path):
    (tmp_path / "host.yaml").write_text(BY_ADDRESS)
    interfaces = tmp_path / "interfaces.json"
    interfaces.write_text('{"eth0": ["192.0.2.1/24", "fd00:192::1/64"], "eth1": []}')
    given = packets(tmp_path, INBOUND, {**INBOUND, "in": "eth1"})

    result = calicod("eval", tmp_path / "host.yaml", "--node", "n1", "--interfaces", interfaces, "--packets", given)

    assert (reasons(result.stdout), result.stderr) == (["no-profile", "no-endpoint"], "")


def test_a_host_endpoint_that_cannot_be_found_is_told(tmp_path):
    (tmp_path / "host.yaml").write_text(BY_ADDRESS)

    result = calicod("eval", tmp_path / "host.yaml", "--node", "n1", "--packets", packets(tmp_path, INBOUND))

    assert reasons(result.stdout) == ["no-endpoint"]
    assert "warning HostEndpoint n1-eth0 names no interface: it judges nothing" in result.stderr
    assert "--interfaces FILE" in result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('["eth0"]', "expected `object`"),
        ('{"eth0": "192.0.2.1"}', "expected `array`"),
        ('{"eth0": ["192.0.2.1/99"]}', "192.0.2.1/99"),
        ('{"eth0": ["nonsense"]}', "nonsense"),
        ("{", "truncated"),
        (None, "no such file or directory"),
    ],
)
def test_a_file_of_interfaces_that_cannot_be_read_is_wrong_usage(tmp_path, content, said):
    interfaces = tmp_path / "interfaces.json"
    if content is not None:
        interfaces.write_text(content)

    result = calicod("eval", resources(tmp_path), "--interfaces", interfaces, "--packets", packets(tmp_path, INBOUND))

    assert result.exit_code == 2
    assert f"--interfaces: {interfaces}: " in result.stderr
    assert said.lower() in result.stderr.lower()


def test_the_node_of_a_configuration_is_the_default(tmp_path):
    config = tmp_path / "calicod.conf"
    config.write_text("node_name: n1\n")
    folder, given = resources(tmp_path), packets(tmp_path, INBOUND)

    assert reasons(calicod("eval", folder, "--config", config, "--packets", given).stdout) == ["no-profile"]
    assert reasons(calicod("eval", folder, "--config", config, "--node", "n2", "--packets", given).stdout) == [
        "no-endpoint"
    ]


@pytest.mark.parametrize(
    ("content", "code", "said"), [(None, 2, "there is no such file"), ("nod_name: n1\n", 1, ":1:1: Y011 nod_name")]
)
def test_a_configuration_that_cannot_be_used_is_told(tmp_path, content, code, said):
    config = tmp_path / "calicod.conf"
    if content is not None:
        config.write_text(content)

    result = calicod("eval", resources(tmp_path), "--config", config, "--packets", packets(tmp_path, INBOUND))

    assert (result.exit_code, result.stdout) == (code, "")
    assert f"{config}" in result.stderr and said in result.stderr


def test_a_node_without_endpoints_is_told_since_it_judges_nothing(tmp_path):
    result = calicod("eval", resources(tmp_path), "--node", "m1", "--packets", packets(tmp_path, INBOUND))

    assert reasons(result.stdout) == ["no-endpoint"]
    assert result.stderr.startswith('--node: warning no endpoint is on node "m1": nothing is judged')
    assert "n1, n2" in result.stderr


def test_an_input_without_endpoints_is_told_since_it_judges_nothing(tmp_path):
    (tmp_path / "profile.yaml").write_text(OPEN)

    result = calicod("eval", tmp_path / "profile.yaml", "--packets", packets(tmp_path, INBOUND))

    assert result.stderr.startswith("PATH: warning there is no endpoint in the input")


@pytest.mark.parametrize(
    "arguments",
    [
        ("-", "--packets", "-"),
        ("-", "--interfaces", "-", "--packets", "x"),
        ("x", "--interfaces", "-", "--packets", "-"),
    ],
)
def test_standard_input_is_read_for_one_thing_only(arguments):
    result = calicod("eval", *arguments, stdin="{}")

    assert result.exit_code == 2
    assert "only one of PATH, --interfaces and --packets" in result.stderr


def test_an_empty_name_of_a_node_is_wrong_usage():
    assert calicod("eval", EXAMPLES, "--node", "", "--packets", "-").exit_code == 2


def test_without_a_name_the_node_is_this_host(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "this-host")

    assert Judging((), None, cluster=False, interfaces=None).node == "this-host"


@pytest.mark.parametrize(
    ("given", "family", "number"),
    [("icmp", 4, 1), ("ICMP", 6, 58), (1, 6, 1), ("1", 6, 1), ("udplite", 4, 136), (0, 4, 0)],
)
def test_only_the_word_icmp_depends_on_the_family(given, family, number):
    assert protocol_number(given, family) == number


@pytest.mark.parametrize("given", ["", "²", "-1", -1, 256, "256", "tcp "])
def test_what_is_no_protocol_is_refused(given):
    with pytest.raises(ValueError, match="neither a number up to 255 nor one of"):
        protocol_number(given, 4)
