"""The whole daemon on real packets: what is in force, when it changes, and what survives whatever happens to it."""

import contextlib
import grp
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from calicod.model.marks import layout
from calicod.netfilter import conntrack
from tests.netns.node import FAMILIES, Node, UdpFlow, address, node, ping, tcp
from tests.netns.patience import seconds
from tests.netns.running import Running, running_in, wait_for
from tests.netns.test_steering_guards import FORGED, RESTORE, flush_neighbours, send_unreachable
from tests.netns.variants import IPTABLES, USUAL, needs_variant
from tests.netns.world import inside, world

pytestmark = [pytest.mark.netns, pytest.mark.security]
MARKS = layout()
SHORT = 0.15

WORKLOAD = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: node-k8s-{name}-eth0, namespace: prod, labels: {{name: {name}, role: work}}}}
spec:
  {{orchestrator: k8s, node: node, pod: {name}, workload: {name}, endpoint: eth0, interfaceName: {interface},
  ipNetworks: [{v4}, "{v6}"]{more}}}
---
"""
HOST = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: eth0, labels: {role: host}}
spec: {node: node, interfaceName: eth0}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {workloadSourceSpoofing: Any, defaultEndpointToHostAction: Accept}
"""
SWITCH = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: switch}}
spec:
  order: 1
  selector: all()
  types: [Ingress, Egress]
  ingress: [{rules}]
  egress: [{rules}]
"""
ALLOW = "{action: Allow}"
DENY = "{action: Deny}"
FAR_WORDS = "allowSpoofedSourcePrefixes: [10.65.0.0/16, 'fd65::/16']"


def endpoints() -> str:
    """Every workload and the host endpoint of the router."""
    text = ""
    for name, interface in (("w1", "cali1"), ("w2", "cali2"), ("w3", "caliw3")):
        more = f", {FAR_WORDS}" if name == "w3" else ""
        text += WORKLOAD.format(name=name, interface=interface, v4=address(name, 4), v6=address(name, 6), more=more)
    return text + HOST


def switch(*rules: str) -> str:
    """One policy for everybody."""
    return SWITCH.format(rules=", ".join(rules))


class TcpFlow:
    """A connection that is up; both sockets are this test's own."""

    def __init__(self, at: Node, client: str, server: str, family: int, port: int) -> None:
        self.client = at.world.socket(at.space(client), FAMILIES[family], socket.SOCK_STREAM)
        with at.world.socket(at.space(server), FAMILIES[family], socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("", port))
            listener.listen()
            self.client.connect((at.peer(client, server, family), port))
            self.server, _ = listener.accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.server.close()

    def forth(self, patience: float = SHORT) -> bool:
        return carried(self.client, self.server, patience)

    def back(self, patience: float = SHORT) -> bool:
        return carried(self.server, self.client, patience)


def carried(sender: socket.socket, receiver: socket.socket, patience: float) -> bool:
    """Whether a byte arrives."""
    receiver.settimeout(seconds(patience))
    sender.send(b"x")
    try:
        return receiver.recv(100) != b""
    except TimeoutError:
        return False


def flows(router: Node, stack: contextlib.ExitStack, port: int) -> dict[str, TcpFlow | UdpFlow]:
    """Live flows of both protocols and families, in, out, to, from and between workloads, each used both ways."""
    made: dict[str, TcpFlow | UdpFlow] = {}
    paths = (("ext", "node"), ("node", "ext"), ("ext", "w1"), ("w1", "ext"), ("w1", "w2"))
    for number, (client, server) in enumerate(paths):
        for family in FAMILIES:
            for kind, make in (("tcp", TcpFlow), ("udp", UdpFlow)):
                flow = stack.enter_context(make(router, client, server, family, port + number))
                assert flow.forth(2.0) and flow.back(2.0)
                made[f"{kind}{family} {client}-{server}"] = flow
    return made


@pytest.fixture(scope="module")
def router() -> Iterator[Node]:
    with node("cd-d", USUAL) as built:
        yield built


@pytest.fixture(scope="module")
def shared(router: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_in(router, tmp_path_factory.mktemp("daemon"), {"workers": 2}) as daemon:
        daemon.write(endpoints=endpoints(), switch=switch(ALLOW))
        daemon.start()
        yield daemon


@pytest.fixture
def daemon(shared: Running) -> Running:
    """Runs, everything allowed, nothing tracked."""
    if shared.process is None or shared.process.poll() is not None:
        shared.write(endpoints=endpoints(), switch=switch(ALLOW))
        shared.start()
    shared.write(endpoints=endpoints(), switch=switch(ALLOW))
    assert shared.reload().error == ""
    shared.router.forget()
    return shared


# A change of policy


@pytest.mark.parametrize("first", ["forth", "back"], ids=["client-sends-next", "server-sends-next"])
def test_an_edited_file_cuts_live_flows_in_both_directions(daemon: Running, first: str) -> None:
    second = "back" if first == "forth" else "forth"
    with contextlib.ExitStack() as stack:
        live = flows(daemon.router, stack, 4000)
        daemon.change(switch=switch(DENY))

        passed = [name for name, flow in live.items() if getattr(flow, first)(0.03)]
        passed += [name for name, flow in live.items() if getattr(flow, second)(0.03)]

        assert passed == []
        daemon.change(switch=switch(ALLOW))
        assert [name for name, flow in live.items() if not flow.forth(3.0)] == []
    cut = daemon.told("connection.cut", 20)
    assert {(event["policy"]["name"], event["old_policy"]["name"]) for event in cut} == {("switch", "switch")}


def test_a_flow_on_which_nobody_speaks_is_judged_by_the_policy_of_its_next_packet(daemon: Running) -> None:
    with UdpFlow(daemon.router, "ext", "w1", 4, 4100) as flow:
        assert flow.trips(1)
        for number in range(3):
            daemon.change(
                switch=switch(f"{{action: Deny, protocol: UDP, destination: {{ports: [{number + 1}]}}}}", ALLOW)
            )
        assert flow.trips(1)
        daemon.change(switch=switch("{action: Deny, protocol: UDP, destination: {ports: [4100]}}", ALLOW))

        assert not flow.back()
        assert not flow.forth()


def test_an_icmp_error_that_quotes_a_cut_flow_passes_not_and_revives_nothing(daemon: Running) -> None:
    with UdpFlow(daemon.router, "w1", "ext", 4, 4200) as flow:
        assert flow.trips(1)
        _, port = flow.client.getsockname()
        daemon.change(switch=switch("{action: Deny, protocol: UDP}", ALLOW))
        send_unreachable(daemon.router, port, 4200)

        flow.client.settimeout(SHORT)
        with pytest.raises(TimeoutError):  # an error that had arrived would be ConnectionRefusedError
            flow.client.recv(10)
        assert not flow.back()
        assert not flow.forth()


def test_an_icmp_error_that_quotes_an_allowed_flow_arrives(daemon: Running) -> None:
    with UdpFlow(daemon.router, "w1", "ext", 4, 4201) as flow:
        assert flow.trips(1)
        _, port = flow.client.getsockname()
        daemon.change(switch=switch("{action: Allow, protocol: UDP}", ALLOW))
        send_unreachable(daemon.router, port, 4201)

        flow.client.settimeout(2.0)
        with pytest.raises(ConnectionRefusedError):
            flow.client.recv(10)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_packet_that_is_routed_twice_is_judged_twice(daemon: Running, family: int) -> None:
    router = daemon.router
    ip = ("ip", "-n", router.name, "-4" if family == 4 else "-6")
    ends = {"cali1": address("w2", family), "cali2": address("w1", family)}
    for table, (interface, target) in enumerate(ends.items(), start=101):
        router.world.run(router.name, *ip, "rule", "add", "iif", interface, "lookup", str(table))
        via = (target, "via", address("w3", family), "dev", "caliw3", "table", str(table))
        router.world.run(router.name, *ip, "route", "add", *via)
    try:
        with UdpFlow(router, "w1", "w2", family, 4300) as flow:
            assert flow.trips(2)
            # w3 may take everything, and send nothing on: only the second passage is refused
            daemon.change(switch=switch(ALLOW), second=second_passage())
            assert not flow.forth()
        with UdpFlow(router, "w1", "w2", family, 4301) as flow:
            assert not flow.forth()
    finally:
        (daemon.policies / "second.yaml").unlink(missing_ok=True)
        for table, interface in enumerate(ends, start=101):
            router.world.run(router.name, *ip, "rule", "del", "iif", interface, "lookup", str(table))
            router.world.run(router.name, *ip, "route", "flush", "table", str(table))
    denied = daemon.told("connection.cut")[-1]
    assert (denied["in_interface"], denied["out_interface"]) == ("caliw3", "cali2")


def second_passage() -> str:
    return (
        switch(DENY)
        .replace("name: switch", "name: second")
        .replace("order: 1", "order: 0")
        .replace("all()", "name == 'w3'")
        .replace("types: [Ingress, Egress]", "types: [Egress]")
        .replace(f"  ingress: [{DENY}]\n", "")
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_no_packet_of_a_flood_slips_from_an_old_policy_into_the_new_one(daemon: Running, family: int) -> None:
    deny = switch("{action: Deny, protocol: UDP, destination: {ports: [4350]}}", ALLOW)
    slipped = []
    with UdpFlow(daemon.router, "ext", "w1", family, 4350) as flow, flooding(flow.client):
        for _ in range(8):
            daemon.change(switch=deny)
            drained(flow.server)
            flow.server.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                slipped.append(flow.server.recv(100))
            daemon.change(switch=switch(ALLOW))
            flow.server.settimeout(3.0)
            assert flow.server.recv(100)

    assert slipped == []


@contextlib.contextmanager
def flooding(sender: socket.socket) -> Iterator[None]:
    """Datagrams without a pause, from a thread."""
    over = threading.Event()

    def flood() -> None:
        while not over.wait(0.0002):
            with contextlib.suppress(OSError):
                sender.send(b"flood")

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def drained(receiver: socket.socket) -> None:
    """What arrived so far is taken away; what was under way has the time to arrive."""
    time.sleep(0.02)
    receiver.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            receiver.recv(100)


# What is broken, and what is not there


def test_a_broken_edit_leaves_the_last_good_version_in_force_and_is_told_everywhere(daemon: Running) -> None:
    told = len(daemon.events("policy.rejected"))
    daemon.change(switch=switch("{action: Deny, protocol: UDP, destination: {ports: [4400]}}", ALLOW))
    daemon.write(switch=switch("{action: Denny}"))
    status = daemon.until(lambda status: status.state == "degraded")
    code, shown, errors = daemon.run("reload")
    daemon.run("reload")

    with UdpFlow(daemon.router, "ext", "w1", 4, 4400) as flow:
        assert not flow.forth()
    with UdpFlow(daemon.router, "ext", "w1", 4, 4401) as flow:
        assert flow.trips(1)
    rejected = daemon.events("policy.rejected")[told:]
    assert [(e["name"], e["kept"], e["line"]) for e in rejected] == [("switch", True, 9), ("switch", True, 10)]
    assert "Denny" in status.reasons[0]
    assert [d.name for d in status.rejected] == ["switch", "switch"]
    assert (code, "revision" in shown, "Denny" in errors) == (1, True, True)
    assert daemon.run("status")[0] == 1
    assert "Denny" in str(daemon.events("daemon.degraded")[-1]["reasons"])

    daemon.stop()
    daemon.start(healthy=False)

    with UdpFlow(daemon.router, "ext", "w1", 6, 4400) as flow:
        assert not flow.forth()
    with UdpFlow(daemon.router, "ext", "w1", 6, 4401) as flow:
        assert flow.trips(1)
    assert daemon.events("policy.rejected")[-1]["kept"] is True
    daemon.write(switch=switch(ALLOW))
    assert daemon.until(lambda status: status.healthy).rejected == ()
    assert daemon.told("daemon.recovered")


def test_a_policy_directory_that_vanishes_leaves_everything_in_force(daemon: Running) -> None:
    generation = daemon.status().generation
    away = daemon.folder / "away"
    daemon.policies.rename(away)
    try:
        status = daemon.until(lambda status: status.state == "degraded")
        assert "no such file or directory" in status.reasons[0]
        assert (status.generation, status.endpoints) == (generation, 4)
    finally:
        away.rename(daemon.policies)
    daemon.until(lambda status: status.healthy)


# Others on this host


@pytest.mark.parametrize("family", FAMILIES)
def test_forged_marks_pass_nothing_unjudged(daemon: Running, family: int) -> None:
    for table, hook, *rule in RESTORE:
        daemon.router.iptables(family, "-t", table, "-A", hook, *rule)
    try:
        with UdpFlow(daemon.router, "node", "ext", family, 4500) as flow:
            assert flow.trips(1)
        daemon.change(switch=switch("{action: Deny, protocol: UDP}", ALLOW))
        generation = daemon.status().generation
        current = MARKS.stamp(generation, 1) | MARKS.filter_stage
        for number, mark in enumerate((*FORGED, current, current | MARKS.packet_mask)):
            with UdpFlow(daemon.router, "node", "ext", family, 4510 + number, mark=mark) as flow:
                assert not flow.forth(0.05)
                assert not flow.forth(0.05)
    finally:
        for table, hook, *rule in RESTORE:
            daemon.router.iptables(family, "-t", table, "-D", hook, *rule)


def test_our_jumps_are_put_back_in_first_place_and_it_is_told(daemon: Running) -> None:
    told = len(daemon.events("steering.reset"))

    def resets() -> list[dict[str, object]]:
        return daemon.events("steering.reset")[told:]

    daemon.router.iptables(4, "-D", "INPUT", "-j", "calicod-in")
    daemon.router.iptables(6, "-I", "FORWARD", "-p", "sctp", "-j", "ACCEPT")
    try:
        # the daemon may look between the two
        wait_for(lambda: {what.split()[0] for event in resets() for what in event["missing"]} == {"ipv4", "ipv6"})

        wait_for(lambda: "-A INPUT -j calicod-in" in daemon.router.save())
        assert daemon.router.iptables(6, "-S", "FORWARD").splitlines()[1] == "-A FORWARD -j calicod-fwd"
        assert all(event["restored"] for event in resets())
    finally:
        daemon.router.iptables(6, "-D", "FORWARD", "-p", "sctp", "-j", "ACCEPT")


def test_what_no_endpoint_claims_is_untouched(daemon: Running) -> None:
    router = daemon.router
    foreign = (
        ("mangle", "PREROUTING", "-j", "MARK", "--set-xmark", "0x4000/0x4000"),
        ("mangle", "PREROUTING", "-m", "conntrack", "--ctstate", "NEW", "-j", "CONNMARK", "--set-xmark", "0x80/0x80"),
        ("filter", "FORWARD", "-m", "mark", "!", "--mark", "0x4000/0x4000", "-i", "eth0", "-j", "DROP"),
    )
    for table, hook, *rule in foreign:
        router.iptables(4, "-t", table, "-A", hook, *rule)
    try:
        before = theirs(router)
        with UdpFlow(router, "ext", "w1", 4, 4610) as judged_flow, UdpFlow(router, "ext", "far", 4, 4611) as through:
            assert judged_flow.trips(1)
            daemon.change(switch=switch("{action: Allow, protocol: UDP, destination: {ports: [4610]}}"))
            assert judged_flow.trips(1)
            assert through.trips(1)  # hosts judge what is for themselves
            assert tcp(router, "far", "node", 4, 4612)
            assert not tcp(router, "ext", "node", 4, 4612, SHORT)
            with inside(router.name):
                marks = {found.original.dport: found.mark for found in conntrack.dump()}
        assert theirs(router) == before
    finally:
        for table, hook, *rule in foreign:
            router.iptables(4, "-t", table, "-D", hook, *rule)
    assert (marks[4611], marks[4612]) == (0x80, 0x80)
    assert (marks[4610] & 0x80, marks[4610] & MARKS.filter_stage) == (0x80, MARKS.filter_stage)


def theirs(router: Node) -> list[str]:
    """The rules and policies of others."""
    return [line for line in router.save().splitlines() if "calicod-" not in line]


def test_a_client_that_hangs_on_the_control_socket_harms_nobody(daemon: Running) -> None:
    hung = [socket.socket(socket.AF_UNIX) for _ in range(40)]
    for number, client in enumerate(hung):
        client.connect(str(daemon.socket))
        if number % 2:
            client.send(b"GET /events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        else:
            client.send(b"GET /status HTTP/1.1\r\n")
    try:
        daemon.change(switch=switch("{action: Deny, protocol: UDP, destination: {ports: [4600]}}", ALLOW))
        assert daemon.run("status")[0] == 0
        with UdpFlow(daemon.router, "ext", "w1", 4, 4600) as flow:
            assert not flow.forth()
    finally:
        for client in hung:
            client.close()


def test_the_control_socket_is_for_root_and_its_group(daemon: Running) -> None:
    code, _, errors = daemon.run("status", "--socket", str(daemon.folder / "none.sock"))
    about = daemon.socket.stat()

    assert (code, "K060" in errors) == (3, True)
    assert (about.st_uid, about.st_mode & 0o007) == (0, 0)


def test_a_worker_that_hangs_is_replaced_and_what_waited_is_judged(daemon: Running) -> None:
    died = len(daemon.events("daemon.worker-died"))
    pids = [worker.pid for worker in daemon.status().workers]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    with UdpFlow(daemon.router, "ext", "w1", 4, 4770) as flow:
        assert not flow.forth()

        flow.server.settimeout(10.0)
        assert flow.server.recv(100)

    told = daemon.told("daemon.worker-died", died + len(pids))[died:]
    assert {event["how"] for event in told} == {"hung, killed by SIGKILL"}
    assert {event["pid"] for event in told} == set(pids)
    daemon.until(lambda status: status.healthy)


# Interfaces


def test_endpoints_are_told_as_their_interfaces_come_and_go(daemon: Running) -> None:
    router, world = daemon.router, daemon.router.world
    up, down = len(daemon.events("endpoint.up")), len(daemon.events("endpoint.down"))
    more = WORKLOAD.format(name="w9", interface="cali9", v4="10.65.99.2", v6="fd65:99::2", more="")
    daemon.change(more=more)
    try:
        world.link((router.name, "cali9"), (router.space("w2"), "eth9"))
        daemon.told("endpoint.up", up + 1)
        world.run(router.name, "ip", "link", "del", "cali9")
        daemon.told("endpoint.down", down + 1)
    finally:
        (daemon.policies / "more.yaml").unlink()
    came, went = daemon.events("endpoint.up")[-1], daemon.events("endpoint.down")[-1]
    assert (
        came["endpoint"]
        == went["endpoint"]
        == {
            "type": "WorkloadEndpoint",
            "namespace": "prod",
            "name": "node-k8s-w9-eth0",
        }
    )
    assert (came["interface"], went["interface"]) == ("cali9", "cali9")


def host(name: str, where: str) -> str:
    return f"""
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: {name}, labels: {{role: host}}}}
spec: {{node: node, {where}}}
"""


def test_an_interface_that_an_endpoint_names_is_judged_from_its_first_packet_on(daemon: Running) -> None:
    router, world = daemon.router, daemon.router.world
    daemon.change(more=host("eth7", "interfaceName: eth7"), switch=switch(DENY))
    world.run(router.space("far"), "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "peer7")
    try:
        world.address(router.space("far"), "peer7", "10.65.97.2/24")
        world.run(router.space("far"), "ip", "link", "set", "peer7", "up")
        with (
            world.socket(router.name, socket.AF_INET, socket.SOCK_DGRAM) as server,
            world.socket(router.space("far"), socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            server.bind(("", 4650))
            client.connect(("10.65.97.1", 4650))
            with flooding(client):
                world.run(router.space("far"), "ip", "link", "set", "eth7", "netns", router.name)
                lines = "address add 10.65.97.1/24 dev eth7\nlink set eth7 up\n"
                world.run(router.name, "ip", "-batch", "-", text=lines)
                server.settimeout(0.7)
                with pytest.raises(TimeoutError):
                    server.recv(100)
            assert daemon.told("endpoint.up")[-1]["interface"] == "eth7"
    finally:
        world.run(router.space("far"), "ip", "link", "del", "peer7")
        (daemon.policies / "more.yaml").unlink()


def test_an_endpoint_by_address_goes_where_the_address_goes(daemon: Running) -> None:
    router = daemon.router
    allow_but = ("{action: Deny, protocol: TCP, destination: {ports: [4660]}}", ALLOW)
    daemon.change(more=host("mobile", "expectedIPs: [10.65.98.1]"), switch=switch(*allow_but))
    try:
        assert tcp(router, "far", "node", 4, 4660)
        up = len(daemon.events("endpoint.up"))
        router.world.address(router.name, "eth1", "10.65.98.1/32")
        assert daemon.told("endpoint.up", up + 1)[-1]["interface"] == "eth1"
        daemon.until(lambda status: status.healthy)
        assert not tcp(router, "far", "node", 4, 4660, SHORT)
        router.world.run(router.name, "ip", "address", "del", "10.65.98.1/32", "dev", "eth1")
        daemon.told("endpoint.down")
        wait_for(lambda: tcp(router, "far", "node", 4, 4660, SHORT))
    finally:
        (daemon.policies / "more.yaml").unlink()


# The end, and the beginning


def judged(daemon: Running) -> int:
    """Packets that workers have judged."""
    time.sleep(1.1)  # counters are told each second
    return sum(worker.judged for worker in daemon.status().workers)


def test_a_restart_keeps_live_flows_and_judges_none_of_them_again(daemon: Running) -> None:
    with contextlib.ExitStack() as stack:
        live = flows(daemon.router, stack, 4700)
        generation = daemon.status().generation
        assert daemon.stop() == 0
        assert [name for name, flow in live.items() if not (flow.forth() and flow.back())] == []
        assert daemon.start().generation == generation
        assert [name for name, flow in live.items() if not (flow.forth() and flow.back())] == []
        assert judged(daemon) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_that_is_refused_passes_while_it_stops_dies_and_begins(daemon: Running, family: int) -> None:
    daemon.change(switch=switch("{action: Deny, protocol: UDP, destination: {ports: [4750]}}", ALLOW))
    with UdpFlow(daemon.router, "ext", "w1", family, 4750) as flow, flooding(flow.client):
        daemon.stop()
        daemon.start()
        daemon.kill()
        daemon.start()
        flow.server.settimeout(SHORT)
        with pytest.raises(TimeoutError):
            flow.server.recv(100)
    with UdpFlow(daemon.router, "ext", "w1", family, 4751) as flow:
        assert flow.trips(1)


@pytest.mark.parametrize("end", [Running.stop, Running.kill], ids=["stopped", "killed"])
@pytest.mark.parametrize("family", FAMILIES)
def test_policy_that_was_tightened_while_it_was_stopped_judges_the_first_packet(
    daemon: Running, family: int, end: Callable[[Running], object]
) -> None:
    router = daemon.router
    end(daemon)
    daemon.write(switch=switch("{action: Deny, protocol: UDP, destination: {ports: [4760]}}", ALLOW))
    with UdpFlow(router, "ext", "w1", family, 4760) as refused, UdpFlow(router, "ext", "w1", family, 4761) as allowed:
        over = threading.Event()
        target = allowed.client.getpeername()[0]

        def knock() -> None:
            """Each datagram is a flow of its own."""
            while not over.wait(0.005):
                for port in (4760, 4761):
                    with router.world.socket(router.space("ext"), FAMILIES[family], socket.SOCK_DGRAM) as one:
                        one.sendto(b"new", (target, port))

        thread = threading.Thread(target=knock)
        thread.start()
        try:
            daemon.start()
            allowed.server.settimeout(2.0)
            assert allowed.server.recv(100)
            refused.server.settimeout(SHORT)
            with pytest.raises(TimeoutError):
                refused.server.recv(100)
        finally:
            over.set()
            thread.join()


def test_a_daemon_that_was_asked_to_stop_leaves_live_flows_alive_and_new_ones_refused(daemon: Running) -> None:
    with contextlib.ExitStack() as stack:
        live = flows(daemon.router, stack, 4710)
        daemon.change(switch=switch("{action: Deny, destination: {ports: [4711]}, protocol: UDP}", ALLOW))
        assert daemon.stop() == 0

        dead = [name for name, flow in live.items() if not (flow.forth(0.1) and flow.back(0.1))]

        assert dead == ["udp4 node-ext", "udp6 node-ext"]
        for family in FAMILIES:
            with UdpFlow(daemon.router, "ext", "w1", family, 4720) as flow:
                assert not flow.forth()
            assert not tcp(daemon.router, "ext", "node", family, 4721, SHORT)
    assert daemon.events("daemon.stopped")


def test_under_deny_all_ipv6_works_but_for_what_policy_denies(daemon: Running) -> None:
    daemon.change(switch=switch(DENY))
    flush_neighbours(daemon.router)

    assert tcp(daemon.router, "ext", "node", 6, 22)
    assert not ping(daemon.router, "ext", "node", 6)
    assert not tcp(daemon.router, "ext", "w1", 6, 22, SHORT)


def test_ssh_gets_in_with_every_process_killed_and_nothing_else_does(daemon: Running) -> None:
    pids = daemon.family()
    daemon.change(switch=switch(DENY))
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert daemon.process is not None
    daemon.process.wait(10)
    flush_neighbours(daemon.router)

    for family in FAMILIES:
        assert tcp(daemon.router, "ext", "node", family, 22)
        assert not tcp(daemon.router, "ext", "node", family, 80, SHORT)
        assert not tcp(daemon.router, "ext", "w1", family, 22, SHORT)


def test_a_foreign_rule_that_takes_our_queue_is_refused_by_name_before_anything_is_installed(
    router: Node, shared: Running
) -> None:
    if shared.process is not None and shared.process.poll() is None:
        shared.stop()
    assert shared.run("teardown", "--config", str(shared.config))[0] == 0
    before = router.save()
    router.iptables(4, "-A", "INPUT", "-p", "sctp", "-j", "NFQUEUE", "--queue-num", "5201")
    try:
        code, _, errors = shared.run("run", "--config", str(shared.config))
        with_rule = router.save()
    finally:
        router.iptables(4, "-D", "INPUT", "-p", "sctp", "-j", "NFQUEUE", "--queue-num", "5201")

    assert (code, "K015" in errors, "--queue-num 5201" in errors) == (4, True, True)
    assert "calicod" not in with_rule
    assert router.save() == before


@pytest.mark.parametrize("alive", [True, False], ids=["while-it-runs", "after-kill-9"])
def test_teardown_leaves_no_trace_and_the_rules_and_marks_of_others(daemon: Running, *, alive: bool) -> None:
    router = daemon.router
    foreign = (
        ("filter", "FORWARD", "-p", "udp", "--dport", "4801", "-j", "DROP"),
        ("mangle", "PREROUTING", "-m", "conntrack", "--ctstate", "NEW", "-j", "CONNMARK", "--set-xmark", "0x80/0x80"),
    )
    for table, hook, *rule in foreign:
        router.iptables(4, "-t", table, "-A", hook, *rule)
    try:
        with UdpFlow(router, "ext", "w1", 4, 4800) as flow, UdpFlow(router, "ext", "w1", 4, 4801) as dropped:
            assert flow.trips(1)
            assert not dropped.forth()
            if not alive:
                daemon.kill()
            code, shown, _ = daemon.run("teardown", "--json", "--config", str(daemon.config))
            with inside(router.name):
                marks = [found.mark for found in conntrack.dump() if found.original.dport == 4800]
            assert flow.trips(1)
        left = router.save()
    finally:
        for table, hook, *rule in foreign:
            router.iptables(4, "-t", table, "-D", hook, *rule)
    done = json.loads(shown)

    assert (code, (done["stopped"] is not None), len(done["rules"])) == (0, alive, 2)
    assert marks == [0x80]
    assert "calicod" not in left
    assert [line for line in left.splitlines() if line.startswith("-A")] == [
        "-A PREROUTING -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x80/0x80",
        "-A FORWARD -p udp -m udp --dport 4801 -j DROP",
    ]
    assert daemon.process is not None
    daemon.process.wait(10)


# Other hosts


@pytest.fixture(params=IPTABLES)
def old_host(request: pytest.FixtureRequest) -> Iterator[Node]:
    """A host that speaks no IPv6, with a client."""
    needs_variant(request.param)
    with world("cd-o", ["node", "ext"]) as made:
        for name in ("cd-onode", "cd-oext"):
            made.sysctl(name, "net/ipv6/conf/all/disable_ipv6", 1)
            made.sysctl(name, "net/ipv6/conf/default/disable_ipv6", 1)
        made.link(("cd-onode", "eth0"), ("cd-oext", "eth0"))
        made.address("cd-onode", "eth0", f"{address('ext', 4, node=True)}/24")
        made.address("cd-oext", "eth0", f"{address('ext', 4)}/24")
        bare = Node.__new__(Node)
        bare.world, bare.setting, bare.name, bare.judge = made, request.param, "cd-onode", None
        yield bare


def test_a_host_without_ipv6_and_without_our_group_is_judged_and_says_so(old_host: Node, tmp_path: Path) -> None:
    with running_in(old_host, tmp_path) as daemon:
        daemon.write(host=HOST, switch=switch("{action: Deny, protocol: TCP, destination: {ports: [4900]}}", ALLOW))
        status = daemon.start()

        assert status.steering == old_host.setting
        assert not tcp(old_host, "ext", "node", 4, 4900, SHORT)
        assert tcp(old_host, "ext", "node", 4, 4901)
        assert [n for n in status.notices if "no group `calicod`" in n] or has_group()
        assert daemon.events("connection.denied")[0]["dst_port"] == 4900


def has_group() -> bool:
    try:
        grp.getgrnam("calicod")
    except KeyError:
        return False
    return True
