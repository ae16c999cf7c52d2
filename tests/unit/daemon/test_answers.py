import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from calicod.daemon.proposal import Document, Proposal, Session
from calicod.daemon.state import EndpointState, PolicyState, Status
from calicod.daemon.trials import STOPPED
from calicod.ruleset.enforcement import decode
from tests.unit.daemon.control_plane import POLICY, ControlPlane, namespace

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


SET = (Document("a.yaml", POLICY.format(action="Deny")),)


def test_a_set_is_looked_at_tried_and_kept_or_not(plane):
    async def ask() -> list[object]:
        async with plane.running():
            answers = plane.supervisor.answers
            early = await answers.prospect(Proposal(documents=SET))
            await plane.healthy()
            seen = await answers.prospect(Proposal(documents=SET, session=Session("192.0.2.9", 1, "192.0.2.1", 22)))
            tried = await answers.apply(Proposal(documents=SET, confirm_within=60.0))
            second = await answers.apply(Proposal(documents=SET, confirm_within=60.0))
            trial = answers.status().trial
            return [early, seen, tried, second, trial, await answers.rollback(), await answers.confirm()]

    early, seen, tried, second, trial, back, late = asyncio.run(ask())

    assert early.refusal.code == "K054"
    assert (seen.resources, seen.endpoints, seen.session) == (2, 1, "unknown")
    assert seen.files == (str(plane.folder / "p" / "a.yaml"),)
    assert (tried.done, tried.generation, tried.trial.phase) == ("applied", 2, "trial")
    assert second.refusal.code == "K050"
    assert trial.files == seen.files
    assert (back.done, back.generation, late.refusal.code) == ("rolled-back", 3, "K051")


def test_a_set_that_is_wrong_is_told_and_not_tried(plane):
    async def ask() -> list[object]:
        async with plane.running():
            await plane.healthy()
            answers = plane.supervisor.answers
            wrong = (Document("a.yaml", POLICY.format(action="Alow")),)
            strange = (Document("../a.yaml", ""),)
            return [
                await answers.prospect(Proposal(documents=wrong)),
                await answers.apply(Proposal(documents=wrong)),
                await answers.prospect(Proposal(documents=strange)),
            ]

    looked, tried, strange = asyncio.run(ask())

    assert [d.name for d in looked.rejected] == [d.name for d in tried.rejected] == ["web"]
    assert (tried.done, strange.refusal.code) == ("", "K053")
    assert plane.supervisor.trials.state() is None


def test_a_trial_ends_with_the_daemon_and_what_was_before_is_in_force(plane):
    async def ask() -> None:
        async with plane.running():
            await plane.healthy()
            await plane.supervisor.answers.apply(Proposal(documents=SET, confirm_within=3600.0))

    asyncio.run(ask())

    assert [event["reason"] for event in plane.events("policy.rolled-back")] == [STOPPED]
    assert plane.installer.steering.generation == 3
    assert not (plane.folder / "state" / "trial").exists()


def test_the_next_boot_has_the_rules_from_before_a_trial(plane):
    other = (Document("a.yaml", POLICY.format(action="Deny").replace('"*"', "eth0")),)

    async def ask() -> list[object]:
        async with plane.running():
            await plane.healthy()
            supervisor = plane.supervisor
            before = supervisor.boot._saved
            await supervisor.answers.apply(Proposal(documents=other, confirm_within=60.0))
            trying = supervisor.boot._saved
            await supervisor.answers.confirm()
            return [before, trying, supervisor.boot._saved]

    before, trying, kept = asyncio.run(ask())

    assert before == trying != kept
