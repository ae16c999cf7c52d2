"""A flood of refused packets: the kernel refuses it alone, allowed connections come about, and all is counted."""

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from tests.netns.node import FAMILIES, Node, UdpFlow, address, node, tcp
from tests.netns.running import Running, running_in, wait_for
from tests.netns.stages import policy, rule
from tests.netns.test_daemon import ALLOW, endpoints, switch
from tests.netns.variants import IPTABLES, needs_variant

pytestmark = [pytest.mark.netns, pytest.mark.security]
PORT = 7777
LONG = 120.0
"""On a busy machine rules are looked at seldom (`Patrol`), and so are their counters."""
SUM = 65000
"""Of the source port and a field that nobody reads: the checksum stays right."""
REFUSED = f"{{action: Deny, protocol: PROTOCOL, destination: {{ports: [{PORT}]}}}}"
ASKS_SOURCE_PORTS = "{action: Deny, protocol: TCP, source: {ports: [1]}}"


@pytest.fixture(scope="module", params=IPTABLES)
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    needs_variant(request.param)
    with node("cd-p", request.param) as router, running_in(router, tmp_path_factory.mktemp("flood")) as running:
        running.write(endpoints=endpoints(), switch=switch(ALLOW))
        running.start()
        yield running


@contextlib.contextmanager
def flooding(router: Node, source: str, to: str, family: int, transport: str) -> Iterator[None]:
    """New flows without a pause from one host to one port of another, each from another port."""
    ends = {"src": address(source, family), "dst": to}
    head = TCP(sport=SUM, dport=PORT, flags="S") if transport == "TCP" else UDP(sport=SUM, dport=PORT) / b"\0\0"
    packet = bytearray(bytes((IP if family == 4 else IPv6)(**ends) / head))
    over, at = threading.Event(), 20 if family == 4 else 40
    evens = at + (18 if transport == "TCP" else 8)  # the urgent pointer, or the only two bytes of the datagram

    def flood() -> None:
        with router.world.socket(router.space(source), FAMILIES[family], socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            for number in range(1 << 24):
                if over.is_set():
                    return
                port = 1024 + number % 60000
                struct.pack_into(">H", packet, at, port)
                struct.pack_into(">H", packet, evens, SUM - port)
                with contextlib.suppress(BlockingIOError):
                    raw.sendto(packet, (ends["dst"], 0))

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def remembered(daemon: Running, family: int) -> list[str]:
    """The rules by which the kernel refuses alone."""
    return [line for line in daemon.router.rules(family, "calicod-denied") if "drop" in line.lower()]


def counted(daemon: Running) -> int:
    """Packets of the flood that were told as counts; there are as many other events as ports."""
    with daemon.events_file.open() as lines:
        events = [json.loads(line) for line in lines if '"src_port":null' in line and line.endswith("}\n")]
    return sum(event["count"] for event in events if event["dst_port"] == PORT)


@pytest.mark.parametrize(
    ("source", "target", "family", "transport"),
    [("w1", "ext", 4, "UDP"), ("w1", "ext", 6, "TCP"), ("ext", "node", 4, "TCP"), ("ext", "node", 6, "UDP")],
)
def test_the_kernel_refuses_a_flood_alone_counts_it_and_lets_others_pass(
    daemon: Running, source: str, target: str, family: int, transport: str
) -> None:
    router = daemon.router
    to = router.peer(source, target, family)
    daemon.write(switch=switch(REFUSED.replace("PROTOCOL", transport), ALLOW))
    daemon.reload()
    before = counted(daemon)
    with flooding(router, source, to, family, transport):
        wait_for(lambda: remembered(daemon, family) != [])
        (rule,) = remembered(daemon, family)
        assert to in rule
        assert [tcp(router, source, target, family, port, 4.0) for port in (8022, 8023, 8024)] == [True] * 3
        deadline = time.monotonic() + LONG
        while counted(daemon) <= before + 1000:
            assert time.monotonic() < deadline
            time.sleep(1.0)
    daemon.write(switch=switch(ALLOW))
    daemon.reload()
    assert remembered(daemon, family) == []
    with UdpFlow(router, source, target, family, PORT) as flow:
        assert flow.forth(4.0)
    assert tcp(router, source, target, family, PORT, 4.0)


def test_nothing_is_remembered_where_policy_asks_for_source_ports(daemon: Running) -> None:
    daemon.write(switch=switch(ASKS_SOURCE_PORTS, REFUSED.replace("PROTOCOL", "UDP"), ALLOW))
    daemon.reload()
    with flooding(daemon.router, "w1", address("ext", 4), 4, "UDP"):
        time.sleep(3.0)
        assert remembered(daemon, 4) == []


def test_what_policy_before_dnat_has_allowed_is_not_refused_for_a_flood_that_came_another_way(daemon: Running) -> None:
    """Whoever floods the server's own address is refused on forward; by the published port the same ends may talk."""
    router, to = daemon.router, address("far", 4)
    before = daemon.policies.joinpath("switch.yaml").read_text()
    early = {"applyOnForward": True, "order": 1, "types": ["Ingress"]}
    stages = policy("early", preDNAT=True, ingress=[rule("Allow", protocol="UDP", port=8000)], **early)
    stages += policy("gate", ingress=[rule("Deny", protocol="UDP", port=PORT)], **early)
    daemon.write(switch=stages)
    daemon.reload()
    published = ("PREROUTING", "-p", "udp", "--dport", "8000", "-j", "DNAT", "--to-destination", f"{to}:{PORT}")
    router.iptables(4, "-t", "nat", "-A", *published)
    try:
        with flooding(router, "ext", to, 4, "UDP"):
            wait_for(lambda: remembered(daemon, 4) != [])
        way = {"to": address("ext", 4, node=True), "server_port": PORT}
        with UdpFlow(router, "ext", "far", 4, 8000, **way) as flow:
            wait_for(lambda: flow.forth(1.0))  # the first may find a queue that is full of the flood
            assert flow.back(4.0)
            assert remembered(daemon, 4) != []
    finally:
        router.iptables(4, "-t", "nat", "-D", *published)
        daemon.write(switch=before)
        daemon.reload()
