"""What a running daemon says of its live flows and of what it enforces, held against real connections."""

import json
from collections.abc import Iterator

import pytest

from tests.netns.node import Node, UdpFlow, address, node
from tests.netns.running import Running, running_in
from tests.netns.test_daemon import ALLOW, TcpFlow, endpoints, switch
from tests.netns.variants import USUAL

pytestmark = pytest.mark.netns

RULES = switch("{action: Deny, protocol: UDP, destination: {ports: [4999]}}", ALLOW)


@pytest.fixture(scope="module")
def router() -> Iterator[Node]:
    with node("cd-l", USUAL) as built:
        yield built


@pytest.fixture(scope="module")
def daemon(router: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_in(router, tmp_path_factory.mktemp("live")) as made:
        made.write(endpoints=endpoints(), switch=RULES)
        made.start()
        yield made


def flows(daemon: Running, *words: str) -> list[dict[str, object]]:
    code, shown, errors = daemon.run("flows", "--json", *words)
    assert (code, errors) == (0, "")
    return [json.loads(line) for line in shown.splitlines()]


@pytest.mark.parametrize(
    ("client", "server", "hook"),
    [("ext", "w1", "forward"), ("w1", "w2", "forward"), ("ext", "node", "input"), ("node", "ext", "output")],
)
def test_a_live_flow_is_listed_with_its_path_its_rule_and_its_counters(daemon, client, server, hook):
    with TcpFlow(daemon.router, client, server, 4, 4600) as flow:
        assert flow.forth(2.0)
        assert flow.back(2.0)
        (found,) = flows(daemon, "--port", "4600")
        allowed = daemon.told("connection.allowed")[-1]

    assert (found["hook"], found["reason"], found["policy"]["name"], found["policy"]["rule"]) == (
        hook,
        "rule",
        "switch",
        1,
    )
    same = ("src_ip", "src_port", "dst_ip", "dst_port", "in_interface", "out_interface", "policy", "src", "dst")
    assert {key: found[key] for key in same} == {key: allowed[key] for key in same}
    assert found["bytes_to_dst"] > 0
    assert found["packets_to_src"] >= 2
    assert found["flow_id"] == allowed["flow_id"]


def test_a_tcp_connection_that_was_closed_is_no_live_flow(daemon):
    with TcpFlow(daemon.router, "ext", "w1", 4, 4601) as flow:
        assert flow.forth(2.0)
        assert len(flows(daemon, "--port", "4601")) == 1
    assert flows(daemon, "--port", "4601") == []


def test_flows_are_chosen_by_endpoint_and_protocol(daemon):
    with TcpFlow(daemon.router, "ext", "w2", 6, 4602), UdpFlow(daemon.router, "ext", "w1", 6, 4602) as flow:
        assert flow.trips(1)
        assert [f["dst_ip"] for f in flows(daemon, "--port", "4602", "--dst", "node-k8s-w2-eth0")] == [address("w2", 6)]
        assert [f["protocol"] for f in flows(daemon, "--port", "4602", "--protocol", "udp")] == ["udp"]


def test_a_packet_is_explained_by_what_is_enforced_now(daemon):
    words = ("--src", address("ext", 4), "--dst", address("w1", 4), "--protocol", "udp", "--dport", "4999")
    code, shown, _ = daemon.run("explain", "--live", *words)
    assert (code, "DENIED (rule): rule 0 of GlobalNetworkPolicy switch" in shown) == (0, True)

    revision = daemon.change(switch=switch(ALLOW)).revision
    answer = json.loads(daemon.run("explain", "--live", *words, "--json")[1])
    daemon.change(switch=RULES)

    assert (answer["verdict"], answer["hook"], answer["revision"]) == ("allow", "forward", revision)
