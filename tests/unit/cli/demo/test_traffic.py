import time

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.inet6 import ICMPv6EchoRequest
from scapy.layers.sctp import SCTP

from calicod.cli.demo.lease import clear
from calicod.cli.demo.space import run
from calicod.cli.demo.traffic import Seen, Traffic, forge
from calicod.cli.demo.world import Pod, World
from calicod.errors import CalicodError
from tests.unit.cli.demo.build import attempt, flow

PREFIX = "cdt-"
POD = Pod("prod/red", "calired", {4: "10.65.0.11", 6: "fd00:65::11"})


def test_an_echo_request_carries_its_id():
    assert ICMP(forge(flow(protocol="icmp", port=0), 77, "192.0.2.1", "192.0.2.2")).id == 77


def test_an_echo_request_over_ipv6_has_the_checksum_of_its_addresses():
    ping = flow(protocol="icmp", port=0, family=6)
    one, other = (forge(ping, 77, "2001:db8::1", target) for target in ("2001:db8::2", "2001:db8::3"))

    assert ICMPv6EchoRequest(one).id == 77
    assert one[2:4] != other[2:4] and one[4:] == other[4:]


def test_an_sctp_packet_begins_an_association():
    packet = SCTP(forge(flow(protocol="sctp", port=2905), 30001, "", ""))

    assert (packet.sport, packet.dport, packet.payload.name) == (30001, 2905, "SCTPChunkInit")


@pytest.mark.parametrize(
    ("given", "arrival"),
    [
        ({}, "tcp 192.0.2.10 40000 80"),
        ({"protocol": "icmp", "port": 0}, "icmp 192.0.2.10 40000 8"),
        ({"protocol": "icmp", "port": 0, "family": 6}, "icmp 192.0.2.10 40000 128"),
    ],
)
def test_an_attempt_knows_how_its_arrival_is_told(given, arrival):
    assert attempt(**given).arrival == arrival


def test_an_attempt_knows_how_the_reply_to_its_ping_is_told():
    assert attempt(protocol="icmp", port=0).answer == "icmp 10.65.0.11 40000 0"


@pytest.fixture(scope="module")
def traffic():
    world = World(PREFIX, [POD])
    try:
        world.build()
        traffic = Traffic(world)
        yield traffic
        traffic.close()
    finally:
        clear(PREFIX)


def seen(traffic, attempts, expected, seconds=3):
    """What is seen of them all, as soon as it is what is expected."""
    deadline = time.monotonic() + seconds
    while (found := set(traffic.look(attempts))) != expected and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


@pytest.mark.netns
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    "ends", [("client", "prod/red"), ("prod/red", "partner"), ("client", "node"), ("node", "prod/red")]
)
def test_without_a_filter_everything_arrives_and_is_answered(traffic, family, ends):
    source, target = ends
    tried = [("tcp", 80), ("udp", 80), ("icmp", 0), ("sctp", 2905 if target != "node" else 0)]
    flows = [
        flow(source=source, target=target, family=family, protocol=p, port=n) for p, n in tried if n or p == "icmp"
    ]
    traffic.listen(flows)
    attempts = [traffic.begin(one) for one in flows]

    assert seen(traffic, attempts, {Seen(arrived=True, answered=True)}) == {Seen(arrived=True, answered=True)}
    traffic.forget()


@pytest.mark.netns
def test_what_nobody_answers_arrives_and_is_not_answered(traffic):
    unanswered = traffic.begin(flow(port=9))

    assert seen(traffic, [unanswered], {Seen(arrived=True, answered=False)}) == {Seen(arrived=True, answered=False)}
    traffic.forget()


@pytest.mark.netns
def test_what_is_dropped_on_its_way_neither_arrives_nor_is_answered(traffic):
    node, red = traffic.world.space("node"), POD.addresses[4]
    run("ip", "-n", node, "route", "replace", "blackhole", f"{red}/32")
    lost = [traffic.begin(flow(port=port)) for port in (80, 9)]
    found = seen(traffic, lost, set(), seconds=0.2)
    run("ip", "-n", node, "route", "replace", f"{red}/32", "dev", POD.interface)

    assert found == {Seen(arrived=False, answered=False)}
    traffic.forget()


@pytest.mark.netns
def test_a_station_that_is_gone_is_an_error_and_can_still_be_closed():
    world = World("cdu-", [])
    try:
        world.build()
        traffic = Traffic(world)
        traffic.stations["client"].process.kill()
        with pytest.raises(CalicodError, match="K082 a process in a namespace ended"):
            traffic.look([])
        traffic.close()
        assert all(station.process.returncode is not None for station in traffic.stations.values())
    finally:
        clear("cdu-")
