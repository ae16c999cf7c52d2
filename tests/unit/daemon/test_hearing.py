import asyncio
import json
from collections.abc import Iterator

import pytest

from calicod.daemon import hearing as module
from calicod.netfilter.endings import ended
from tests.unit.daemon.control_plane import ControlPlane, namespace
from tests.unit.daemon.telling import STAMPED, flow, syn

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module", autouse=True)
def apart() -> Iterator[None]:
    with namespace():
        yield


def test_what_the_kernel_lets_pass_by_itself_is_read_and_told_and_what_waits_at_the_end_too(tmp_path):
    plane = ControlPlane(tmp_path, logs=True)
    plane.write()
    found = {}

    async def begin() -> None:
        async with plane.running():
            await plane.healthy()
            found["steered"] = plane.supervisor.enforcer.steering.log_group
            plane.logged.missed = 3
            plane.logged.come(syn(), syn(failsafe=True, sport=2))
            await plane.until(lambda: plane.events("connection.allowed"))
            await plane.until(lambda: plane.events("events.lost"))
            plane.logged.come(syn(sport=3), quietly=True)

    asyncio.run(begin())

    assert found["steered"] == 5200
    told = [(event["src_port"], event["reason"]) for event in plane.events("connection.allowed")]
    assert told == [(40001, told[0][1]), (2, "failsafe"), (3, told[0][1])]
    assert [(event["where"], event["count"]) for event in plane.events("events.lost")] == [("log-group", 3)]


def test_what_the_kernel_let_pass_and_has_ended_already_is_told_in_this_order(tmp_path, monkeypatch):
    plane = ControlPlane(tmp_path, logs=True)
    plane.write()
    ends = [[ended(flow(0, 0.01, mark=STAMPED))]]
    monkeypatch.setattr(module, "EVENTS_AT_ONCE", 1)

    async def begin() -> None:
        async with plane.running():
            await plane.healthy()
            plane.supervisor.hearing._connections.read = lambda _: ([], ends.pop() if ends else [])
            plane.logged.come(syn())
            await plane.until(lambda: plane.events("connection.allowed"))

    asyncio.run(begin())

    (allowed,), (closed,) = plane.events("connection.allowed"), plane.events("connection.closed")
    assert closed["flow_id"] == allowed["flow_id"]
    assert [e["event"] for e in map(json.loads, plane.supervisor.reporter.recent()) if "flow_id" in e] == [
        "connection.allowed",
        "connection.closed",
    ]
