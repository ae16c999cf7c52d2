"""What an attacker tries: forged packets, borrowed flows, tricks with time. Each test first shows that the way is open.

Law: a test whose packet would not have arrived anyway proves nothing: beside each refusal stands the same packet, or
the same trick, where policy allows it or before the daemon was there.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Self

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.netns.node import FAMILIES, INTERFACES, Node, UdpFlow, address, node, ping, tcp
from tests.netns.patience import seconds
from tests.netns.running import Running, running_in
from tests.netns.test_daemon import ALLOW, DENY, endpoints, switch
from tests.netns.twofold import NUMBERS, OPTIONS, ROUTING, shown_in, twofold
from tests.netns.variants import USUAL
from tests.netns.world import inside

pytestmark = [pytest.mark.netns, pytest.mark.security]
IP_PKTINFO, IP_MTU_DISCOVER, IP_PMTUDISC_DO, IPV6_MTU_DISCOVER = 8, 10, 2, 23
SO_RCVBUFFORCE = 33
SOON = seconds(0.3)
"""Seconds in which what passes has arrived."""
HOOKS = ("INPUT", "FORWARD", "OUTPUT")
ANY = [ALLOW]
NONE = [DENY]


@pytest.fixture(scope="module")
def router() -> Iterator[Node]:
    with node("cd-h", USUAL) as built:
        yield built


@pytest.fixture(scope="module")
def shared(router: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_in(router, tmp_path_factory.mktemp("daemon"), {"workers": 2}) as daemon:
        daemon.write(endpoints=endpoints(), switch=switch(ALLOW))
        yield daemon


@pytest.fixture
def daemon(shared: Running) -> Running:
    """Runs, everything allowed, nothing tracked."""
    if shared.process is None or shared.process.poll() is not None:
        shared.start()
    use(shared, switch(ALLOW))
    return shared


def use(daemon: Running, *policies: str) -> None:
    """These policies and no others, in force; nothing tracked."""
    daemon.write(switch="---\n".join(policies))
    assert daemon.reload().error == ""
    daemon.router.forget()


def policy(name: str, selector: str, ingress: list[str], egress: list[str]) -> str:
    """One policy of both directions."""
    rules = f"  ingress: [{', '.join(ingress)}]\n  egress: [{', '.join(egress)}]\n"
    head = f"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {{name: {name}}}\n"
    return f'{head}spec:\n  order: 1\n  selector: "{selector}"\n  types: [Ingress, Egress]\n{rules}'


def host(ingress: list[str], egress: list[str]) -> str:
    return policy("host", "role == 'host'", ingress, egress)


def work(ingress: list[str], egress: list[str]) -> str:
    return policy("work", "role == 'work'", ingress, egress)


def udp(port: int) -> str:
    return f"{{action: Deny, protocol: UDP, destination: {{ports: [{port}]}}}}"


class Ear:
    """Hears every packet that reaches a namespace by eth0."""

    def __init__(self, router: Node, name: str = "ext") -> None:
        self.socket = router.world.socket(router.space(name), socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.socket.bind(("eth0", 3))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def heard(self, *words: bytes) -> list[bytes]:
        """Which of the words arrived, in packets that came in."""
        found = set()
        deadline = time.monotonic() + SOON
        self.socket.settimeout(0.05)
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                data, (_, _, kind, *_) = self.socket.recvfrom(4096)
                if kind != socket.PACKET_OUTGOING:
                    found |= {word for word in words if word in data}
        return sorted(found)


def send(router: Node, name: str, packet: Packet) -> None:
    """An IP packet as it is, from a raw socket that brings its own header."""
    send_as(router, name, packet.version, bytes(packet))


def send_as(router: Node, name: str, family: int, data: bytes) -> None:
    """The same, by the stack of this family, whatever the packet says that it is."""
    target = socket.inet_ntop(FAMILIES[family], data[24:40] if family == 6 else data[16:20])
    with router.world.socket(router.space(name), FAMILIES[family], socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(data, (target, 0))


def index(router: Node, name: str, interface: str) -> int:
    with inside(router.space(name)):
        return socket.if_nametoindex(interface)


# Flows that borrow the stamp of another


def test_a_datagram_sent_through_a_workloads_interface_opens_no_way_through_another(daemon: Running) -> None:
    router = daemon.router
    source, target = address("ext", 4, node=True), address("ext", 4)
    chosen = struct.pack("=I4s4s", index(router, "node", "cali1"), socket.inet_aton(source), bytes(4))

    def arrives() -> bool:
        with (
            router.world.socket(router.name, socket.AF_INET, socket.SOCK_DGRAM) as sender,
            router.world.socket(router.space("ext"), socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        ):
            sender.bind((source, 0))
            receiver.bind((target, 7000))
            receiver.settimeout(SOON)
            sender.sendmsg([b"unjudged"], [(socket.IPPROTO_IP, IP_PKTINFO, chosen)], 0, (target, 7000))
            time.sleep(0.05)
            sender.sendto(b"after", (target, 7000))
            with contextlib.suppress(TimeoutError):
                return receiver.recv(100) == b"after"
            return False

    assert arrives()
    use(daemon, host(ANY, NONE), work(ANY, ANY))
    assert not arrives()


def test_what_one_host_endpoint_allows_goes_on_through_no_other(daemon: Running) -> None:
    router = daemon.router
    source = address("far", 4, node=True)
    lax = struct.pack("=I4s4s", index(router, "node", "eth0"), socket.inet_aton(source), bytes(4))
    second = "apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {name: eth1, labels: {role: strict}}\n"
    daemon.write(second=second + "spec: {node: node, interfaceName: eth1}\n")
    try:
        use(daemon, host(ANY, ANY), work(ANY, ANY), policy("strict", "role == 'strict'", ANY, NONE))
        with UdpFlow(router, "node", "far", 4, 7100, source=source) as flow:
            flow.client.sendmsg([b"lax"], [(socket.IPPROTO_IP, IP_PKTINFO, lax)], 0)
            time.sleep(0.05)
            assert not flow.forth()
        use(daemon, host(ANY, NONE), work(ANY, ANY), policy("strict", "role == 'strict'", ANY, ANY))
        with UdpFlow(router, "node", "far", 4, 7101, source=source) as flow:
            assert flow.trips(2)
    finally:
        (daemon.policies / "second.yaml").unlink()


def test_a_workload_gains_nothing_by_the_link_local_address_of_another(daemon: Running) -> None:
    router = daemon.router
    for number in (1, 2):
        router.world.address(router.name, f"cali{number}", "fe80::1/64")
        router.world.address(router.space(f"w{number}"), "eth0", "fe80::77/64")
    use(daemon, host(ANY, ANY), policy("first", "name == 'w1'", ANY, ANY), policy("second", "name == 'w2'", ANY, NONE))
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(router.world.socket(router.name, socket.AF_INET6, socket.SOCK_DGRAM))
        server.bind(("::", 5353))
        server.settimeout(SOON)
        arrived = []
        for name in ("w1", "w2", "w1"):
            with router.world.socket(router.space(name), socket.AF_INET6, socket.SOCK_DGRAM) as sender:
                number = index(router, name, "eth0")
                sender.bind(("fe80::77", 4444, 0, number))
                sender.sendto(name.encode(), ("fe80::1", 5353, 0, number))
            with contextlib.suppress(TimeoutError):
                arrived.append(server.recv(10))

    assert arrived == [b"w1", b"w1"]


@pytest.mark.parametrize(("stack", "seen"), [(4, 6), (6, 4)])
def test_a_packet_that_says_it_is_of_the_other_family_stamps_nothing(daemon: Running, stack: int, seen: int) -> None:
    router = daemon.router
    source, target = address("ext", stack, node=True), address("ext", stack)
    use(daemon, host(ANY, [f"{{action: Allow, ipVersion: {seen}}}"]), work(ANY, ANY))
    # read as the other family, neither may look like a fragment
    v6 = IPv6(src=source, dst=target, fl=0xFFFF, hlim=0) / IPv6ExtHdrHopByHop() if stack == 6 else None
    head = v6 or IP(src=source, dst=target, flags="DF")
    forged = bytearray(bytes(head / UDP(sport=5555, dport=6666) / (b"x" * 64)))
    forged[0] = 0x65 if stack == 4 else 0x45

    def arrives() -> bool:
        with Ear(router) as ear, router.world.socket(router.name, FAMILIES[stack], socket.SOCK_DGRAM) as sender:
            sender.bind((source, 5555))
            send_as(router, "node", stack, bytes(forged))
            time.sleep(0.05)
            sender.sendto(b"borrowed", (target, 6666))
            return ear.heard(b"borrowed") != []

    assert not arrives()
    use(daemon, host(ANY, [f"{{action: Allow, ipVersion: {stack}}}"]), work(ANY, ANY))
    assert arrives()


@pytest.mark.parametrize("kind", [135, 139, 140], ids=["mobility", "hip", "shim6"])
def test_what_is_put_behind_a_signalling_header_opens_nothing(daemon: Running, kind: int) -> None:
    router = daemon.router
    head = IPv6(src=address("w1", 6), dst=address("ext", 6), nh=kind)
    segment = bytes(TCP(sport=1, dport=80, flags="S"))
    packets = (head / Raw(b"\x06" + bytes(7) + segment + b"opener"), head / Raw(b"\x3b" + bytes(7) + b"anything"))

    def arrive() -> list[bytes]:
        with Ear(router) as ear:
            for packet in packets:
                send(router, "w1", packet)
                time.sleep(0.05)
            return ear.heard(b"opener", b"anything")

    assert arrive() == [b"anything", b"opener"]
    web = ["{action: Allow, protocol: TCP, destination: {ports: [80]}}"]
    use(daemon, host(ANY, ANY), work(ANY, web))
    assert arrive() == []


def test_an_untracked_icmp_error_speaks_only_to_whom_it_quotes(daemon: Running) -> None:
    router = daemon.router
    use(daemon, host(ANY, ANY), work(ANY, ["{action: Allow, protocol: TCP, destination: {ports: [80]}}"]))
    ends = {name: address(name, 4) for name in ("w1", "w2", "ext")}
    untracked = ("-p", "icmp", "-j", "CT", "--notrack")
    router.iptables(4, "-t", "raw", "-A", "PREROUTING", *untracked)
    try:
        with Ear(router) as ear:
            for word, peer in ((b"astray", "w2"), (b"honest", "ext")):
                quoted = IP(src=ends[peer], dst=ends["w1"]) / TCP(sport=80, dport=1000)
                send(router, "w1", IP(src=ends["w1"], dst=ends["ext"]) / ICMP(type=3, code=3) / quoted / word)
            assert ear.heard(b"astray", b"honest") == [b"honest"]
    finally:
        router.iptables(4, "-t", "raw", "-D", "PREROUTING", *untracked)


# What must go on working


@pytest.mark.parametrize("family", FAMILIES)
def test_the_routers_own_errors_about_a_first_packet_arrive(daemon: Running, family: int) -> None:
    router = daemon.router
    hops = ("ping", f"-{family}", "-c", "1", "-t", "1", "-W", "1", address("ext", family))
    assert "xceeded" in router.world.run(router.space("w1"), *hops, check=False)

    router.world.run(router.name, "ip", "link", "set", "eth0", "mtu", "1300")
    try:
        with router.world.socket(router.space("w1"), FAMILIES[family], socket.SOCK_DGRAM) as sender:
            if family == 4:
                sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
            else:
                sender.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DO)
            sender.connect((address("ext", family), 9))
            sender.send(bytes(1400))
            time.sleep(0.1)
            with pytest.raises(OSError, match="too long"):
                sender.send(bytes(1400))
    finally:
        router.world.run(router.name, "ip", "link", "set", "eth0", "mtu", "1500")
        router.world.run(router.space("w1"), "ip", f"-{family}", "route", "flush", "cache")


def test_a_flood_of_refused_packets_keeps_nobody_out_and_is_told(daemon: Running) -> None:
    router = daemon.router
    use(daemon, host(ANY, ANY), work(ANY, [udp(7777), ALLOW]))
    packet = bytearray(bytes(IP(src=address("w1", 4), dst=address("ext", 4)) / UDP(sport=1, dport=7777, chksum=0)))
    over = threading.Event()

    def flood() -> None:
        with router.world.socket(router.space("w1"), socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            for number in range(1 << 20):
                if over.is_set():
                    return
                packet[20:22] = struct.pack(">H", 1024 + number % 60000)
                raw.sendto(packet, (address("ext", 4), 0))

    with router.world.socket(router.space("ext"), socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("", 7777))
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            served = [tcp(router, "ext", "node", 4, port, patience=4.0) for port in (22, 22, 22, 8022)]
        finally:
            over.set()
            thread.join()
        receiver.settimeout(SOON)
        with pytest.raises(TimeoutError):
            receiver.recv(100)
    assert served == [True] * 4
    assert any(event["dst_port"] == 7777 for event in daemon.told("connection.denied"))


# Forged packets

SOURCES = {
    4: (
        *("10.65.12.2", "10.65.11.1", "10.65.11.255", "10.65.1.1", "10.65.1.2", "8.8.8.8"),
        *("0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.9", "240.0.0.1", "255.255.255.255"),
    ),
    6: ("fd65:12::12:2", "fd65:11::11:1", "fd65:1::1:2", "::1", "::ffff:10.65.11.2", "ff02::1", "2001:db8::1"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_workload_reaches_nobody_from_a_source_that_is_not_its_own(daemon: Running, family: int) -> None:
    router = daemon.router
    before = settled_drops(daemon)
    head, targets = (
        (IP, (address("ext", 4), address("w1", 4, node=True), "10.65.1.1", "10.65.11.255"))
        if family == 4
        else (IPv6, (address("ext", 6), address("w1", 6, node=True), "ff02::1"))
    )
    own = address("w1", family)
    with Ear(router) as ear, host_ear(router, family) as at_host:
        link = link_address(router, "node", "cali1")
        for source in (own, *SOURCES[family]):
            for target in targets:
                packet = head(src=source, dst=target) / UDP(sport=1234, dport=9999) / f"from {source};"
                send_frame(router, "w1", Ether(dst=link, src=link_address(router, "w1", "eth0")) / packet)
        words = [f"from {source};".encode() for source in (own, *SOURCES[family])]
        assert ear.heard(*words) == [words[0]]
        assert received(at_host) == {words[0]}
    limit = len(SOURCES[family]) * len(targets)
    daemon.until(lambda status: limit // 2 <= status.drops.get("spoofed", 0) - before <= limit)


def settled_drops(daemon: Running) -> int:
    """Spoofed packets so far, once the count stands still: the kernel's counters are read a second later at most."""
    while True:
        before = daemon.status().drops.get("spoofed", 0)
        time.sleep(2.5)
        if daemon.status().drops.get("spoofed", 0) == before:
            return before


def host_ear(router: Node, family: int) -> socket.socket:
    made = router.world.socket(router.name, FAMILIES[family], socket.SOCK_DGRAM)
    made.bind(("::" if family == 6 else "", 9999))
    return made


def received(at: socket.socket) -> set[bytes]:
    found = set()
    at.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        while True:
            found.add(at.recv(100))
    return found


def link_address(router: Node, name: str, interface: str) -> str:
    with inside(router.space(name)), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        return raw.getsockname()[4].hex(":")


def send_frame(router: Node, name: str, frame: Packet) -> None:
    with router.world.socket(router.space(name), socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        raw.send(bytes(frame))


def test_fragments_are_judged_as_what_they_make_together(daemon: Running) -> None:
    router = daemon.router
    source, target = address("w1", 4), address("ext", 4)

    def parts(number: int, port: int, word: bytes, size: int) -> list[Packet]:
        whole = IP(src=source, dst=target, id=number) / UDP(sport=5, dport=port) / Raw(word * 100)
        return list(fragment(whole, fragsize=size))

    tiny = parts(78, 7777, b"tiny.wrd", 8)
    alone = parts(79, 53, b"alonewrd", 400)[:1]
    first, second = parts(80, 53, b"overlap1", 400), parts(80, 7777, b"overlap2", 400)
    mixed = [first[0], second[0], first[1], second[1], *first[2:]]
    use(daemon, host(ANY, ANY), work(ANY, [udp(7777), ALLOW]))
    with Ear(router) as ear:
        for part in (*tiny, *alone, *mixed, *parts(81, 53, b"allowed.", 8)):
            send(router, "w1", part)
        assert ear.heard(b"tiny.wrd", b"alonewrd", b"overlap2", b"allowed.") == [b"allowed."]


def early(stage: str, ingress: list[str]) -> str:
    """A policy for what comes to the host, at a stage before the normal one."""
    head = f"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {{name: {stage.lower()}}}\n"
    spec = f"spec:\n  order: 1\n  selector: role == 'host'\n  {stage}: true\n  applyOnForward: true\n"
    return f"{head}{spec}  types: [Ingress]\n  ingress: [{', '.join(ingress)}]\n"


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(("kind", "shown"), [(OPTIONS, 8080), (ROUTING, 0x1B00)])
@pytest.mark.parametrize("stage", ["", "preDNAT", "doNotTrack"])
def test_a_packet_that_linux_reads_in_another_way_opens_no_other_port(
    daemon: Running, protocol: str, kind: int, shown: int, stage: str
) -> None:
    router, hidden = daemon.router, 6666
    allowed = [f"{{action: Allow, protocol: {protocol.upper()}, destination: {{ports: [{shown}]}}}}"]
    use(daemon, host([] if stage else allowed, ANY), work(ANY, ANY), *([early(stage, allowed)] if stage else []))

    def arrives(name: str, word: bytes) -> bool:
        """Whether what is hidden does; `far` is beyond an interface that nobody manages."""
        source, target = address(name, 6), address(name, 6, node=True)
        packet = twofold(source, target, protocol, shown, hidden, word, kind)
        with router.world.socket(router.name, socket.AF_INET6, socket.SOCK_RAW, NUMBERS[protocol]) as ear:
            ear.settimeout(SOON)
            send(router, name, packet)
            send(router, name, IPv6(src=source, dst=target) / shown_in(packet))  # now its flow is allowed, and stamped
            send(router, name, packet)
            with contextlib.suppress(TimeoutError):
                while data := ear.recv(4096):
                    if int.from_bytes(data[2:4]) == hidden and data.endswith(word):
                        return True
        return False

    assert arrives("far", b"unjudged")
    assert not arrives("ext", b"judged")
    assert not arrives("w1", b"from a workload")


def test_no_tunnel_leaves_a_workload_whole_or_in_fragments(daemon: Running) -> None:
    router = daemon.router
    source, target = address("w1", 4), address("ext", 4)
    inner = bytes(IP(src=address("w2", 4), dst=target) / UDP(sport=1, dport=2))
    vxlan = b"\x08" + bytes(7) + bytes(14) + inner
    packets = [
        IP(src=source, dst=target, proto=4) / Raw(inner + b"ipip"),
        IP(src=source, dst=target) / UDP(sport=5, dport=4789) / Raw(vxlan + b"vxlan"),
        *fragment(IP(src=source, dst=target, id=9) / UDP(sport=5, dport=4789) / Raw(vxlan + b"pieces" * 200), 400),
        IP(src=source, dst=target) / UDP(sport=5, dport=4790) / Raw(vxlan + b"other"),
    ]
    with Ear(router) as ear:
        for packet in packets:
            send(router, "w1", packet)
        assert ear.heard(b"ipip", b"vxlan", b"pieces", b"other") == [b"other"]


# Time


def test_when_a_policy_is_tightened_none_of_a_thousand_flows_goes_on_and_each_is_told(daemon: Running) -> None:
    router, count = daemon.router, 1000
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(router.world.socket(router.space("ext"), socket.AF_INET, socket.SOCK_DGRAM))
        server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        server.bind(("", 6000))
        clients = [router.world.socket(router.space("w1"), socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        for client in clients:
            stack.enter_context(client).connect((address("ext", 4), 6000))
            client.send(b"forth")
        peers = [server.recvfrom(10)[1] for _ in clients]
        for peer in peers:
            server.sendto(b"back", peer)
        assert [client.recv(10) for client in clients] == [b"back"] * count
        told = len(daemon.events("connection.cut"))
        daemon.write(switch=host(ANY, ANY) + "---\n" + work(ANY, NONE))
        assert daemon.reload().error == ""

        for peer in peers:
            server.sendto(b"again", peer)
        time.sleep(SOON)
        passed = [client for client in clients if drained(client)]
        for client in clients:
            client.send(b"again")
        time.sleep(SOON)

        assert passed == []
        assert not drained(server)
        cut = daemon.told("connection.cut", told + count)[told:]
    assert len({event["flow_id"] for event in cut}) == count


def drained(at: socket.socket) -> bool:
    """Takes away what has arrived; whether there was anything."""
    at.setblocking(False)
    came = False
    with contextlib.suppress(BlockingIOError):
        while at.recv(100):
            came = True
    return came


def test_of_two_changes_moments_apart_the_second_is_obeyed(daemon: Running) -> None:
    with UdpFlow(daemon.router, "ext", "w1", 4, 6100) as flow:
        slipped = 0
        for number in range(8):
            daemon.write(switch=switch(udp(number + 1), ALLOW))
            time.sleep(0.004 * number)
            daemon.write(switch=switch(udp(6100), ALLOW))
            assert daemon.reload().error == ""
            slipped += flow.forth(0.03)
            daemon.write(switch=switch(ALLOW))
            assert daemon.reload().error == ""
            assert flow.forth(2.0)
    assert slipped == 0


PATHS = (("w1", "ext"), ("ext", "w1"), ("w1", "w2"), ("w1", "node"), ("ext", "node"), ("node", "ext"))


class Stream:
    """Datagrams on every path each few milliseconds, and how many arrived."""

    def __init__(self, router: Node) -> None:
        self._over = threading.Event()
        self._pairs = [
            UdpFlow(router, client, server, 4, 9100 + number) for number, (client, server) in enumerate(PATHS)
        ]
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for pair in self._pairs:
            pair.__exit__()

    def arrived(self, wait: float = 0.0) -> list[bool]:
        """On which paths something arrived since the last time."""
        time.sleep(wait)
        return [drained(pair.server) for pair in self._pairs]

    def _send(self) -> None:
        while not self._over.wait(0.003):
            for pair in self._pairs:
                with contextlib.suppress(OSError):
                    pair.client.send(b"stream")


def test_nothing_slips_through_while_the_daemon_ends_dies_and_starts(daemon: Running) -> None:
    none = [False] * len(PATHS)
    with Stream(daemon.router) as stream:
        assert all(stream.arrived(0.1))
        use(daemon, host(NONE, NONE), work(NONE, NONE))
        stream.arrived(0.1)
        for end in (daemon.stop, daemon.kill):
            end()
            assert stream.arrived(0.2) == none
            daemon.start()
            assert stream.arrived(0.2) == none
        use(daemon, switch(ALLOW))
        assert all(stream.arrived(0.1))


@pytest.mark.parametrize("what", ["accept", "flush", "ruleset"])
def test_after_the_rules_of_others_were_repaired_nothing_goes_on_that_got_through(daemon: Running, what: str) -> None:
    router = daemon.router
    use(daemon, host(NONE, NONE), work(NONE, NONE))
    nft = partial(router.world.run, router.name, "nft")
    harm: dict[str, Callable[[], object]] = {
        "accept": lambda: [router.iptables(4, "-I", hook, "-j", "ACCEPT") for hook in HOOKS],
        "flush": lambda: router.iptables(4, "-F"),
        "ruleset": lambda: nft("flush", "ruleset"),
    }
    if router.setting == "nft":  # rules of iptables come after those of our table, whose own chains can be harmed
        ours = ("inet", "calicod")
        harm["accept"] = lambda: [nft("insert", "rule", *ours, f"filter-{h.lower()}", "accept") for h in HOOKS]
        harm["flush"] = lambda: nft("flush", "table", *ours)
    told = len(daemon.events("steering.reset"))
    try:
        with Stream(daemon.router) as stream:
            stream.arrived(0.05)
            harm[what]()
            assert any(stream.arrived(0.1))
            daemon.told("steering.reset", told + 1)
            stream.arrived(0.1)
            assert stream.arrived(0.2) == [False] * len(PATHS)
    finally:
        for hook in HOOKS if what == "accept" and router.setting != "nft" else ():
            router.iptables(4, "-D", hook, "-j", "ACCEPT")


def test_a_translated_address_hides_neither_sender_nor_receiver(daemon: Running) -> None:
    router = daemon.router
    from_w1 = ["{action: Allow, source: {selector: name == 'w1'}}"]
    use(
        daemon,
        host(ANY, ANY),
        policy("w1", "name == 'w1'", NONE, ANY),
        policy("w2", "name == 'w2'", from_w1, ANY),
    )
    there = ("-d", "10.65.11.1", "-p", "udp", "--dport", "99", "-j", "DNAT", "--to", f"{address('w2', 4)}:6400")
    rules = (("PREROUTING", *there), ("POSTROUTING", "-o", INTERFACES["w2"], "-j", "MASQUERADE"))
    for rule in rules:
        router.iptables(4, "-t", "nat", "-A", *rule)
    try:
        reached = {}
        for client in ("w1", "ext", "w2"):
            with UdpFlow(router, client, "w2", 4, 99, to="10.65.11.1", server_port=6400) as flow:
                reached[client] = flow.forth(0.3)
    finally:
        for rule in rules:
            router.iptables(4, "-t", "nat", "-D", *rule)
    assert reached == {"w1": True, "ext": False, "w2": False}


def test_a_table_of_nftables_that_accepts_earlier_overrules_nothing(daemon: Running, tmp_path: Path) -> None:
    router = daemon.router
    use(daemon, host(NONE, NONE), work(NONE, NONE))
    chains = "\n".join(
        f"chain {hook} {{ type filter hook {hook} priority -10; policy accept; accept; }}"
        for hook in ("input", "forward", "output")
    )
    script = tmp_path / "early.nft"
    script.write_text(f"table inet early {{\n{chains}\n}}\n")
    router.world.run(router.name, "nft", "-f", str(script))
    try:
        assert not any(ping(router, client, server, 4) for client, server in PATHS)
    finally:
        router.world.run(router.name, "nft", "delete", "table", "inet", "early")
    use(daemon, switch(ALLOW))
    assert all(ping(router, client, server, 4) for client, server in PATHS)
