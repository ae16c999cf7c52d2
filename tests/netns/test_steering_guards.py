"""What passes without a worker, and what must never: failsafes, neighbour discovery, forged marks, spoofed sources."""

import socket
import struct
from collections.abc import Iterator

import pytest

from calicod.model.marks import FAILSAFE_ID, gather, layout
from calicod.model.network import parse_network
from calicod.model.steering import FailsafePort, ForwardingWorkload
from calicod.netfilter import conntrack
from tests.netns.judge import Judge, Seen
from tests.netns.node import ETH0, QUEUE, TCP, W3, Node, UdpFlow, address, node, ping, steer, tcp
from tests.netns.variants import VARIANTS, needs_variant
from tests.netns.world import inside

pytestmark = pytest.mark.netns
MARKS = layout()
REPLY = QUEUE + 1
SHORT = 0.15
FOREIGN = 0x4000


@pytest.fixture(scope="module", params=VARIANTS)
def router(request: pytest.FixtureRequest) -> Iterator[Node]:
    needs_variant(request.param)
    with node("cd-g", request.param) as built:
        yield built


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> int:
    return request.param


def deny(_: Seen) -> bool:
    return False


def flush_neighbours(router: Node) -> None:
    for name in ("node", "ext", "w1"):
        router.world.run(router.space(name), "ip", "neigh", "flush", "all")


def resolved(router: Node, name: str, family: int) -> bool:
    """Whether the host has found the link address of its router."""
    version = "-4" if family == 4 else "-6"
    peer = address(name, family, node=True)
    shown = router.world.run(router.space(name), "ip", version, "neigh", "show", peer)
    return "lladdr" in shown and "FAILED" not in shown


def dropped(router: Node) -> dict[str, int]:
    with inside(router.name):
        return dict(router.installer.inspect().drops)


def icmpv6(router: Node, name: str, kind: int, target: str, hops: int = 255) -> None:
    """An ICMPv6 message of that type, from a raw socket."""
    body = bytes([kind, 0, 0, 0]) + bytes(4) + socket.inet_pton(socket.AF_INET6, target)
    with router.world.socket(router.space(name), socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
        raw.sendto(body, (target, 0))


def messages(judge: Judge, target: str) -> list[int]:
    """The types of the ICMPv6 messages to this address that came up."""
    wanted = socket.inet_pton(socket.AF_INET6, target)
    return [seen.payload[40] for seen in judge.seen if seen.payload[6] == 58 and seen.payload[24:40] == wanted]


# Deny all, with no worker


def test_deny_all_without_a_worker_lets_the_ssh_failsafe_in(router: Node, family: int) -> None:
    router.start()
    router.stop()
    flush_neighbours(router)

    assert tcp(router, "ext", "node", family, 22)


def test_deny_all_without_a_worker_lets_outbound_failsafes_out(router: Node, family: int) -> None:
    router.start()
    router.stop()
    flush_neighbours(router)

    assert tcp(router, "node", "ext", family, 179)
    with UdpFlow(router, "node", "ext", family, 53) as flow:
        assert flow.trips()


def test_deny_all_without_a_worker_finds_neighbours_and_lets_nothing_else_pass(router: Node, family: int) -> None:
    router.start()
    router.stop()
    flush_neighbours(router)

    assert not tcp(router, "ext", "node", family, 80, SHORT)
    assert not tcp(router, "node", "ext", family, 22, SHORT)
    assert not tcp(router, "ext", "w1", family, 22, SHORT)
    assert not tcp(router, "w1", "node", family, 22, SHORT)
    assert not ping(router, "ext", "node", family)
    assert not ping(router, "node", "ext", family)
    assert not ping(router, "w1", "node", family)
    assert resolved(router, "ext", family)
    assert resolved(router, "w1", family)


def test_a_live_failsafe_connection_survives_every_change(router: Node, family: int) -> None:
    router.start()
    router.stop()
    with (
        router.world.socket(router.name, socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_STREAM) as s,
        router.world.socket(router.space("ext"), s.family, socket.SOCK_STREAM) as c,
    ):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", 22))
        s.listen()
        c.connect((router.peer("ext", "node", family), 22))
        accepted, _ = s.accept()
        with accepted:
            accepted.settimeout(2.0)
            router.install(steer(2))
            accepted.send(b"host first")
            assert c.recv(20)
            router.forget()
            accepted.send(b"picked up the wrong way round")
            assert c.recv(40)
            c.send(b"back")
            assert accepted.recv(20)


def test_a_failsafe_flow_is_marked_as_one_and_makes_no_test_true(router: Node, family: int) -> None:
    router.start(steer(9))
    router.stop()
    assert tcp(router, "ext", "node", family, 22)

    with inside(router.name):
        marks = [flow.mark for flow in conntrack.dump()]

    assert [gather(mark, MARKS.interface) for mark in marks] == [FAILSAFE_ID]
    assert [gather(mark, MARKS.generation) for mark in marks] == [9]
    assert not any(mark & (MARKS.filter_stage | MARKS.judged | MARKS.prednat_stage) for mark in marks)


def test_the_event_of_a_new_failsafe_connection_bears_its_mark(router: Node, family: int) -> None:
    router.start(steer(9))
    router.stop()
    with inside(router.name):
        events = conntrack.Events()
    try:
        assert tcp(router, "ext", "node", family, 22)
        new, _ = events.read()
    finally:
        events.close()

    assert [(flow.original.dport, gather(flow.mark, MARKS.interface)) for flow in new] == [(22, FAILSAFE_ID)]


def test_a_failsafe_with_a_net_is_for_that_net_alone(router: Node, family: int) -> None:
    nets = [parse_network(f"{address('ext', f)}/{length}")[0] for f, length in ((4, 32), (6, 128))]
    others = [parse_network(text)[0] for text in ("198.51.100.0/24", "2001:db8::/32")]
    near = tuple(FailsafePort(TCP, 2001, net) for net in nets)
    far = tuple(FailsafePort(TCP, 2002, net) for net in others)
    router.start(steer(1, failsafe_inbound=near + far, failsafe_outbound=near + far))
    router.stop()

    assert tcp(router, "ext", "node", family, 2001)
    assert tcp(router, "node", "ext", family, 2001)
    assert not tcp(router, "ext", "node", family, 2002, SHORT)
    assert not tcp(router, "node", "ext", family, 2002, SHORT)


def test_a_failsafe_opens_nothing_backwards(router: Node, family: int) -> None:
    router.start()
    router.stop()
    source = address("ext", family)
    version = socket.AF_INET if family == 4 else socket.AF_INET6
    with (
        router.world.socket(router.name, version, socket.SOCK_DGRAM) as server,
        router.world.socket(router.space("ext"), version, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("", 2100))
        server.settimeout(SHORT)
        client.bind((source, 53))
        client.sendto(b"from the port of an outbound failsafe", (router.peer("ext", "node", family), 2100))
        with pytest.raises(TimeoutError):
            server.recv(100)


def test_failsafes_do_not_help_a_workload(router: Node, family: int) -> None:
    judge = router.start()
    judge.reset(deny)

    assert not tcp(router, "w1", "node", family, 22, SHORT)
    assert not tcp(router, "w1", "ext", family, 179, SHORT)
    assert not tcp(router, "ext", "w1", family, 22, SHORT)

    assert {seen.hook for seen in judge.seen} == {"input", "forward"}


# Neighbour discovery and workloads


@pytest.mark.parametrize("kind", [130, 131, 132, 133, 135, 136])
def test_a_workload_may_say_to_its_host_what_ipv6_needs(router: Node, kind: int) -> None:
    judge = router.start()
    judge.reset(deny)

    icmpv6(router, "w1", kind, address("w1", 6, node=True))
    assert not ping(router, "w1", "node", 4)

    assert messages(judge, address("w1", 6, node=True)) == []


@pytest.mark.parametrize(("kind", "hops"), [(134, 255), (135, 64), (143, 1), (128, 255)])
def test_a_router_advertisement_and_all_else_from_a_workload_is_judged(router: Node, kind: int, hops: int) -> None:
    judge = router.start(steer(1, drop_invalid=False))
    judge.reset(deny)

    icmpv6(router, "w1", kind, address("w1", 6, node=True), hops)
    assert not ping(router, "w1", "node", 4)

    assert messages(judge, address("w1", 6, node=True)) == [kind]


@pytest.mark.parametrize(("kind", "hops", "passes"), [(134, 255, True), (135, 64, False), (143, 1, False)])
def test_a_managed_nic_takes_discovery_that_no_router_forwarded(
    router: Node, kind: int, hops: int, *, passes: bool
) -> None:
    judge = router.start(steer(1, drop_invalid=False))
    judge.reset(deny)

    icmpv6(router, "ext", kind, address("ext", 6, node=True), hops)
    assert not ping(router, "ext", "node", 4)

    assert messages(judge, address("ext", 6, node=True)) == ([] if passes else [kind])


def test_the_host_reports_its_multicast_groups_under_deny_all(router: Node) -> None:
    router.start()
    router.stop()
    group = socket.inet_pton(socket.AF_INET6, "ff02::4242")
    with inside(router.name):
        index = socket.if_nametoindex("eth0")
    with (
        router.world.socket(router.space("ext"), socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD)) as packets,
        router.world.socket(router.name, socket.AF_INET6, socket.SOCK_DGRAM) as member,
    ):
        member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@I", index))
        while group not in packets.recv(2000):
            pass


# Marks that others set

FORGED = (
    MARKS.accept,
    MARKS.reject,
    MARKS.known,
    MARKS.prednat,
    MARKS.accept | MARKS.reject,
    MARKS.packet_mask,
    MARKS.stamp(1, ETH0) | MARKS.filter_stage,
    MARKS.connection_mask,
    0xFFFFFFFF,
)
RESTORE = [
    ("mangle", hook, "-j", "CONNMARK", "--restore-mark") for hook in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT")
]


@pytest.mark.parametrize("restore", [False, True], ids=["alone", "with-foreign-restore-rules"])
def test_a_forged_mark_passes_nothing_unjudged_and_nothing_loops(router: Node, family: int, *, restore: bool) -> None:
    judge = router.start()
    judge.reset(deny)
    rules = RESTORE if restore else []
    for table, hook, *rule in rules:
        router.iptables(family, "-t", table, "-A", hook, *rule)
    try:
        for number, mark in enumerate(FORGED):
            with UdpFlow(router, "node", "ext", family, 3000 + number, mark=mark) as flow:
                flow.client.send(b"forged")
        with UdpFlow(router, "node", "ext", family, 3000, mark=MARKS.accept) as flow:
            assert not flow.forth()
        assert judge.count() == len(FORGED) + 1
        judge.reset()
        for number, mark in enumerate(FORGED):
            with UdpFlow(router, "node", "ext", family, 3100 + number, mark=mark) as flow:
                assert flow.trips(2)
        assert judge.count() == len(FORGED)
    finally:
        for table, hook, *rule in rules:
            router.iptables(family, "-t", table, "-D", hook, *rule)


def test_a_verdict_that_a_rule_of_others_forges_on_the_way_is_cleared_for_a_stamped_flow_too(
    router: Node, family: int
) -> None:
    judge = router.start()
    with UdpFlow(router, "ext", "w1", family, 3250) as live, UdpFlow(router, "ext", "w1", family, 3251) as new:
        assert live.trips()
        for mark in (MARKS.accept, MARKS.reject, MARKS.packet_mask):
            rule = ("-t", "mangle", "-A", "PREROUTING", "-j", "MARK", "--set-xmark", f"{mark:#x}/{mark:#x}")
            router.iptables(family, *rule)
            try:
                judge.reset(deny)
                assert live.trips()
                assert judge.count() == 0
                assert not new.forth(SHORT)
                assert judge.count() == 1
            finally:
                router.iptables(family, *("-D" if word == "-A" else word for word in rule))


def test_the_stamp_of_all_workloads_does_not_speak_for_one_that_has_an_id_of_its_own(router: Node, family: int) -> None:
    judge = router.start()
    own = (ForwardingWorkload("cali1", W3 + 1, ()), ForwardingWorkload("caliw3", W3, ()))
    with UdpFlow(router, "w1", "ext", family, 3260) as flow:
        assert flow.trips()
        judge.reset(deny)
        assert flow.trips()
        assert judge.count() == 0
        router.install(steer(1, forwarding_workloads=own))
        assert not flow.forth(SHORT)
        assert not flow.back(SHORT)
        assert {seen.queue for seen in judge.seen} == {QUEUE, REPLY}
        router.install(steer(1))
        assert flow.trips()


def test_marks_and_rules_of_others_keep_their_effect(router: Node, family: int) -> None:
    router.start()
    rules = (
        ("mangle", "PREROUTING", "-j", "MARK", "--set-xmark", f"{FOREIGN:#x}/{FOREIGN:#x}"),
        ("mangle", "PREROUTING", "-m", "conntrack", "--ctstate", "NEW", "-j", "CONNMARK", "--set-xmark", "0x80/0x80"),
        ("filter", "FORWARD", "-p", "udp", "--dport", "3201", "-j", "DROP"),
        ("mangle", "POSTROUTING", "-m", "mark", "!", "--mark", f"{FOREIGN:#x}/{FOREIGN | MARKS.packet_mask:#x}", "-p",
         "udp", "--dport", "3200", "-j", "DROP"),
    )  # fmt: skip
    for table, hook, *rule in rules:
        router.iptables(family, "-t", table, "-A", hook, *rule)
    try:
        with UdpFlow(router, "ext", "w1", family, 3200) as flow:
            assert flow.trips()
            router.install(steer(2))
            assert flow.trips()
        with inside(router.name):
            marks = [flow.mark for flow in conntrack.dump()]
        with UdpFlow(router, "ext", "w1", family, 3201) as flow:
            assert not flow.forth()
    finally:
        for table, hook, *rule in rules:
            router.iptables(family, "-t", table, "-D", hook, *rule)

    assert marks == [MARKS.stamp(2, ETH0) | MARKS.filter_stage | 0x80]


def test_untracked_packets_are_judged_one_by_one(router: Node, family: int) -> None:
    judge = router.start()
    for hook in ("PREROUTING", "OUTPUT"):
        router.iptables(family, "-t", "raw", "-A", hook, "-p", "udp", "-j", "CT", "--notrack")
    try:
        with UdpFlow(router, "ext", "w1", family, 3300) as flow:
            assert flow.trips(3)
    finally:
        for hook in ("PREROUTING", "OUTPUT"):
            router.iptables(family, "-t", "raw", "-D", hook, "-p", "udp", "-j", "CT", "--notrack")

    assert judge.count(QUEUE) == 6


# What the kernel drops by itself, and what stamps nothing


def test_invalid_packets_are_dropped_and_counted(router: Node, family: int) -> None:
    router.world.sysctl(router.name, "net/netfilter/nf_conntrack_tcp_loose", 0)
    judge = router.start()
    judge.reset(deny)
    before = dropped(router)["invalid"]

    send_tcp_ack(router, "ext", family)
    assert segments(judge, family) == 0
    assert dropped(router)["invalid"] == before + 1

    router.install(steer(2, drop_invalid=False))
    send_tcp_ack(router, "ext", family)
    assert segments(judge, family) == 1
    assert dropped(router)["invalid"] == before + 1


def segments(judge: Judge, family: int) -> int:
    """How many TCP segments came up."""
    return sum(1 for seen in judge.seen if seen.payload[9 if family == 4 else 6] == TCP)


def send_tcp_ack(router: Node, name: str, family: int) -> None:
    """A segment of no connection, to the router; gone through when it returns."""
    version = socket.AF_INET if family == 4 else socket.AF_INET6
    target, source = (socket.inet_pton(version, address(name, family, node=node)) for node in (True, False))
    segment = struct.pack(">HHIIBBHHH", 4000, 4001, 1, 1, 0x50, 0x10, 1000, 0, 0)
    pseudo = source + target + struct.pack(">II" if family == 6 else ">HH", *((20, 6) if family == 6 else (6, 20)))
    total = sum(struct.unpack(f">{(len(pseudo) + 20) // 2}H", pseudo + segment))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    segment = segment[:16] + struct.pack(">H", ~total & 0xFFFF) + segment[18:]
    with router.world.socket(router.space(name), version, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.sendto(segment, (address(name, family, node=True), 0))
    ping(router, name, "node", family)


def test_a_workload_sends_only_from_its_own_addresses(router: Node, family: int) -> None:
    spoofed = "10.99.0.1" if family == 4 else "fd99::1"
    length = "32" if family == 4 else "128"
    router.world.address(router.space("w1"), "lo", f"{spoofed}/{length}")
    judge = router.start()
    before = dropped(router)["spoofed"]

    with UdpFlow(router, "w1", "ext", family, 3400, source=spoofed) as flow:
        assert not flow.forth()

    assert judge.seen == []
    assert dropped(router)["spoofed"] == before + 1


def test_a_forwarding_workload_sends_from_its_prefixes_and_no_others(router: Node, family: int) -> None:
    granted, other = ("10.98.0.1", "10.97.0.1") if family == 4 else ("fd98::1", "fd97::1")
    for text in (granted, other):
        router.world.address(router.space("w3"), "lo", f"{text}/{32 if family == 4 else 128}")
    prefixes = tuple(parse_network(text)[0] for text in ("10.98.0.0/16", "fd98::/16"))
    judge = router.start(steer(1, forwarding_workloads=(ForwardingWorkload("caliw3", W3, prefixes),)))

    with UdpFlow(router, "w3", "ext", family, 3401, source=granted) as flow:
        assert flow.forth()
    with UdpFlow(router, "w3", "ext", family, 3402, source=other) as flow:
        assert not flow.forth()

    assert judge.count() == 1


def test_counters_go_on_over_generations(router: Node) -> None:
    before = dropped(router)
    router.install(steer(8))
    router.install(steer(9))

    assert before["spoofed"] > 0
    assert dropped(router) == before


def test_an_icmp_error_about_a_stale_flow_is_judged_and_stamps_nothing(router: Node) -> None:
    judge = router.start(steer(1))
    with UdpFlow(router, "w1", "ext", 4, 3500) as flow:
        assert flow.trips(1)
        _, port = flow.client.getsockname()
        send_unreachable(router, port, 3500)
        assert errors(judge) == []
        router.install(steer(2))
        judge.reset()
        send_unreachable(router, port, 3500)
        with inside(router.name):
            generations = [gather(f.mark, MARKS.generation) for f in conntrack.dump(0, 0) if f.original.protocol == 17]

    assert errors(judge) == [(REPLY, "forward")]
    assert generations == [1]


def errors(judge: Judge) -> list[tuple[int, str]]:
    """Queue and hook of the ICMP errors that came up."""
    return [(seen.queue, seen.hook) for seen in judge.seen if (seen.payload[9], seen.payload[20]) == (1, 3)]


def send_unreachable(router: Node, port: int, server_port: int) -> None:
    """A port unreachable from ext that quotes w1's datagram; gone through when it returns."""
    source, target = (socket.inet_aton(address(name, 4)) for name in ("w1", "ext"))
    quoted = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 33, 1, 0, 63, 17, 0, source, target)
    total = sum(struct.unpack(">10H", quoted))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    quoted = quoted[:10] + struct.pack(">H", checksum) + quoted[12:] + struct.pack(">HHHH", port, server_port, 13, 0)
    body = struct.pack(">BBHI", 3, 3, 0, 0) + quoted
    total = sum(struct.unpack(f">{len(body) // 2}H", body))
    total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + struct.pack(">H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + body[4:]
    with router.world.socket(router.space("ext"), socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.sendto(body, (address("w1", 4), 0))
    ping(router, "ext", "node", 4)
