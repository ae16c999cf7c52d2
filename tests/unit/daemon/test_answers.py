import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from calicod.daemon.state import EndpointState, PolicyState, Status
from calicod.ruleset.enforcement import decode
from tests.unit.daemon.control_plane import ControlPlane, namespace

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module", autouse=True)
def apart() -> Iterator[None]:
    with namespace():
        yield


@pytest.fixture
def plane(tmp_path) -> ControlPlane:
    made = ControlPlane(tmp_path)
    made.write()
    return made


def asked(
    plane: ControlPlane, action: str = "Allow"
) -> tuple[Status, tuple[EndpointState, ...], tuple[PolicyState, ...]]:
    async def ask() -> tuple[object, ...]:
        async with plane.running():
            await plane.until(lambda: plane.events("policy.applied"))
            handlers = plane.supervisor.answers.handlers()
            return handlers.status(), handlers.endpoints(), handlers.policies()

    plane.write(action)
    return asyncio.run(ask())


def test_the_status_names_everything_that_may_say_why(plane):
    status, _, _ = asked(plane)

    assert (status.healthy, status.reasons, status.node, status.steering) == (True, (), "n1", "memory")
    assert (status.revision, status.generation, status.resources, status.endpoints) == (1, 1, 2, 1)
    assert [(worker.pid, worker.revision) for worker in status.workers] == [(4242, 1)]
    assert "a notice" in status.notices
    assert msgspec.json.decode(msgspec.json.encode(status), type=Status) == status


def test_what_was_rejected_is_in_the_status_with_its_place(plane):
    status, endpoints, policies = asked(plane, "Alow")

    assert (status.healthy, status.state) == (False, "degraded")
    assert [(d.name, d.line) for d in status.rejected] == [("web", 9)]
    assert ([e.name for e in endpoints], policies) == (["h"], ())


def test_endpoints_and_policies_are_those_in_force(plane):
    _, endpoints, policies = asked(plane)

    assert [(e.name, [p.name for p in e.ingress]) for e in endpoints] == [("h", ["web"])]
    assert [(p.name, p.endpoints, p.ingress_rules) for p in policies] == [("web", ("h",), 1)]


def test_what_is_enforced_is_given_as_workers_read_it(plane):
    async def ask() -> tuple[bytes, list[bytes]]:
        async with plane.running():
            before = plane.supervisor.answers.enforcement()
            await plane.healthy()
            answers = plane.supervisor.answers
            return before, answers.enforcement(), list(await asyncio.to_thread(list, answers.flows()))

    before, held, flows = asyncio.run(ask())

    assert (before, flows) == (b"", [])
    assert decode(held) == plane.supervisor.enforcer.enforcement


def test_a_daemon_that_was_asked_to_stop_says_so(plane):
    async def ask() -> Status:
        async with plane.running():
            await plane.healthy()
            plane.supervisor.stopping.set()
            return plane.status()

    status = asyncio.run(ask())

    assert (status.healthy, status.state) == (False, "stopping")
