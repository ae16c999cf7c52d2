"""`established: keep`: what becomes of live flows when policy changes, while new ones meet the new policy."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.kernel import needs_kernel
from tests.netns.node import FAMILIES, UdpFlow, node, ping, tcp
from tests.netns.running import Running, running_in
from tests.netns.test_daemon import ALLOW, DENY, endpoints, flows, switch

pytestmark = [pytest.mark.netns, pytest.mark.security]
SHORT = 0.15


@pytest.fixture(scope="module", params=["iptables-nft", "iptables-legacy"])
def keeping(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    needs_kernel(request.param)
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
