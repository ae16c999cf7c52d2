"""How many events real traffic makes, and that no sink holds it up (contract.md, "Events")."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.node import FAMILIES, Node, UdpFlow, node, ping, tcp
from tests.netns.running import CALICOD, PATIENCE, Running, running_in, wait_for
from tests.netns.test_daemon import ALLOW, DENY, TcpFlow, endpoints, switch
from tests.netns.variants import USUAL

pytestmark = pytest.mark.netns
PATHS = (("ext", "w1"), ("w1", "ext"), ("ext", "node"), ("node", "ext"), ("w1", "w2"))
STAGED = """
apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: closed}
spec: {order: -1, ingress: [{action: Deny, protocol: TCP, destination: {ports: [5345]}}]}
"""
ENFORCED = ["0|default|gnp:switch|allow|0"]
RETRANSMISSION = 1.3
"""Seconds after which a SYN has been sent twice."""


@pytest.fixture(scope="module")
def router() -> Iterator[Node]:
    with node("cd-e", USUAL) as built:
        yield built


@pytest.fixture(scope="module")
def shared(router: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Beside the file there is a sink that nobody reads: what these tests see, they see in spite of it."""
    folder = tmp_path_factory.mktemp("events")
    os.mkfifo(folder / "pipe")
    sinks = [{"type": "file", "path": str(folder / name)} for name in ("events.jsonl", "pipe")]
    with running_in(router, folder, {"events": sinks, "workers": 2}) as daemon:
        daemon.write(endpoints=endpoints(), switch=switch(ALLOW))
        daemon.start()
        yield daemon


@pytest.fixture
def daemon(shared: Running) -> Running:
    """Allows everything, tracks nothing."""
    shared.write(endpoints=endpoints(), switch=switch(ALLOW))
    assert shared.reload().error == ""
    shared.router.forget()
    return shared


def about(daemon: Running, port: int, *names: str) -> list[dict[str, object]]:
    """What was told of this destination port."""
    return [event for event in daemon.events(*names) if event.get("dst_port") == port]


def told(daemon: Running, port: int, count: int = 1) -> list[dict[str, object]]:
    """The same once there are so many, and a moment later: no more of them."""
    wait_for(lambda: len(about(daemon, port)) >= count)
    time.sleep(0.1)
    return about(daemon, port)


def refusal(event: dict[str, object]) -> tuple[object, ...]:
    policy = event["policy"]
    return event["event"], event["verdict"], policy["name"], policy["rule"], Path(policy["file"]).name, policy["line"]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_refused_connection_has_one_event_that_names_rule_file_and_line(daemon: Running, family: int) -> None:
    router, first = daemon.router, 5000 + family * 10
    daemon.write(switch=switch(DENY))
    daemon.reload()
    line = switch(DENY).splitlines().index("  ingress: [{action: Deny}]") + 1
    begun = len(daemon.events())

    for number, (client, server) in enumerate(PATHS):
        assert not tcp(router, client, server, family, first + number, patience=RETRANSMISSION if number == 0 else 0.02)
        with UdpFlow(router, client, server, family, first + number) as flow:
            assert not flow.forth(0.02) and not flow.forth(0.02)
        assert not ping(router, client, server, family, count=3, patience=0.02)

    wait_for(lambda: len(daemon.events()[begun:]) >= 3 * len(PATHS))
    time.sleep(0.2)
    connections = [event for event in daemon.events()[begun:] if str(event["event"]).startswith("connection.")]
    kinds = [(event["protocol"], event["hook"], event["in_interface"], event["out_interface"]) for event in connections]
    assert len(kinds) == len(set(kinds)) == 3 * len(PATHS)
    assert {refusal(event)[:5] for event in connections} == {("connection.denied", "deny", "switch", 0, "switch.yaml")}
    assert {event["policy"]["line"] for event in connections} <= {line, line + 1}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("path", PATHS, ids="-".join)
def test_a_connection_is_told_when_it_is_allowed_and_when_it_ends(
    daemon: Running, family: int, path: tuple[str, str]
) -> None:
    port = 5100 + family * 10 + PATHS.index(path)

    assert tcp(daemon.router, *path, family, port)
    (allowed,) = told(daemon, port)
    daemon.router.forget()
    _, closed = told(daemon, port, 2)

    assert (allowed["event"], closed["event"]) == ("connection.allowed", "connection.closed")
    same = ("flow_id", "src_ip", "src_port", "dst_ip", "policy", "reporter", "hook", "reason", "src", "dst")
    assert [closed[key] for key in same] == [allowed[key] for key in same]
    assert allowed["flow_id"] is not None
    assert closed["packets_to_dst"] >= 3 and closed["packets_to_src"] >= 2
    assert closed["bytes_to_dst"] > 100 and closed["bytes_to_src"] > 100
    assert 0 < closed["duration_ms"] < 60_000


def test_a_translated_connection_keeps_its_id(daemon: Running) -> None:
    router = daemon.router
    rules = (
        ("PREROUTING", "-i", "eth0", "-p", "tcp", "--dport", "5299", "-j", "DNAT", "--to", "10.65.11.2:5200"),
        ("POSTROUTING", "-o", "cali1", "-p", "tcp", "--dport", "5200", "-j", "MASQUERADE"),
    )
    for rule in rules:
        router.iptables(4, "-w", "-t", "nat", "-A", *rule)
    try:
        target = router.peer("ext", "node", 4)
        assert tcp(router, "ext", "w1", 4, 5299, to=target, server_port=5200)
        router.forget()
        allowed, closed = told(daemon, 5200, 2)
    finally:
        for rule in rules:
            router.iptables(4, "-w", "-t", "nat", "-D", *rule)

    assert (allowed["event"], closed["event"]) == ("connection.allowed", "connection.closed")
    assert closed["flow_id"] == allowed["flow_id"]
    assert (closed["src_ip"], closed["dst_ip"], closed["dst_port"]) == ("10.65.1.2", "10.65.11.2", 5200)


def test_two_pings_at_once_are_two_connections(daemon: Running) -> None:
    begun = len(daemon.events())

    assert ping(daemon.router, "ext", "w1", 4, count=3) and ping(daemon.router, "ext", "w1", 4, count=3)
    wait_for(lambda: len(daemon.events()[begun:]) >= 2)
    daemon.router.forget()
    wait_for(lambda: len(daemon.events()[begun:]) >= 4)

    events = daemon.events()[begun:]
    allowed = [e["flow_id"] for e in events if e["event"] == "connection.allowed" and e["protocol"] == "icmp"]
    closed = [e["flow_id"] for e in events if e["event"] == "connection.closed" and e["protocol"] == "icmp"]
    assert len(set(allowed)) == 2
    assert sorted(allowed) == sorted(closed)


def test_a_change_of_policy_cuts_under_the_flows_id_and_the_end_bears_it_too(daemon: Running) -> None:
    with TcpFlow(daemon.router, "ext", "w1", 4, 5300) as flow:
        assert flow.forth(2.0)
        daemon.change(switch=switch(DENY))
        assert not flow.forth() and not flow.back()
        told(daemon, 5300, 2)
    daemon.router.forget()
    allowed, cut, closed = told(daemon, 5300, 3)

    assert [e["event"] for e in (allowed, cut, closed)] == ["connection.allowed", "connection.cut", "connection.closed"]
    assert len({e["flow_id"] for e in (allowed, cut, closed)}) == 1
    assert (cut["old_policy"]["name"], cut["policy"]["name"], closed["verdict"]) == ("switch", "switch", "deny")


def test_a_change_that_does_not_concern_a_flow_tells_nothing_of_it(daemon: Running) -> None:
    with TcpFlow(daemon.router, "ext", "w1", 4, 5310) as flow:
        daemon.change(switch=switch(ALLOW, DENY))
        assert flow.forth(2.0) and flow.back(2.0)

        assert [event["event"] for event in told(daemon, 5310)] == ["connection.allowed"]


def test_a_connection_that_a_failsafe_let_pass_is_told_from_conntrack(daemon: Running) -> None:
    daemon.write(switch=switch(DENY))
    daemon.reload()

    assert tcp(daemon.router, "ext", "node", 4, 22)
    (allowed,) = told(daemon, 22)
    daemon.router.forget()
    _, closed = told(daemon, 22, 2)

    assert (allowed["event"], allowed["reason"], allowed["policy"]) == ("connection.allowed", "failsafe", None)
    assert (allowed["hook"], allowed["reporter"]) == ("input", "dst")
    assert (closed["event"], closed["flow_id"]) == ("connection.closed", allowed["flow_id"])


def test_a_supervisor_that_is_replaced_ends_the_flows_of_the_former_one(daemon: Running) -> None:
    with TcpFlow(daemon.router, "ext", "w1", 4, 5320):
        (allowed,) = told(daemon, 5320)
        supervisor = daemon.status().supervisor_pid
        os.kill(supervisor, signal.SIGKILL)
        daemon.until(lambda status: status.supervisor_pid != supervisor and status.healthy)
    daemon.router.forget()
    _, closed = told(daemon, 5320, 2)

    assert (closed["event"], closed["flow_id"]) == ("connection.closed", allowed["flow_id"])
    assert daemon.told("daemon.supervisor-died")[-1]["pid"] == supervisor


def test_packets_that_conntrack_can_make_nothing_of_are_counted_and_told(daemon: Running) -> None:
    """All flags set at once: no state of TCP has that."""
    router = daemon.router
    before = sum(event["count"] for event in daemon.events("kernel.dropped"))
    with router.world.socket(router.space("ext"), socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        for _ in range(3):
            raw.sendto(bytes.fromhex("9c4114b4000000000000000050ff20000000 0000"), (router.peer("ext", "w1", 4), 0))

    wait_for(lambda: sum(event["count"] for event in daemon.events("kernel.dropped")) >= before + 3)
    assert daemon.events("kernel.dropped")[-1]["reason"] == "invalid"


def test_a_renamed_file_is_made_anew_and_sigusr1_lets_go_of_it_at_once(daemon: Running) -> None:
    old = daemon.events_file.with_name("old")
    with old.open("wb"):
        pass
    daemon.events_file.rename(old)
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGUSR1)

    wait_for(lambda: str(old) not in open_files(daemon.status().supervisor_pid))
    assert tcp(daemon.router, "ext", "w1", 4, 5330)
    assert [event["event"] for event in told(daemon, 5330)] == ["connection.allowed"]
    assert '"dst_port":5330' not in old.read_text()


def open_files(pid: int) -> set[str]:
    return {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}


def test_the_command_shows_recent_events_and_follows_those_to_come(daemon: Running) -> None:
    assert tcp(daemon.router, "ext", "w1", 4, 5340)
    told(daemon, 5340)
    code, output, _ = daemon.run("events", "--event", "connection.*", "--src", "10.65.1.0/24")
    assert (code, json.loads(output.splitlines()[-1])["dst_port"]) == (0, 5340)

    follower = subprocess.Popen(
        [*CALICOD, "events", "-f", "--denied", "--dst", "prod/node-k8s-w1-eth0", "--socket", str(daemon.socket)],
        stdout=subprocess.PIPE,
    )
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(follower.stdout or ()), daemon=True)
    reader.start()
    daemon.write(switch=switch(DENY))
    daemon.reload()
    deadline = time.monotonic() + PATIENCE
    port = 5341
    while not lines and time.monotonic() < deadline:  # until it follows
        assert not tcp(daemon.router, "ext", "w1", 4, port, patience=0.05)
        port += 1
    follower.send_signal(signal.SIGINT)

    assert follower.wait(PATIENCE) == 0
    reader.join(PATIENCE)
    assert {json.loads(line)["event"] for line in lines} == {"connection.denied"}


def test_a_staged_policy_refuses_nothing_and_is_told_beside_what_counted(daemon: Running) -> None:
    daemon.write(switch=f"{switch(ALLOW)}---\n{STAGED}")
    assert daemon.reload().error == ""

    assert tcp(daemon.router, "ext", "w1", 4, 5345)
    assert tcp(daemon.router, "ext", "w1", 4, 5346)
    (tried,), (other,) = told(daemon, 5345), told(daemon, 5346)

    assert (tried["event"], other["event"]) == ("connection.allowed", "connection.allowed")
    assert tried["policies"] == {"enforced": ENFORCED, "pending": ["0|default|sgnp:closed|deny|0"]}
    assert other["policies"] == {"enforced": ENFORCED, "pending": ENFORCED}


def test_a_sink_that_nobody_reads_loses_events_and_holds_up_nothing(daemon: Running) -> None:
    """Last of all: the pipe is full by now, or becomes so here."""
    with UdpFlow(daemon.router, "ext", "w1", 4, 5350) as flow:
        assert flow.forth(2.0)
        for port in range(20_000, 20_400):
            with daemon.router.world.socket(daemon.router.space("ext"), socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"x", (daemon.router.peer("ext", "w1", 4), port))
        wait_for(lambda: len([e for e in daemon.events() if 20_000 <= (e.get("dst_port") or 0) < 20_400]) == 400)
        assert flow.forth(2.0) and flow.back(2.0)

    status = daemon.until(lambda status: status.events_lost > 0)
    assert status.healthy
    assert tcp(daemon.router, "ext", "w1", 4, 5351)
