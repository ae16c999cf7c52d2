"""Real flows through the rules: what is judged, how often, and what passes without being judged."""

import contextlib
from collections.abc import Iterator

import pytest

from calicod.model.marks import LOCAL_ID, TO_WORKLOAD_ID, WORKLOAD_ID, gather, layout
from calicod.model.steering import Nic
from calicod.netfilter import conntrack
from tests.netns.judge import Seen
from tests.netns.node import ETH0, ETH1, QUEUE, W3, Node, UdpFlow, address, node, ping, steer, tcp
from tests.netns.variants import VARIANTS, needs_variant
from tests.netns.world import inside

pytestmark = pytest.mark.netns
MARKS = layout()
PATHS = [
    pytest.param("ext", "node", "input", ETH0, id="in"),
    pytest.param("node", "ext", "output", LOCAL_ID, id="out"),
    pytest.param("ext", "w1", "forward", ETH0, id="to-workload"),
    pytest.param("far", "w1", "forward", ETH1, id="to-workload-by-an-unmanaged-nic"),
    pytest.param("w1", "ext", "forward", WORKLOAD_ID, id="from-workload"),
    pytest.param("w1", "w2", "forward", WORKLOAD_ID, id="between-workloads"),
    pytest.param("w1", "node", "input", WORKLOAD_ID, id="workload-to-host"),
    pytest.param("w3", "ext", "forward", W3, id="from-forwarding-workload"),
]
REPLY = QUEUE + 1


@pytest.fixture(scope="module", params=VARIANTS)
def router(request: pytest.FixtureRequest) -> Iterator[Node]:
    needs_variant(request.param)
    with node("cd-f", request.param) as built:
        yield built


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> int:
    return request.param


def stamps(router: Node) -> list[tuple[int, int, bool]]:
    """(generation, interface id, filter stage) of every tracked connection."""
    with inside(router.name):
        return [
            (gather(f.mark, MARKS.generation), gather(f.mark, MARKS.interface), bool(f.mark & MARKS.filter_stage))
            for f in conntrack.dump()
        ]


def deny(_: Seen) -> bool:
    return False


@pytest.mark.parametrize(("client", "server", "hook", "interface"), PATHS)
def test_one_packet_of_a_flow_is_judged(
    router: Node, family: int, client: str, server: str, hook: str, interface: int
) -> None:
    judge = router.start(steer(7))

    with UdpFlow(router, client, server, family, 1000) as flow:
        assert flow.trips()

    assert [(seen.queue, seen.hook) for seen in judge.seen] == [(QUEUE, hook)]
    assert stamps(router) == [(7, interface, True)]


@pytest.mark.parametrize(("client", "server", "hook", "interface"), PATHS[:1] + PATHS[1:2] + PATHS[4:5])
def test_one_packet_of_a_tcp_connection_and_of_a_ping_is_judged(
    router: Node, family: int, client: str, server: str, hook: str, interface: int
) -> None:
    judge = router.start()

    assert tcp(router, client, server, family, 1001)
    assert ping(router, client, server, family, count=3, patience=2.0)

    assert [seen.hook for seen in judge.seen] == [hook, hook]
    assert {stamp[1] for stamp in stamps(router)} == {interface}


def test_one_packet_is_judged_when_the_destination_is_translated(router: Node, family: int) -> None:
    judge = router.start()
    rule = ("PREROUTING", "-t", "nat", "-p", "udp", "--dport", "1002", "-j", "DNAT", "--to-destination")
    target = address("w1", family)
    to = f"{target}:1003" if family == 4 else f"[{target}]:1003"
    router.iptables(family, "-A", *rule, to)
    try:
        gate = address("ext", family, node=True)
        with UdpFlow(router, "ext", "w1", family, 1002, to=gate, server_port=1003) as flow:
            assert flow.trips()
    finally:
        router.iptables(family, "-D", *rule, to)

    assert [seen.hook for seen in judge.seen] == ["forward"]


def test_one_packet_is_judged_when_the_source_is_masqueraded(router: Node, family: int) -> None:
    judge = router.start()
    rule = ("POSTROUTING", "-t", "nat", "-o", "eth0", "-j", "MASQUERADE")
    router.iptables(family, "-A", *rule)
    try:
        with UdpFlow(router, "w1", "ext", family, 1004) as flow:
            assert flow.trips()
            assert flow.peer is not None
            assert flow.peer[0] == address("ext", family, node=True)
    finally:
        router.iptables(family, "-D", *rule)

    assert judge.count() == 1


def test_a_denied_flow_never_arrives(router: Node, family: int) -> None:
    judge = router.start()
    judge.reset(deny)

    with UdpFlow(router, "w1", "w2", family, 1005) as flow:
        assert not flow.forth()
        assert not flow.forth()

    assert judge.count() == 2
    assert stamps(router) == []


def test_the_host_reaches_its_workloads_without_being_judged(router: Node, family: int) -> None:
    judge = router.start(steer(3))
    judge.reset(deny)

    with UdpFlow(router, "node", "w1", family, 1006) as flow:
        assert flow.trips()

    assert judge.seen == []
    assert stamps(router) == [(3, TO_WORKLOAD_ID, True)]


def test_a_workload_reaches_the_host_only_when_judged(router: Node, family: int) -> None:
    judge = router.start()

    with UdpFlow(router, "w1", "node", family, 1007) as flow:
        assert flow.trips()
        router.install(steer(2))
        judge.reset(deny)
        assert not flow.back()

    assert [(seen.queue, seen.hook) for seen in judge.seen] == [(REPLY, "output")]


def test_what_the_router_forwards_between_nics_is_not_touched(router: Node, family: int) -> None:
    judge = router.start()
    judge.reset(deny)

    with UdpFlow(router, "far", "ext", family, 1008) as flow:
        assert flow.trips()

    assert judge.seen == []


def test_what_comes_to_the_host_by_an_unmanaged_nic_is_not_touched(router: Node, family: int) -> None:
    judge = router.start()
    judge.reset(deny)

    with UdpFlow(router, "far", "node", family, 1009) as flow:
        assert flow.trips()

    assert judge.seen == []


def test_a_new_generation_has_every_flow_judged_once_more(router: Node, family: int) -> None:
    judge = router.start()
    with UdpFlow(router, "ext", "w1", family, 1010) as flow:
        assert flow.trips()
        assert [seen.mark & MARKS.known for seen in judge.seen] == [0]
        router.install(steer(2))
        judge.reset()
        assert flow.trips()

    assert [(seen.queue, seen.mark & MARKS.known) for seen in judge.seen] == [(QUEUE, MARKS.known)]
    assert stamps(router) == [(2, ETH0, True)]


def test_a_reply_that_comes_first_under_a_new_generation_goes_to_the_reply_queue(router: Node, family: int) -> None:
    judge = router.start()
    with UdpFlow(router, "ext", "w1", family, 1011) as flow:
        assert flow.trips()
        router.install(steer(2))
        judge.reset()
        assert flow.back()
        assert flow.trips()

    assert [(seen.queue, seen.mark & MARKS.known) for seen in judge.seen] == [(REPLY, MARKS.known)]
    assert stamps(router) == [(2, ETH0, True)]


@pytest.mark.parametrize(("client", "server"), [("ext", "w1"), ("ext", "node"), ("node", "ext"), ("w1", "w2")])
def test_a_flow_refused_after_a_change_stops_in_both_directions(
    router: Node, family: int, client: str, server: str
) -> None:
    judge = router.start()
    with UdpFlow(router, client, server, family, 1012) as flow:
        assert flow.trips()
        router.install(steer(2))
        judge.reset(deny)
        assert not flow.back()
        assert not flow.forth()

    assert {seen.queue for seen in judge.seen} == {QUEUE, REPLY}


def test_the_same_generation_again_judges_nothing_again(router: Node, family: int) -> None:
    judge = router.start(steer(5))
    with UdpFlow(router, "w1", "w2", family, 1013) as flow:
        assert flow.trips()
        router.install(steer(5, nics=(Nic("eth0", ETH0, managed=True),)))
        judge.reset()
        assert flow.trips()

    assert judge.seen == []


def test_a_second_passage_through_a_forwarding_workload_is_judged(router: Node, family: int) -> None:
    version = "-4" if family == 4 else "-6"
    ends = {"cali1": address("w2", family), "cali2": address("w1", family)}
    ip = ("ip", "-n", router.name, version)
    for table, (interface, target) in enumerate(ends.items(), start=101):
        router.world.run(router.name, *ip, "rule", "add", "iif", interface, "lookup", str(table))
        via = (target, "via", address("w3", family), "dev", "caliw3", "table", str(table))
        router.world.run(router.name, *ip, "route", "add", *via)
    try:
        judge = router.start()
        with UdpFlow(router, "w1", "w2", family, 1014) as flow:
            assert flow.forth(2.0)
            passages = [router.names((seen.indev, seen.outdev)) for seen in judge.seen]
            assert passages == [("cali1", "caliw3"), ("caliw3", "cali2")]
            assert flow.trips()

        router.forget()
        judge.reset(lambda seen: router.names((seen.indev, 0))[0] != "caliw3")
        with UdpFlow(router, "w1", "w2", family, 1015) as flow:
            assert not flow.forth()
            assert not flow.forth()
    finally:
        for table, interface in enumerate(ends, start=101):
            router.world.run(router.name, *ip, "rule", "del", "iif", interface, "lookup", str(table))
            router.world.run(router.name, *ip, "route", "flush", "table", str(table))


def test_two_workers_share_the_flows_and_a_reply_meets_the_worker_of_its_flow(router: Node, family: int) -> None:
    judge = router.start(steer(1, workers=2))
    pairs = [(client, server) for client in ("ext", "far", "w2", "w3") for server in ("w1", "w2") if client != server]
    with contextlib.ExitStack() as stack:
        flows = [stack.enter_context(UdpFlow(router, *pair, family, 1100 + n)) for n, pair in enumerate(pairs)]
        assert all(flow.trips(1) for flow in flows)
        originals = [seen.queue for seen in judge.seen]
        router.install(steer(2, workers=2))
        judge.reset()
        assert all(flow.back(2.0) for flow in flows)
        replies = [seen.queue for seen in judge.seen]

    assert set(originals) == {QUEUE, QUEUE + 1}
    assert [queue - 2 for queue in replies] == originals


def test_without_a_worker_closed_drops_and_open_passes(router: Node, family: int) -> None:
    router.start(steer(1))
    router.stop()
    with UdpFlow(router, "w1", "w2", family, 1016) as flow:
        assert not flow.forth()
        router.install(steer(2, fail_open=True))
        assert flow.trips()


def test_allowed_flows_live_on_without_a_worker(router: Node, family: int) -> None:
    router.start()
    with UdpFlow(router, "w1", "w2", family, 1017) as flow:
        assert flow.trips()
        router.stop()
        assert flow.trips()


def test_a_wildcard_host_manages_every_nic_but_not_lo(router: Node, family: int) -> None:
    judge = router.start(steer(1, nics=(Nic("eth0", ETH0, managed=False),), wildcard_host=True))

    with UdpFlow(router, "far", "node", family, 1018) as flow:
        assert flow.trips()
    with UdpFlow(router, "ext", "node", family, 1019) as flow:
        assert flow.trips()
    assert {stamp[1] for stamp in stamps(router)} == {31, ETH0}
    assert judge.count() == 2

    judge.reset(deny)
    with UdpFlow(router, "node", "node", family, 1020, to="127.0.0.1" if family == 4 else "::1") as flow:
        assert flow.trips()
    assert judge.seen == []


def test_a_host_interface_named_like_a_workload_is_a_host_interface(router: Node, family: int) -> None:
    judge = router.start(steer(1, nics=(Nic("cali2", 9, managed=True), Nic("eth0", ETH0, managed=False))))
    judge.reset(deny)

    with UdpFlow(router, "ext", "w2", family, 1021) as flow:
        assert flow.trips(1)
    assert tcp(router, "w2", "node", family, 22)
    with UdpFlow(router, "w2", "w1", family, 1022) as flow:
        assert not flow.forth()
    with UdpFlow(router, "node", "w2", family, 1023) as flow:
        assert not flow.forth()

    assert [seen.hook for seen in judge.seen] == ["forward", "output"]


def test_an_unknown_workload_interface_reaches_the_worker(router: Node, family: int) -> None:
    judge = router.start(steer(1, forwarding_workloads=()))
    judge.reset(deny)

    with UdpFlow(router, "w3", "node", family, 1024) as flow:
        assert not flow.forth()

    assert [router.names((seen.indev, 0))[0] for seen in judge.seen] == ["caliw3"]


def test_nothing_managed_touches_nothing(router: Node, family: int) -> None:
    router.start(steer(1, nics=(Nic("eth0", ETH0, managed=False),), workload_prefixes=(), forwarding_workloads=()))
    router.stop()

    for client, server in (("ext", "node"), ("w1", "w2"), ("w1", "node")):
        with UdpFlow(router, client, server, family, 1025) as flow:
            assert flow.trips(1)
