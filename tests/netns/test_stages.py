"""Host endpoints' policy for what is forwarded, for `lo`, before DNAT and before connection tracking, on real packets.

Whatever a flow of these meets, `calicod eval` answers the same on the same resources (`Staged.passes`).
"""

import contextlib
import time
from collections.abc import Iterator

import pytest

from calicod.netfilter import conntrack
from tests.netns.node import FAMILIES, Node, UdpFlow, address, node, tcp
from tests.netns.running import running_in, wait_for
from tests.netns.stages import SHORT, TCP, UDP, Staged, host, policy, rule
from tests.netns.test_daemon import WORKLOAD, TcpFlow
from tests.netns.variants import VARIANTS, needs_variant
from tests.netns.world import inside

pytestmark = [pytest.mark.netns, pytest.mark.security]
ETH0 = host("eth0", "eth0")
OPEN = policy("open", order=1000, types=["Ingress", "Egress"], ingress=[rule("Allow")], egress=[rule("Allow")])
W1 = WORKLOAD.format(name="w1", interface="cali1", v4=address("w1", 4), v6=address("w1", 6), more="")
WORK = policy(
    "work", selector="role == 'work'", types=["Ingress", "Egress"], ingress=[rule("Allow")], egress=[rule("Allow")]
)
FORWARD = {"applyOnForward": True, "order": 1}


@pytest.fixture(scope="module", params=VARIANTS)
def router(request: pytest.FixtureRequest) -> Iterator[Node]:
    needs_variant(request.param)
    with node("cd-s", request.param) as built:
        yield built


@pytest.fixture(scope="module")
def staged(router: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staged]:
    with running_in(router, tmp_path_factory.mktemp("daemon")) as daemon:
        daemon.start()
        yield Staged(router, daemon)


@pytest.fixture(params=FAMILIES, ids=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> int:
    return request.param


# Forwarded


def test_policy_on_forward_judges_what_a_host_endpoint_brings_in_and_what_it_takes_out(
    staged: Staged, family: int
) -> None:
    into = policy("in", **FORWARD, types=["Ingress"], ingress=[rule("Allow", protocol="TCP", port=80)])
    out = policy("out", **FORWARD, types=["Egress"], egress=[rule("Allow", protocol="UDP", port=53)])
    staged.enforce(ETH0, OPEN, into, out)

    for kind in (TCP, UDP):
        assert staged.passes("ext", "far", family, kind, 80) == (kind == TCP)
        assert staged.passes("far", "ext", family, kind, 53) == (kind == UDP)
        assert not staged.passes("ext", "far", family, kind, 81)
        assert not staged.passes("far", "ext", family, kind, 81)
    assert staged.passes("ext", "node", family, UDP, 68)


def test_a_failsafe_port_is_none_for_what_is_forwarded(staged: Staged, family: int) -> None:
    staged.enforce(ETH0, policy("closed", **FORWARD, types=["Ingress", "Egress"]))

    assert staged.passes("ext", "node", family, TCP, 22)
    assert not staged.passes("ext", "far", family, TCP, 22)
    assert not staged.passes("far", "ext", family, TCP, 22)


def test_what_the_host_endpoint_allows_on_forward_the_workload_may_still_refuse(staged: Staged, family: int) -> None:
    gate = policy("gate", **FORWARD, types=["Ingress"], ingress=[rule("Allow", protocol="TCP")])
    web = policy("web", selector="role == 'work'", types=["Ingress"], ingress=[rule("Allow", port=80, protocol="TCP")])
    staged.enforce(ETH0, W1, gate, web)

    assert staged.passes("ext", "w1", family, TCP, 80)
    assert not staged.passes("ext", "w1", family, TCP, 81)
    assert not staged.passes("ext", "w1", family, UDP, 80)


def test_a_wildcard_judges_what_is_forwarded_between_any_interfaces_and_nothing_of_other_endpoints_own(
    staged: Staged, family: int
) -> None:
    star = policy(
        "star", selector="name == 'star'", **FORWARD, types=["Ingress"], ingress=[rule("Allow", protocol="TCP")]
    )
    staged.enforce(host("star", "*"), W1, WORK, star)
    assert staged.passes("far", "ext", family, TCP, 80)
    assert not staged.passes("far", "ext", family, UDP, 80)
    assert not staged.passes("w1", "far", family, UDP, 80)

    staged.enforce(host("star", "*"), ETH0, host("eth1", "eth1"), star)
    assert staged.passes("ext", "far", family, UDP, 80)


def test_a_live_forwarded_flow_is_cut_in_both_directions_when_policy_on_forward_changes(
    staged: Staged, family: int
) -> None:
    gate = {"name": "gate", **FORWARD, "types": ["Ingress"]}
    opened, closed = policy(**gate, ingress=[rule("Allow")]), policy(**gate, ingress=[rule("Deny")])
    staged.enforce(ETH0, OPEN, opened)
    with (
        TcpFlow(staged.router, "ext", "far", family, 8080) as stream,
        UdpFlow(staged.router, "ext", "far", family, 8081) as flow,
        UdpFlow(staged.router, "far", "ext", family, 8082) as other,
    ):
        assert stream.forth(2.0) and stream.back(2.0) and flow.trips() and other.trips()
        staged.change(ETH0, OPEN, closed)
        assert not (flow.back() or stream.back() or flow.forth() or stream.forth())
        assert other.trips()
        staged.change(ETH0, OPEN, opened)
        assert flow.trips() and stream.forth(2.0)


# What the host sends to itself


def lo_flow(staged: Staged, family: int, port: int) -> UdpFlow:
    return UdpFlow(staged.router, "node", "node", family, port, to="127.0.0.1" if family == 4 else "::1")


def test_lo_is_judged_once_for_both_directions_when_a_host_endpoint_names_it(staged: Staged, family: int) -> None:
    both = [rule("Allow", protocol="UDP", port=80), rule("Allow", protocol="TCP", port=80)]
    out = policy("out", types=["Egress"], egress=[*both, rule("Allow", protocol="UDP", port=81)])
    into = policy("into", types=["Ingress"], ingress=[*both, rule("Allow", protocol="UDP", port=82)])
    staged.enforce(host("loop", "lo"), out, into)

    passed = {}
    for port in (80, 81, 82, 83):
        with lo_flow(staged, family, port) as flow:
            passed[port] = flow.forth() and flow.back()
    assert passed == {80: True, 81: False, 82: False, 83: False}


def test_a_wildcard_leaves_lo_alone(staged: Staged, family: int) -> None:
    staged.enforce(host("star", "*"))

    with lo_flow(staged, family, 80) as flow:
        assert flow.trips()


def test_a_live_flow_of_the_host_with_itself_is_cut_by_a_change_in_either_direction(
    staged: Staged, family: int
) -> None:
    staged.enforce(host("loop", "lo"), OPEN)
    with lo_flow(staged, family, 80) as flow:
        assert flow.trips()
        staged.change(host("loop", "lo"), policy("closed", order=1, ingress=[rule("Deny")]), OPEN)
        assert not (flow.back() or flow.forth())
        staged.change(host("loop", "lo"), OPEN)
        assert flow.trips()


# Before connection tracking

EARLY = {"applyOnForward": True, "doNotTrack": True, "order": 1}


def tracked(router: Node, port: int) -> bool:
    """Whether conntrack of the router knows a flow with this port."""
    with inside(router.name):
        return any(port in (flow.original.sport, flow.original.dport) for flow in conntrack.dump())


def test_what_untracked_policy_allows_both_ways_is_served_without_a_connection(staged: Staged, family: int) -> None:
    served, answered = rule("Allow", protocol="UDP", port=5300), rule("Allow", protocol="UDP", source_port=5300)
    early = policy("early", **EARLY, types=["Ingress", "Egress"], ingress=[served], egress=[answered])
    staged.enforce(ETH0, early)

    with UdpFlow(staged.router, "ext", "node", family, 5300) as flow:
        assert flow.trips()
    assert not tracked(staged.router, 5300)
    assert not staged.passes("ext", "node", family, UDP, 5301)
    assert not staged.passes("node", "ext", family, UDP, 5300)


def test_an_untracked_question_needs_a_rule_of_its_own_for_the_answer(staged: Staged, family: int) -> None:
    staged.enforce(ETH0, policy("early", **EARLY, ingress=[rule("Allow", protocol="UDP", port=5300)]))

    with UdpFlow(staged.router, "ext", "node", family, 5300) as flow:
        assert flow.forth()
        assert not flow.back()


def test_what_untracked_policy_denies_is_dropped_and_what_it_leaves_alone_is_tracked(
    staged: Staged, family: int
) -> None:
    early = policy("early", **EARLY, ingress=[rule("Deny", protocol="TCP", port=80)])
    staged.enforce(ETH0, OPEN, early)

    assert not staged.passes("ext", "node", family, TCP, 80)
    assert not staged.passes("ext", "far", family, TCP, 80)
    assert staged.passes("ext", "node", family, TCP, 81)
    assert staged.passes("node", "ext", family, TCP, 82)
    assert tracked(staged.router, 81)
    assert staged.passes("ext", "far", family, UDP, 83)


def test_failsafes_work_both_ways_whatever_untracked_policy_denies(staged: Staged, family: int) -> None:
    closed = [rule("Deny")]
    early = policy("early", **EARLY, types=["Ingress", "Egress"], ingress=closed, egress=closed)
    staged.enforce(ETH0, OPEN, early)

    assert staged.passes("ext", "node", family, TCP, 22)
    assert staged.passes("node", "ext", family, TCP, 179)
    with UdpFlow(staged.router, "node", "ext", family, 53) as flow:
        assert flow.trips()
    assert not staged.passes("ext", "node", family, TCP, 80)
    assert not staged.passes("node", "ext", family, TCP, 80)
    assert staged.passes("ext", "far", family, TCP, 22)


def test_an_untracked_allowance_never_spares_a_workloads_policy(staged: Staged, family: int) -> None:
    served, answered = rule("Allow", protocol="UDP", port=5300), rule("Allow", protocol="UDP", source_port=5300)
    early = policy("early", **EARLY, ingress=[rule("Allow", protocol="UDP")])
    work = policy("work", selector="role == 'work'", types=["Ingress", "Egress"], ingress=[served], egress=[answered])
    gate = policy("gate", **FORWARD, types=["Ingress"], ingress=[rule("Deny")])
    staged.enforce(ETH0, W1, early, work, gate)

    with UdpFlow(staged.router, "ext", "w1", family, 5300) as flow:
        assert flow.forth()
        assert not tracked(staged.router, 5300)
        assert flow.back()
    assert not staged.passes("ext", "w1", family, UDP, 5301)
    assert staged.passes("ext", "far", family, UDP, 5302)
    assert not staged.passes("ext", "far", family, TCP, 5302)


def test_untracked_policy_that_changes_is_obeyed_by_the_next_packet(staged: Staged, family: int) -> None:
    early = {"name": "early", **EARLY, "types": ["Ingress", "Egress"]}
    both = {"ingress": [rule("Allow")], "egress": [rule("Allow")]}
    staged.enforce(ETH0, policy(**early, **both))
    with UdpFlow(staged.router, "ext", "node", family, 5300) as flow:
        assert flow.trips()
        staged.change(ETH0, OPEN, policy(**early, ingress=[rule("Allow")], egress=[rule("Deny")]))
        assert flow.forth() and not flow.back()
        staged.change(ETH0, OPEN)
        assert flow.trips()
    assert tracked(staged.router, 5300)


def test_forged_marks_let_nothing_past_a_denial_of_ordinary_policy(staged: Staged, family: int) -> None:
    """A process that may set marks says that raw has allowed what it sends: untracked, it is judged all the same."""
    early = policy("early", **EARLY, types=["Egress"], egress=[rule("Allow", protocol="UDP", port=5300)])
    staged.enforce(ETH0, early)

    for mark in (0x90000000, 0x10000000, 0x80000000, 0xB0000000, 0xF0000000):
        with UdpFlow(staged.router, "node", "ext", family, 5301, mark=mark) as flow:
            assert not flow.forth()


def test_what_the_host_sends_to_itself_untracked_is_judged_for_both_directions(staged: Staged, family: int) -> None:
    served, answered = rule("Allow", protocol="UDP", port=5300), rule("Allow", protocol="UDP", source_port=5300)
    both = [served, answered]
    early = policy("early", **EARLY, types=["Ingress", "Egress"], ingress=both, egress=both)
    staged.enforce(host("loop", "lo"), early)

    with lo_flow(staged, family, 5300) as flow:
        assert flow.trips()
    assert not tracked(staged.router, 5300)
    with lo_flow(staged, family, 5301) as flow:
        assert not flow.forth()


# Before destination NAT

BEFORE = {"applyOnForward": True, "preDNAT": True, "order": 1}


def nodeport(port: int) -> tuple[object, ...]:
    """Only TCP and UDP to this port, as it is before DNAT, among those that are published."""
    allowed = [rule("Allow", protocol=protocol, port=port) for protocol in ("TCP", "UDP")]
    return (*allowed, *(rule("Deny", protocol=protocol, port=8000) for protocol in ("TCP", "UDP")))


@contextlib.contextmanager
def published(router: Node, family: int, port: int, server: str, server_port: int) -> Iterator[None]:
    """A DNAT rule of somebody else's: the router's port leads to a server (the router itself: another port)."""
    to = address(server, family) if server != "node" else address("ext", family, node=True)
    target = f"{to}:{server_port}" if family == 4 else f"[{to}]:{server_port}"
    rules = [
        ("PREROUTING", "-p", protocol, "--dport", str(port), "-j", "DNAT", "--to-destination", target)
        for protocol in ("tcp", "udp")
    ]
    for words in rules:
        router.iptables(family, "-t", "nat", "-A", *words)
    try:
        yield
    finally:
        for words in rules:
            router.iptables(family, "-t", "nat", "-D", *words)


def reached(staged: Staged, family: int, server: str, port: int, server_port: int) -> bool:
    """Whether `ext` reaches the server by the router's port, over TCP and UDP alike."""
    to = address("ext", family, node=True)
    stream = tcp(staged.router, "ext", server, family, port, SHORT, to=to, server_port=server_port)
    with UdpFlow(staged.router, "ext", server, family, port, to=to, server_port=server_port) as flow:
        datagram = flow.forth() and flow.back()
    assert stream == datagram
    return stream


@pytest.mark.parametrize("server", ["w1", "node"])
def test_prednat_policy_sees_the_port_before_dnat_and_spares_only_the_host_endpoint(
    staged: Staged, family: int, server: str
) -> None:
    router = staged.router
    with published(router, family, 7000, server, 9000), published(router, family, 8000, server, 9000):
        staged.enforce(ETH0, W1, WORK, policy("before", **BEFORE, ingress=nodeport(7000)))
        assert reached(staged, family, server, 7000, 9000)
        assert not reached(staged, family, server, 8000, 9000)
        assert not staged.passes("ext", "node", family, TCP, 9000)

        closed = policy("closed", selector="role == 'work'", types=["Ingress"])
        staged.enforce(ETH0, W1, closed, policy("before", **BEFORE, ingress=nodeport(7000)))
        assert reached(staged, family, server, 7000, 9000) == (server == "node")


def test_prednat_policy_judges_what_is_bound_for_anywhere_and_leaves_the_rest_to_the_next_stage(
    staged: Staged, family: int
) -> None:
    staged.enforce(ETH0, W1, WORK, OPEN, policy("before", **BEFORE, ingress=nodeport(7000)))

    for server in ("node", "far", "w1"):
        assert staged.passes("ext", server, family, TCP, 7000)
        assert not staged.passes("ext", server, family, UDP, 8000)
        assert staged.passes("ext", server, family, UDP, 8001)
    assert staged.passes("node", "ext", family, TCP, 8000)
    assert staged.passes("w1", "ext", family, UDP, 8000)


def test_prednat_policy_of_a_wildcard_judges_workloads_and_interfaces_whose_own_endpoint_has_none(
    staged: Staged, family: int
) -> None:
    before = policy("before", **BEFORE, selector="name == 'star'", ingress=nodeport(7000))
    staged.enforce(host("star", "*", "profiles: [projectcalico-default-allow]"), ETH0, OPEN, W1, WORK, before)

    assert not staged.passes("w1", "far", family, TCP, 8000)
    assert not staged.passes("ext", "node", family, TCP, 8000)
    assert staged.passes("w1", "far", family, UDP, 8001)
    assert staged.passes("ext", "node", family, TCP, 22)


def test_failsafes_pass_the_prednat_stage_and_no_other(staged: Staged, family: int) -> None:
    closed = policy("before", **BEFORE, ingress=[rule("Deny")])
    staged.enforce(ETH0, OPEN, W1, policy("shut", selector="role == 'work'", types=["Ingress"]), closed)

    assert staged.passes("ext", "node", family, TCP, 22)
    assert staged.passes("ext", "far", family, TCP, 22)
    assert not staged.passes("ext", "w1", family, TCP, 22)
    assert not staged.passes("ext", "node", family, TCP, 80)


def test_an_allowance_before_dnat_spares_the_forward_policy_of_the_way_in_and_not_of_the_way_out(
    staged: Staged, family: int
) -> None:
    gate = policy("gate", **FORWARD, types=["Ingress", "Egress"], ingress=[rule("Deny")], egress=[rule("Deny")])
    before = policy("before", **BEFORE, ingress=[rule("Allow", port=7000, protocol="UDP")])
    staged.enforce(ETH0, host("eth1", "eth1"), OPEN, before, gate)
    assert not staged.passes("ext", "far", family, UDP, 7000)

    staged.enforce(ETH0, OPEN, before, gate)
    assert staged.passes("ext", "far", family, UDP, 7000)
    assert not staged.passes("ext", "far", family, UDP, 7001)


@pytest.mark.parametrize("server", ["w1", "node"])
def test_a_live_flow_is_cut_in_both_directions_when_prednat_policy_refuses_it_though_the_server_speaks_next(
    staged: Staged, family: int, server: str
) -> None:
    router, to = staged.router, address("ext", family, node=True)
    before = {"name": "before", **BEFORE}
    base = (ETH0, OPEN, W1, WORK)
    opened = policy(**before, ingress=[rule("Allow")])
    closed = policy(**before, ingress=[rule("Deny", protocol="UDP", port=7000)])
    with published(router, family, 7000, server, 9000):
        staged.enforce(*base, opened)
        with UdpFlow(router, "ext", server, family, 7000, to=to, server_port=9000) as flow:
            assert flow.trips()
            staged.change(*base, closed)
            assert not (flow.back() or flow.forth() or flow.back())
            staged.change(*base, opened)
            assert flow.trips()
            staged.change(*base)
            assert flow.back(2.0) and flow.trips()


@pytest.mark.parametrize("server", ["w1", "node"])
def test_a_live_flow_that_only_prednat_policy_allows_loses_nothing_by_a_change_though_the_server_speaks_next(
    staged: Staged, family: int, server: str
) -> None:
    router, to = staged.router, address("ext", family, node=True)
    before = policy("before", **BEFORE, ingress=nodeport(7000))
    with published(router, family, 7000, server, 9000):
        staged.enforce(ETH0, W1, WORK, before)
        with UdpFlow(router, "ext", server, family, 7000, to=to, server_port=9000) as flow:
            assert flow.trips()
            staged.change(ETH0, W1, WORK, before, policy("other", order=7, types=["Egress"]))
            assert all(flow.back(2.0) for _ in range(3))
            assert flow.trips()


def test_what_prednat_policy_allowed_is_told_as_its_rule_and_what_it_cuts_as_cut(staged: Staged) -> None:
    daemon = staged.daemon
    staged.enforce(ETH0, policy("before", **BEFORE, ingress=[rule("Allow", protocol="UDP", port=7100)]))
    with UdpFlow(staged.router, "ext", "node", 4, 7100) as flow:
        assert flow.trips()
        wait_for(lambda: any(e["dst_port"] == 7100 for e in daemon.events("connection.allowed")))
        staged.change(ETH0, policy("before", **BEFORE, ingress=[rule("Deny", protocol="UDP", port=7100)]))
        wait_for(lambda: any(e["dst_port"] == 7100 for e in daemon.events("connection.cut")))

    told = [e for e in daemon.events("connection.allowed", "connection.cut") if e["dst_port"] == 7100]
    assert [(e["event"], e["hook"], e["policy"]["name"], e["policy"]["rule"]) for e in told] == [
        ("connection.allowed", "prerouting", "before", 0),
        ("connection.cut", "prerouting", "before", 0),
    ]
    assert told[1]["flow_id"] == told[0]["flow_id"]


# What the host sends to an address that is translated


@contextlib.contextmanager
def service(router: Node, family: int, via: str, server: str, port: int) -> Iterator[str]:
    """An address that is routed to one neighbour, and translated to another; where it answers."""
    at = "10.99.0.1" if family == 4 else "fd99::1"
    target = f"{address(server, family)}:{port}" if family == 4 else f"[{address(server, family)}]:{port}"
    route = (at, "via", address(via, family))
    nat = [
        ("OUTPUT", "-d", at, "-p", protocol, "--dport", "99", "-j", "DNAT", "--to-destination", target)
        for protocol in ("tcp", "udp")
    ]
    nat.append(("POSTROUTING", "-d", address(server, family), "-j", "MASQUERADE"))
    ip = ("ip", "-4" if family == 4 else "-6", "route")
    router.world.run(router.name, *ip, "add", *route)
    for words in nat:
        router.iptables(family, "-t", "nat", "-A", *words)
    try:
        yield at
    finally:
        for words in nat:
            router.iptables(family, "-t", "nat", "-D", *words)
        router.world.run(router.name, *ip, "del", *route)


@pytest.mark.parametrize("via", ["ext", "far", "w1"])
@pytest.mark.parametrize("server", ["ext", "far", "w1"])
def test_what_the_host_sends_to_a_service_is_judged_by_the_interface_that_it_leaves_by(
    staged: Staged, family: int, via: str, server: str
) -> None:
    """Not by that of the first route, which OUTPUT shows. Only `ext` is behind a host endpoint."""
    router, way = staged.router, {"server_port": 6400}
    opened = policy("out", types=["Egress"], egress=[rule("Allow", protocol=p, port=6400) for p in ("TCP", "UDP")])
    with service(router, family, via, server, 6400) as at:
        for texts, passes in (((), server != "ext"), ((opened,), True)):
            staged.enforce(ETH0, W1, WORK, *texts)
            assert tcp(router, "node", server, family, 99, SHORT, to=at, **way) == passes
            with UdpFlow(router, "node", server, family, 99, to=at, **way) as flow:
                assert (flow.trips(2) if passes else flow.forth()) == passes


def test_a_live_flow_of_the_hosts_to_a_service_is_queued_once_and_cut_when_policy_changes(
    staged: Staged, family: int
) -> None:
    router, way = staged.router, {"server_port": 6401}
    opened = policy("out", types=["Egress"], egress=[rule("Allow", protocol="UDP", port=6401)])
    with service(router, family, "far", "ext", 6401) as at:
        staged.enforce(ETH0, opened)
        with UdpFlow(router, "node", "ext", family, 99, to=at, **way) as flow:
            assert flow.trips(1)
            before = judged(staged)
            assert flow.trips(50)
            assert judged(staged) < before + 25
            staged.change(ETH0)
            assert not flow.back()
            assert not flow.forth()
            event = staged.daemon.told("connection.cut")[-1]
            assert (event["hook"], event["out_interface"]) == ("output", "eth0")
            staged.change(ETH0, opened)
            assert flow.trips()


def judged(staged: Staged) -> int:
    """Packets that came up so far; workers say so once a second."""
    time.sleep(1.3)
    return sum(worker.judged for worker in staged.daemon.status().workers)
