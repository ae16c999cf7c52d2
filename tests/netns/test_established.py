"""`established: keep`: what becomes of live flows when policy changes, while new ones meet the new policy."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from tests.netns.node import FAMILIES, UdpFlow, address, node, ping, tcp
from tests.netns.running import Running, running_in
from tests.netns.test_daemon import ALLOW, DENY, endpoints, flows, switch
from tests.netns.variants import IPTABLES, needs_variant

pytestmark = [pytest.mark.netns, pytest.mark.security]
SHORT = 0.15


@pytest.fixture(scope="module", params=IPTABLES)
def keeping(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    needs_variant(request.param)
    folder = tmp_path_factory.mktemp("keeping")
    with node("cd-e", request.param) as router, running_in(router, folder, {"established": "keep"}) as running:
        running.write(endpoints=endpoints(), switch=switch(ALLOW))
        running.start()
        yield running


def new_ones_pass(daemon: Running, port: int) -> list[str]:
    """The new connections that come about."""
    router = daemon.router
    found = []
    for family in FAMILIES:
        if tcp(router, "ext", "w1", family, port, SHORT):
            found.append(f"tcp{family}")
        with UdpFlow(router, "w1", "ext", family, port) as flow:
            if flow.forth():
                found.append(f"udp{family}")
        if ping(router, "ext", "node", family):
            found.append(f"icmp{family}")
    return found


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_live_flows_outlive_a_deny_that_new_ones_meet_at_once(keeping: Running, *, restarted: bool) -> None:
    keeping.write(switch=switch(ALLOW))
    keeping.reload()
    cut = len(keeping.events("connection.cut"))
    with contextlib.ExitStack() as stack:
        live = flows(keeping.router, stack, 5200)
        before = keeping.status()
        if restarted:
            keeping.stop()
        keeping.write(switch=switch(DENY))
        if restarted:
            keeping.start()
        keeping.reload()
        after = keeping.status()

        assert new_ones_pass(keeping, 5290) == []
        assert [name for name, flow in live.items() if not (flow.back(2.0) and flow.forth(2.0))] == []
        keeping.write(switch=switch(ALLOW))
        keeping.reload()
        assert len(new_ones_pass(keeping, 5291)) == 6

    assert (after.generation, after.revision > before.revision) == (before.generation, True)
    assert len(keeping.events("connection.cut")) == cut


@pytest.mark.parametrize("family", FAMILIES)
def test_a_flow_whose_address_is_routed_to_another_workload_is_judged_there(keeping: Running, family: int) -> None:
    """w1 may be called, w2 may not; w2 takes w1's address as its own. Policy does not change, and spares live flows."""
    router = keeping.router
    closed = switch(DENY).replace("name: switch", "name: closed").replace("order: 1", "order: 0")
    keeping.write(switch=switch(ALLOW), closed=closed.replace("all()", "name == 'w2'"))
    keeping.reload()
    target = address("w1", family)
    prefix = f"{target}/{32 if family == 4 else 128}"
    ip = ("ip", "-4" if family == 4 else "-6")
    router.world.address(router.space("w2"), "lo", prefix)
    router.world.run(router.space("w2"), "ip", "link", "set", "lo", "up")
    try:
        with UdpFlow(router, "ext", "w1", family, 5250) as flow, UdpFlow(router, "ext", "w1", family, 5251) as other:
            assert flow.trips(1)
            with router.world.socket(router.space("w2"), FAMILIES[family], socket.SOCK_DGRAM) as usurper:
                usurper.bind(("::" if family == 6 else "", 5250))
                usurper.settimeout(0.3)
                told = len(keeping.events("connection.denied"))
                via = ("via", address("w2", family), "dev", "cali2")
                router.world.run(router.name, *ip, "route", "add", prefix, *via)
                time.sleep(0.5)
                flow.client.send(b"for w1 alone")
                with pytest.raises(TimeoutError):
                    usurper.recv(100)
            assert keeping.told("connection.denied", told + 1)[-1]["out_interface"] == "cali2"
            router.world.run(router.name, *ip, "route", "del", prefix, *via)
            assert other.trips(1)
    finally:
        router.world.run(router.name, *ip, "route", "flush", prefix)
        router.world.run(router.space("w2"), "ip", "address", "del", prefix, "dev", "lo")
        (keeping.policies / "closed.yaml").unlink()


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
def test_a_workload_that_is_no_more_takes_its_live_flows_along(keeping: Running, *, restarted: bool) -> None:
    """Its interface is unknown from then on: nothing passes there, whatever was allowed to the workload."""
    router = keeping.router
    everybody = endpoints()
    parts = everybody.split("---\n")
    without = "---\n".join(part for part in parts if "name: node-k8s-w1-eth0" not in part)
    assert len(without) < len(everybody)
    keeping.write(endpoints=everybody, switch=switch(ALLOW))
    keeping.reload()
    try:
        with contextlib.ExitStack() as stack:
            to = [stack.enter_context(UdpFlow(router, "ext", "w1", family, 5260)) for family in FAMILIES]
            by = [stack.enter_context(UdpFlow(router, "w1", "w2", family, 5261)) for family in FAMILIES]
            others = [stack.enter_context(UdpFlow(router, "ext", "w2", family, 5262)) for family in FAMILIES]
            assert all(flow.trips(1) for flow in (*to, *by, *others))
            generation = keeping.status().generation
            if restarted:
                keeping.stop()
            keeping.write(endpoints=without)
            if restarted:
                keeping.start()
            keeping.reload()

            assert keeping.status().generation == generation
            assert not any(flow.forth() or flow.back() for flow in (*to, *by))
            assert all(flow.trips(1) for flow in others)
    finally:
        keeping.write(endpoints=everybody)
        keeping.reload()
