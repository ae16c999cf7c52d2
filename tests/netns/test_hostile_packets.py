"""Very many packets that are meant to hurt, through real queues, from a workload and from beyond the NIC.

`CALICOD_HOSTILE=1000000 pytest tests/netns/test_hostile_packets.py -s` is the long form (`make proofs`).
"""

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterator
from random import Random

import pytest

from calicod.intercept.counters import read_counters
from tests.netns.barrage import Ends, Reading, barrage, templates
from tests.netns.node import FAMILIES, INTERFACES, Node, address, node
from tests.netns.running import Running, running_in
from tests.netns.test_daemon import endpoints
from tests.netns.world import inside

pytestmark = [pytest.mark.netns, pytest.mark.security, pytest.mark.slow, pytest.mark.timeout(3600)]
COUNT = int(os.environ.get("CALICOD_HOSTILE", "20000"))
SEED = int(os.environ.get("CALICOD_SEED", "5"))
SHAPES = min(40, 2 + COUNT // 20_000)
"""Templates of each kind and pair of hosts: to forge one takes a millisecond."""
STORM = 256
"""Packets between two looks at what arrived."""
ROOM = 1024
"""Packets that may wait in the queue before more are sent: what it drops was not tried."""
IPV4, IPV6 = 0x0800, 0x86DD
SO_RCVBUFFORCE, IPV6_RECVHOPLIMIT = 33, 51
MOST = 1 << 16
UPPER = (1, 2, 4, 6, 17, 41, 47, 50, 58, 89, 103, 132, 135, 136, 139, 255)
"""Protocols that are listened for on the node, behind the INPUT hook; extension headers stand before them."""
POLICY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: open}
spec:
  order: 1
  selector: all()
  types: [Ingress, Egress]
  ingress: &rules
  - {action: Allow, protocol: TCP, destination: {ports: [7000]}}
  - {action: Allow, protocol: UDP, destination: {ports: [7000]}}
  - {action: Allow, protocol: ICMP, icmp: {type: 8}}
  - {action: Allow, protocol: ICMPv6, icmp: {type: 128}}
  egress: *rules
"""
FORWARDED = {"ext": ("w1", "w2", "w3"), "w1": ("ext", "w2", "w3")}
"""Whom each sender can reach through the node. What goes to `far` from `ext` is nobody's to judge."""


@pytest.fixture(scope="module")
def router() -> Iterator[Node]:
    with node("ch-", "auto") as built:
        yield built


class Ears:
    """What arrives in the namespaces beyond the node, and behind its INPUT hook; IP packets, headers and all."""

    def __init__(self, router: Node, names: tuple[str, ...]) -> None:
        self._wires = [self._wire(router, name) for name in names]
        self._hosts = [(family, number, self._host(router, family, number)) for family in FAMILIES for number in UPPER]

    @staticmethod
    def _wire(router: Node, name: str) -> socket.socket:
        made = router.world.socket(router.space(name), socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        made.bind(("eth0", 3))
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        made.setblocking(False)
        return made

    @staticmethod
    def _host(router: Node, family: int, number: int) -> socket.socket:
        made = router.world.socket(router.name, FAMILIES[family], socket.SOCK_RAW, number)
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
        if family == 6:
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        made.setblocking(False)
        return made

    def beyond(self) -> Iterator[bytes]:
        """What came through the node since the last time."""
        for wire in self._wires:
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, (_, protocol, kind, *_) = wire.recvfrom(MOST)
                    if kind != socket.PACKET_OUTGOING and protocol in {IPV4, IPV6}:
                        yield data

    def at_the_node(self) -> Iterator[bytes]:
        """What the node itself got since the last time; of IPv6 the kernel hands out no header: it is put together."""
        for family, number, host in self._hosts:
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, extra, _, (source, *_) = host.recvmsg(MOST, 256)
                    yield data if family == 4 else headed(number, data, source, extra)

    def close(self) -> None:
        """Gives the sockets back."""
        for made in (*self._wires, *(host for _, _, host in self._hosts)):
            made.close()


def headed(number: int, data: bytes, source: str, extra: list[tuple[int, int, bytes]]) -> bytes:
    """An IPv6 packet as it was read, without its extension headers."""
    about = {kind: value for _, kind, value in extra}
    (limit,) = struct.unpack("@i", about[socket.IPV6_HOPLIMIT])
    target = about[socket.IPV6_PKTINFO][:16]
    src = socket.inet_pton(socket.AF_INET6, source.partition("%")[0])
    return struct.pack("!IHBB", 6 << 28, len(data) & 0xFFFF, number, limit) + src + target + data


def pairs(sender: str) -> list[Ends]:
    """From whom to whom: from its own address and some of others, to the node and to whoever is reached through it."""
    found = []
    for family in FAMILIES:
        targets = [address(name, family) for name in FORWARDED[sender]]
        targets += [address(sender, family, node=True), "224.0.0.1" if family == 4 else "ff02::1"]
        own, foreign = address(sender, family), (address("w2", family), address("far", family))
        for number, target in enumerate(targets):
            sources = (own, own, own, foreign[number % 2])
            found += [Ends(source, target) for source in sources if source != target]
    return found


def reading_of(sender: str) -> Reading:
    """Reads what a sender sent: a workload has only its own network, whoever is outside has any."""
    if sender == "ext":
        return Reading()
    v4, v6 = socket.inet_aton(address(sender, 4)), socket.inet_pton(socket.AF_INET6, address(sender, 6))
    return Reading({4: v4[:3], 16: v6[:8]})


def gateway(router: Node, sender: str) -> bytes:
    """The link address of the node on the sender's link."""
    with inside(router.name), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((INTERFACES[sender], 0))
        return bytes(raw.getsockname()[4])


def waiting(router: Node) -> int:
    """Packets that nobody has judged yet."""
    with inside(router.name):
        return sum(queue.waiting for queue in read_counters().values())


def besiege(router: Node, sender: str, random: Random, count: int) -> Reading:
    """Sends so many and reads what arrives."""
    ears, reading = Ears(router, FORWARDED[sender]), reading_of(sender)
    groups, link = templates(random, pairs(sender), SHAPES), gateway(router, sender)
    mouth = router.world.socket(router.space(sender), socket.AF_PACKET, socket.SOCK_DGRAM)

    def listen() -> None:
        for routed, heard in ((True, ears.beyond()), (False, ears.at_the_node())):
            for packet in heard:
                reading.take(packet, routed=routed)

    try:
        for number, packet in enumerate(barrage(random, groups, count), 1):
            kind = IPV6 if packet[0] >> 4 == 6 else IPV4
            with contextlib.suppress(OSError):  # longer than the link can carry
                mouth.sendto(packet, ("eth0", kind, 0, 0, link))
            if not number % STORM:
                listen()
                while waiting(router) > ROOM:
                    listen()
        deadline = time.monotonic() + 10
        while waiting(router) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        listen()
    finally:
        ears.close()
        mouth.close()
    return reading


def test_no_hostile_packet_passes_harms_anybody_or_is_refused_without_a_reason(router: Node, tmp_path, capsys):
    random, began, arrived = Random(SEED), time.monotonic(), 0
    with running_in(router, tmp_path, {"workers": 2}) as daemon:
        daemon.write(open=POLICY, endpoints=written(judge_invalid=False))
        daemon.start()
        before = daemon.status()
        for judge_invalid in (False, True):  # by default the kernel drops what conntrack calls INVALID
            daemon.write(endpoints=written(judge_invalid=judge_invalid))
            assert daemon.reload().error == ""
            for sender in FORWARDED:
                router.forget()  # or what one sends could be the answer to another
                reading = besiege(router, sender, random, COUNT // 4)
                assert reading.wrong == [], f"{len(reading.wrong)} packets of {sender}, seed {SEED}"
                assert reading.arrived > COUNT // 400, "what policy allows does not arrive: nothing is proved"
                arrived += reading.arrived
        took = time.monotonic() - began
        time.sleep(1.2)  # counters are told each second
        after = daemon.status()
        judged, denied, malformed = (
            sum(getattr(worker, name) for worker in after.workers) for name in ("judged", "denied", "malformed")
        )
        lost = sum(queue.queue_dropped + queue.user_dropped for queue in after.queues)
        with capsys.disabled():
            print(
                f"\n{COUNT} hostile packets in {took:.0f} s (seed {SEED}): {judged} judged, {denied} refused "
                f"({malformed} malformed), {after.drops} by the kernel, "
                f"{lost} found no room, {arrived} arrived as allowed"
            )

        assert [worker.pid for worker in after.workers] == [worker.pid for worker in before.workers]
        assert after.supervisor_pid == before.supervisor_pid
        assert [worker.failed for worker in after.workers] == [0, 0]
        assert after.healthy, after.reasons
        assert malformed > COUNT // 1000
        assert daemon.stop() == 0
    check_told(daemon, denied)


def check_told(daemon: Running, denied: int) -> None:
    """Every refusal is in an event with its reason; what was lost on the way there is told too."""
    told = 0
    for event in daemon.events("connection.denied", "connection.cut", "events.lost"):
        if event["event"] == "events.lost":
            told += event["count"]
            continue
        assert event["reason"], event
        told += event["count"] - (event["count"] > 1)  # a summary counts the first once more
    assert told >= denied


def written(*, judge_invalid: bool) -> str:
    """The endpoints, without failsafes."""
    check = f"disableConntrackInvalidCheck: {str(judge_invalid).lower()}"
    more = f"failsafeInboundHostPorts: [], failsafeOutboundHostPorts: [], {check}, "
    return endpoints().replace("workloadSourceSpoofing", f"{more}workloadSourceSpoofing")
