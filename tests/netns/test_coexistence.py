"""Beside the rules of ufw, firewalld, Docker and kube-proxy: they stay, both have a say, and calicod's come first."""

import json
import socket
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path

import pytest

from tests.kernel import needs_kernel
from tests.netns.neighbours import HOOKS, NAMES, load, reload_firewalld, reload_ufw, restart_docker, theirs
from tests.netns.node import FAMILIES, Node, UdpFlow, address, node, tcp
from tests.netns.running import Running, running_in, wait_for
from tests.netns.test_daemon import ALLOW, DENY, TcpFlow, endpoints, switch
from tests.netns.variants import IPTABLES, needs_variant
from tests.netns.world import run

pytestmark = [pytest.mark.netns, pytest.mark.security]
FROM_EXT = "{{action: Allow, source: {{nets: [{net}]}}}}"
SHORT = 0.3
MANGLE = -150
"""The priority of what changes packets: what filters comes after it."""


@pytest.fixture(params=IPTABLES)
def router(request: pytest.FixtureRequest) -> Iterator[Node]:
    needs_variant(request.param)
    with node("cd-c", request.param) as built:
        yield built


@pytest.fixture
def daemon(router: Node, tmp_path: Path) -> Iterator[Running]:
    with running_in(router, tmp_path) as made:
        made.write(endpoints=endpoints(), switch=switch(ALLOW))
        yield made


def ours_come_first(router: Node) -> bool:
    """Whether no rule or chain that filters is before ours at any hook."""
    if router.setting == "nft":
        shown = json.loads(router.world.run(router.name, "nft", "--json", "list", "chains"))["nftables"]
        chains = [found["chain"] for found in shown if found.get("chain", {}).get("type") == "filter"]
        late = sorted((c for c in chains if c["prio"] > MANGLE), key=itemgetter("prio"))
        return {next(c for c in late if c["hook"] == hook)["table"] for hook in HOOKS} == {"calicod"}
    rules = (router.iptables(f, "-S", hook).splitlines()[1:2] for f in FAMILIES for hook in HOOKS.values())
    return [rule.split()[-1] for found in rules for rule in found] == ["calicod-in", "calicod-fwd", "calicod-out"] * 2


@pytest.mark.parametrize("name", NAMES)
def test_the_rules_of_others_stay_as_they_are_from_start_to_teardown(router: Node, daemon: Running, name: str):
    load(router, name)
    before = theirs(router)
    assert before

    daemon.start()
    assert ours_come_first(router)
    assert theirs(router) == before
    daemon.change(switch=switch(DENY))
    assert theirs(router) == before
    daemon.stop()
    assert theirs(router) == before
    daemon.run("teardown", "--config", str(daemon.config))
    assert theirs(router) == before
    assert "calicod" not in router.save()


@pytest.mark.parametrize(
    ("name", "reload", "resets"), [("ufw", reload_ufw, 0), ("firewalld", reload_firewalld, 2)], ids=["ufw", "firewalld"]
)
def test_both_have_a_say_before_and_after_the_other_reloads(
    router: Node, daemon: Running, name: str, reload: Callable[[Node], None], resets: int
):
    load(router, name)
    daemon.start()

    both_have_a_say(router)
    reload(router)
    wait_for(lambda: ours_come_first(router), patience=5.0)
    both_have_a_say(router)
    with TcpFlow(router, "ext", "node", 4, 8001) as live, TcpFlow(router, "ext", "node", 6, 8001) as other:
        reload(router)
        assert live.forth(2.0) and live.back(2.0) and other.forth(2.0) and other.back(2.0)
        wait_for(lambda: ours_come_first(router), patience=5.0)
        assert live.forth(2.0) and other.back(2.0)
        daemon.change(switch=switch(DENY))
        assert not live.forth() and not other.back()
    for family in FAMILIES:
        assert not tcp(router, "ext", "node", family, 8001, patience=SHORT), "calicod refuses what it allows"

    daemon.until(lambda status: status.healthy)
    told = daemon.told("steering.reset", 0 if router.setting == "nft" else resets)
    assert bool(told) == (resets > 0 and router.setting != "nft"), "nobody touches a table of ours"


def both_have_a_say(router: Node) -> None:
    """calicod allows everything, the other 22 and 8001."""
    for family in FAMILIES:
        assert tcp(router, "ext", "node", family, 8001), "both allow it"
        assert tcp(router, "ext", "node", family, 22), "both allow it"
        assert not tcp(router, "ext", "node", family, 8000, patience=SHORT), "it refuses what calicod allows"
        assert not tcp(router, "ext", "w1", family, 8000, patience=SHORT), "it forwards nothing"


def container(router: Node) -> str:
    """Docker's bridge with one container, which is not calicod's."""
    needs_kernel("bridges")
    space = router.world.add("box")
    run("ip", "-n", router.name, "link", "add", "docker0", "type", "bridge")
    run("ip", "-n", router.name, "link", "set", "docker0", "up")
    router.world.address(router.name, "docker0", "172.17.0.1/16")
    router.world.link((router.name, "veth1"), (space, "eth0"))
    run("ip", "-n", router.name, "link", "set", "veth1", "master", "docker0")
    router.world.address(space, "eth0", "172.17.0.2/16")
    router.world.route(space, "default", "via", "172.17.0.1")
    return space


def published(router: Node) -> bool:
    """Whether the outside reaches the container by its published port."""
    return tcp(router, "ext", "box", 4, 8080, patience=SHORT, to=address("ext", 4, node=True), server_port=80)


def test_a_published_port_goes_on_and_dockers_own_refusals_too(router: Node, daemon: Running):
    container(router)
    load(router, "docker")
    assert published(router)

    daemon.start()

    assert published(router)
    assert tcp(router, "box", "ext", 4, 8001, to=address("ext", 4)), "what a container begins is masqueraded"
    assert not tcp(router, "ext", "w1", 4, 8000, patience=SHORT), "Docker forwards what is its own only"
    router.iptables(4, "-I", "DOCKER-USER", "-d", address("w1", 4), "-j", "ACCEPT")
    router.iptables(4, "-I", "DOCKER-USER", "-s", address("w1", 4), "-j", "ACCEPT")
    assert tcp(router, "ext", "w1", 4, 8000), "both allow it"
    daemon.change(switch=switch(DENY))
    assert not tcp(router, "ext", "w1", 4, 8000, patience=SHORT), "calicod refuses what Docker allows"


def test_a_published_port_of_a_workload_is_judged_by_the_workloads_policy(router: Node, daemon: Running):
    load(router, "docker")
    router.iptables(4, "-I", "DOCKER-USER", "-j", "ACCEPT")
    publish = ("-p", "tcp", "--dport", "8081", "-j", "DNAT", "--to-destination", f"{address('w1', 4)}:8000")
    router.iptables(4, "-t", "nat", "-A", "DOCKER", "!", "-i", "docker0", *publish)
    daemon.start()

    def reached() -> bool:
        to = address("ext", 4, node=True)
        return tcp(router, "ext", "w1", 4, 8081, patience=SHORT, to=to, server_port=8000)

    assert reached()
    daemon.change(switch=switch("{action: Deny, protocol: TCP, destination: {ports: [8000]}}", ALLOW))
    assert not reached()


def test_rules_that_a_restart_puts_before_ours_are_put_behind_within_seconds_and_told(router: Node, daemon: Running):
    container(router)
    load(router, "docker")
    router.iptables(4, "-I", "DOCKER-USER", "-d", address("w1", 4), "-j", "ACCEPT")
    daemon.write(switch=switch("{action: Deny, protocol: UDP, destination: {ports: [9]}}", ALLOW))
    daemon.start()

    with UdpFlow(router, "ext", "w1", 4, 9) as refused:
        assert not refused.forth()
        restart_docker(router)
        wait_for(lambda: ours_come_first(router), patience=5.0)
        told = daemon.told("steering.reset", 0 if router.setting == "nft" else 1)
        while refused.forth():  # what got through meanwhile
            pass
        assert not refused.forth()

    missing = "ipv4 filter FORWARD: the jump to calicod-fwd is not the first rule"
    expected = set() if router.setting == "nft" else {(missing, True)}
    assert {(*event["missing"], event["restored"]) for event in told} == expected
    assert published(router)
    assert [rule for rule in router.iptables(4, "-S", "FORWARD").splitlines() if "calicod" not in rule][1:3] == [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
    ]


def test_kube_proxys_marks_survive_and_do_their_work(router: Node, daemon: Running):
    load(router, "kube-proxy")
    daemon.write(switch=switch(FROM_EXT.format(net=f"{address('ext', 4)}/32"), "{action: Deny}"))
    daemon.start()
    node_address = address("ext", 4, node=True)

    with (
        router.world.socket(router.space("w1"), socket.AF_INET, socket.SOCK_STREAM) as listener,
        router.world.socket(router.space("ext"), socket.AF_INET, socket.SOCK_STREAM) as client,
    ):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", 8000))
        listener.listen()
        client.connect((node_address, 30080))
        answering, (seen, _) = listener.accept()
        answering.close()

    assert seen == address("w1", 4, node=True), "0x4000: masqueraded, after it was judged by its own source"
    assert not tcp(router, "ext", "node", 4, 30081, patience=SHORT), "0x8000: KUBE-FIREWALL drops what calicod allows"
    assert tcp(router, "ext", "node", 4, 30082), "an unmarked one passes"
    daemon.change(switch=switch(DENY))
    assert not tcp(router, "ext", "w1", 4, 30080, patience=SHORT, to=node_address, server_port=8000)


def test_a_nic_that_becomes_a_port_of_a_bridge_degrades_until_the_bridge_is_managed(router: Node, daemon: Running):
    needs_kernel("bridges")
    daemon.start()
    run("ip", "-n", router.name, "link", "add", "br0", "type", "bridge")
    run("ip", "-n", router.name, "link", "set", "eth0", "master", "br0")

    degraded = daemon.until(lambda status: not status.healthy)
    daemon.write(
        bridge="{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: br0}, "
        "spec: {node: node, interfaceName: br0}}"
    )
    daemon.until(lambda status: status.healthy)

    assert "interface eth0 belongs to br0 (bridge)" in degraded.reasons[0]


def test_a_prefix_that_covers_a_nic_is_a_notice_that_names_it(router: Node, daemon: Running):
    daemon.write(endpoints=endpoints().replace("workloadSourceSpoofing: Any", "interfacePrefix: 'cali,eth1'"))
    status = daemon.start(healthy=False)

    (notice,) = [notice for notice in status.notices if "interfacePrefix" in notice]
    assert "interface eth1 has a workload's prefix" in notice
    assert not tcp(router, "far", "node", 4, 22, patience=SHORT)
    assert "daemon.cautioned" in daemon.log.read_text()
