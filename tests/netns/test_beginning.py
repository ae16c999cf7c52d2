"""Connections that live when calicod first comes into force, and those that conntrack forgot: who of them lives on."""

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.netns.node import FAMILIES, Node, UdpFlow, node, tcp
from tests.netns.patience import seconds
from tests.netns.running import Running, running_in
from tests.netns.stages import host, policy, rule
from tests.netns.test_daemon import ALLOW, DENY, TcpFlow, endpoints, flows, switch
from tests.netns.variants import IPTABLES, needs_variant

pytestmark = [pytest.mark.netns, pytest.mark.security]
PATHS = [("ext", "w1"), ("ext", "node"), ("w1", "ext"), ("w1", "w2"), ("w1", "node")]
PORT = 5300
SHORT = 0.15
RETRANSMITTED = 4.0
"""A packet is dropped when its connection is turned round: what carries the byte is its retransmission."""
SERVES = f"{{action: Allow, protocol: TCP, destination: {{ports: [{PORT}]}}}}"
"""Of the ports of these tests, only to this one may anybody connect, and nobody may from it."""


@pytest.fixture(scope="module", params=IPTABLES)
def router(request: pytest.FixtureRequest) -> Iterator[Node]:
    needs_variant(request.param)
    with node("cd-b", request.param) as built:
        yield built


@contextlib.contextmanager
def tracked(router: Node) -> Iterator[None]:
    """Another program's rules that need conntrack: connections are known before calicod is there."""
    rule = ("FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")
    for family in FAMILIES:
        router.iptables(family, "-A", *rule)
    try:
        yield
    finally:
        for family in FAMILIES:
            router.iptables(family, "-D", *rule)


@contextlib.contextmanager
def let_through(router: Node) -> Iterator[None]:
    """Another program's rule before ours forwards everything; where our table comes before theirs, one in ours."""
    if router.setting != "nft":
        router.iptables(4, "-I", "FORWARD", "1", "-j", "ACCEPT")
        try:
            yield
        finally:
            router.iptables(4, "-D", "FORWARD", "-j", "ACCEPT")
        return
    nft, chain = partial(router.world.run, router.name, "nft"), ("inet", "calicod", "filter-forward")
    handle = nft("--echo", "--handle", "insert", "rule", *chain, "accept").partition("# handle ")[2].split()[0]
    try:
        yield
    finally:
        nft("delete", "rule", *chain, "handle", handle)


def begun(router: Node, stack: contextlib.ExitStack, folder: Path, text: str, **options: object) -> Running:
    """A daemon that comes into force for the first time."""
    daemon = stack.enter_context(running_in(router, folder, options))
    daemon.write(endpoints=endpoints(), switch=text)
    daemon.start()
    return daemon


def opened(router: Node, stack: contextlib.ExitStack, port: int) -> dict[str, TcpFlow]:
    """A connection on each path."""
    return {
        f"{client}-{server} {family}": stack.enter_context(TcpFlow(router, client, server, family, port))
        for client, server in PATHS
        for family in FAMILIES
    }


def spoken(live: dict[str, TcpFlow], speaker: str, patience: float) -> list[str]:
    """The connections on which what one end says, on all at once, arrives at the other."""
    for flow in live.values():
        getattr(flow, speaker).send(b"x")
    deadline = time.monotonic() + seconds(patience)
    arrived = []
    for name, flow in live.items():
        listener = flow.client if speaker == "server" else flow.server
        listener.settimeout(max(0.01, deadline - time.monotonic()))
        with contextlib.suppress(TimeoutError):
            if listener.recv(100):
                arrived.append(name)
    return arrived


@pytest.mark.parametrize("known", [True, False], ids=["known-to-conntrack", "met-in-the-middle"])
def test_who_may_be_called_lives_on_though_he_speaks_first_and_may_not_call(
    router: Node, tmp_path: Path, *, known: bool
) -> None:
    with contextlib.ExitStack() as stack:
        if known:
            stack.enter_context(tracked(router))
        live = opened(router, stack, PORT)
        begun(router, stack, tmp_path, switch(SERVES))

        assert spoken(live, "server", RETRANSMITTED) == [*live]
        assert spoken(live, "client", RETRANSMITTED) == [*live]


@pytest.mark.parametrize("forgotten", [False, True], ids=["first-start", "conntrack-flushed"])
def test_who_may_not_be_called_does_not_live_on_as_its_own_reverse(
    router: Node, tmp_path: Path, *, forgotten: bool
) -> None:
    """Whoever answers may call everybody: taken for the caller, it would be let pass."""
    refused = f"{{action: Deny, protocol: TCP, destination: {{ports: [{PORT + 1}]}}}}"
    with contextlib.ExitStack() as stack:
        live = opened(router, stack, PORT + 1)
        daemon = begun(router, stack, tmp_path, switch(refused, ALLOW))
        if forgotten:
            router.forget()

        assert spoken(live, "server", 0.6) == []
        assert spoken(live, "client", 0.6) == []

        denied = daemon.told("connection.denied")
    assert {event["dst_port"] for event in denied} == {PORT + 1}


def test_a_turned_connection_is_judged_the_right_way_round_by_every_later_policy(router: Node, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        live = opened(router, stack, PORT)
        daemon = begun(router, stack, tmp_path, switch(SERVES))
        router.forget()
        assert spoken(live, "server", RETRANSMITTED) == [*live]

        daemon.change(switch=switch(SERVES, "{action: Deny, protocol: UDP}"))
        assert spoken(live, "server", RETRANSMITTED) == [*live]
        daemon.change(switch=switch(f"{{action: Deny, protocol: TCP, destination: {{ports: [{PORT}]}}}}", ALLOW))
        assert spoken(live, "server", 0.3) + spoken(live, "client", 0.3) == []


def test_where_ports_leave_open_who_called_both_must_be_allowed(router: Node, tmp_path: Path) -> None:
    """Both ports are such that systems call from them."""
    high = 52_000
    refused = f"{{action: Deny, protocol: TCP, destination: {{ports: [{high}]}}}}"
    with contextlib.ExitStack() as stack:
        barred = stack.enter_context(TcpFlow(router, "ext", "w1", 4, high))
        free = stack.enter_context(TcpFlow(router, "ext", "w1", 4, high + 1))
        begun(router, stack, tmp_path, switch(refused, ALLOW))

        assert (barred.back(0.3), free.back(RETRANSMITTED), free.forth(2.0)) == (False, True, True)


def test_what_is_adopted_lives_on_until_policy_changes_and_what_is_new_is_judged(router: Node, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        router.forget()
        stack.enter_context(tracked(router))
        live = flows(router, stack, PORT + 10)
        daemon = begun(router, stack, tmp_path, switch(DENY), first_enforcement="adopt")
        (started,) = daemon.told("daemon.started")

        assert [name for name, flow in live.items() if not (flow.back(2.0) and flow.forth(2.0))] == []
        assert not tcp(router, "ext", "w1", 4, PORT + 30, SHORT)
        daemon.change(switch=switch("{action: Deny, protocol: TCP}", DENY))
        assert [name for name, flow in live.items() if flow.back(0.03) or flow.forth(0.03)] == []
    assert [notice.split()[0] for notice in started["notices"] if "live on unjudged" in notice] == ["20"]


def test_a_daemon_that_was_in_force_before_adopts_nothing(router: Node, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        daemon = begun(router, stack, tmp_path, switch(ALLOW), first_enforcement="adopt")
        daemon.kill()
        with let_through(router):
            flow = stack.enter_context(TcpFlow(router, "ext", "w1", 4, PORT + 40))
        daemon.write(switch=switch(DENY))
        daemon.start()

        assert not flow.back()
        assert not flow.forth()


@pytest.mark.parametrize("stage", ["forward", "before-dnat"])
def test_what_is_adopted_no_stage_of_a_host_endpoint_asks_about(router: Node, tmp_path: Path, stage: str) -> None:
    early = {"preDNAT": True, "types": ["Ingress"]} if stage == "before-dnat" else {"types": ["Ingress", "Egress"]}
    closed = host("eth0", "eth0") + policy("closed", applyOnForward=True, ingress=[rule("Deny")], **early)
    with contextlib.ExitStack() as stack:
        stack.enter_context(tracked(router))
        paths = [(server, family) for server in ("far", "node") for family in FAMILIES]
        live = [stack.enter_context(UdpFlow(router, "ext", server, family, 5310)) for server, family in paths]
        assert all(flow.trips(1) for flow in live)
        daemon = stack.enter_context(running_in(router, tmp_path, {"first_enforcement": "adopt"}))
        daemon.write(stages=closed)
        daemon.start()

        assert all(flow.trips(2) for flow in live)
        assert not tcp(router, "ext", "far", 4, 5311, SHORT)
