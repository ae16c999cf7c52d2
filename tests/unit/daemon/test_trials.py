import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from calicod.daemon import trials as module
from calicod.daemon.booted import boot_id, boot_time
from calicod.daemon.proposal import Document
from calicod.daemon.shelf import Shelf
from calicod.daemon.sources import Sources
from calicod.daemon.state import Reloaded
from calicod.daemon.trials import Trials
from calicod.errors import CalicodError
from calicod.model.event import Event, name_of
from tests.unit.datastore.texts import tier

OLD, NEW, BROKEN = tier("old", 1), tier("new", 2), tier("old", "much")


class Plane:
    """Policy files, what is in force of them, and what was told; no packets.

    `failures`: changes that fail first. `sinks_take`: without it what is told stays in the process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.policies = folder / "policies.d"
        self.policies.mkdir(exist_ok=True)
        self.sources = Sources([self.policies], "n1", folder / "state")
        self.failures = 0
        self.revision = 0
        self.in_force: tuple[str, ...] = ()
        self.told: list[Event] = []
        self.sinks_take = True
        self.trials = Trials(self.sources, folder / "state", self.change, self.told.append, self.settled)

    async def change(self) -> Reloaded:
        """As the supervisor's."""
        self.revision += 1
        if self.failures:
            self.failures -= 1
            return Reloaded(revision=self.revision, generation=1, error="K071 worker 0 refused")
        held = self.sources.held
        reading = await asyncio.to_thread(self.sources.read)
        self.in_force = tuple(sorted(text.content.decode() for text in held.texts)) if held else self.files()
        return Reloaded(revision=self.revision, generation=1, rejected=reading.rejected)

    async def settled(self) -> None:
        """As the reporter's."""
        if not self.sinks_take:
            await asyncio.Event().wait()

    def write(self, **texts: str) -> None:
        for name, text in texts.items():
            (self.policies / f"{name}.yaml").write_text(text)

    def files(self) -> tuple[str, ...]:
        return tuple(sorted(path.read_text() for path in self.policies.rglob("*.yaml")))

    def events(self) -> list[str]:
        return [name_of(event) for event in self.told]

    def successor(self, *, replaced: bool) -> "Plane":
        """Another process in the same place; the former has ended wherever it was."""
        next_one = Plane(self.folder)
        next_one.trials.take_over(replaced=replaced)
        return next_one


@pytest.fixture
def plane(tmp_path) -> Plane:
    made = Plane(tmp_path)
    made.write(old=OLD)
    asyncio.run(made.change())
    return made


def documents(**texts: str) -> tuple[Document, ...]:
    return tuple(Document(f"{name}.yaml", text) for name, text in texts.items())


SET = documents(new=NEW)


def try_for(plane: Plane, seconds: float) -> None:
    asyncio.run(plane.trials.apply(SET, seconds))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  any condition of a test
            await asyncio.sleep(0.01)


async def watched(plane: Plane, work: Callable[[], Awaitable[None]]) -> None:
    """Does the work beside the watch, as in the daemon."""
    watch = asyncio.create_task(plane.trials.watch())
    try:
        await work()
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


def test_a_set_on_trial_is_in_force_and_the_files_stay_as_they_are(plane):
    outcome = asyncio.run(plane.trials.apply(SET, 60.0))

    assert (outcome.done, outcome.revision, outcome.refusal) == ("applied", plane.revision, None)
    assert (plane.in_force, plane.files()) == ((NEW,), (OLD,))
    state = outcome.trial
    assert (state.phase, state.files) == ("trial", (str(plane.policies / "new.yaml"),))
    assert 59 < state.seconds_left <= 60
    assert plane.events() == ["policy.tried"]


def test_it_is_rolled_back_when_its_time_is_over(plane, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)

    async def wait() -> None:
        await plane.trials.apply(SET, 0.2)
        assert plane.in_force == (NEW,)
        await until(lambda: plane.trials.state() is None)
        await until(lambda: plane.in_force == (OLD,))

    asyncio.run(watched(plane, wait))

    assert [(e.reason, e.files) for e in plane.told[1:]] == [("not confirmed in time", 1)]


def test_the_time_counts_from_when_it_is_in_force(plane):
    change = plane.change

    async def slow() -> Reloaded:
        await asyncio.sleep(1.0)
        return await change()

    plane.trials = Trials(plane.sources, plane.folder / "state", slow, plane.told.append, plane.settled)
    try_for(plane, 10.0)

    assert plane.trials.state().seconds_left > 9.3


def test_a_confirmed_set_is_in_the_files_and_judged_as_it_was_on_trial(plane):
    try_for(plane, 60.0)
    before = plane.sources.read().ruleset
    outcome = asyncio.run(plane.trials.confirm())

    assert (outcome.done, outcome.trial, outcome.edited) == ("confirmed", None, ())
    assert (plane.in_force, plane.files()) == ((NEW,), (NEW,))
    assert plane.sources.read().ruleset == before
    assert plane.events() == ["policy.tried", "policy.confirmed"]


def test_without_a_trial_it_is_in_the_files_at_once(plane):
    outcome = asyncio.run(plane.trials.apply(SET, None))

    assert (outcome.done, outcome.trial, plane.files()) == ("applied", None, (NEW,))
    assert plane.events() == ["policy.confirmed"]


def test_a_rollback_ends_a_trial(plane):
    try_for(plane, 60.0)
    outcome = asyncio.run(plane.trials.rollback())

    assert (outcome.done, plane.in_force, plane.files()) == ("rolled-back", (OLD,), (OLD,))
    assert plane.told[-1].reason == "asked for"


def test_a_rollback_after_it_was_confirmed_brings_the_files_back_and_another_one_the_set(plane):
    asyncio.run(plane.trials.apply(SET, None))
    seen = []
    for _ in range(3):
        asyncio.run(plane.trials.rollback())
        seen.append((plane.in_force, plane.files()))

    assert seen == [((OLD,), (OLD,)), ((NEW,), (NEW,)), ((OLD,), (OLD,))]


def test_last_good_versions_come_back_with_the_files_that_they_stood_for(plane):
    plane.write(old=BROKEN)
    asyncio.run(plane.change())
    assert [resource.order for resource in plane.sources.read().kept] == [1]
    asyncio.run(plane.trials.apply(SET, None))
    asyncio.run(plane.trials.rollback())

    assert plane.files() == (BROKEN,)
    assert [resource.order for resource in plane.sources.read().kept] == [1]
    assert [resource.order for resource in plane.successor(replaced=False).sources.read().kept] == [1]


def test_a_trial_leaves_last_good_versions_alone(plane):
    plane.write(old=BROKEN)
    asyncio.run(plane.change())
    try_for(plane, 60.0)
    asyncio.run(plane.trials.rollback())

    assert [resource.order for resource in plane.sources.read().kept] == [1]


# What is refused


def code(action: Awaitable[object]) -> str:
    with pytest.raises(CalicodError) as caught:
        asyncio.run(action)
    return caught.value.code


def test_a_set_with_an_error_is_not_tried(plane):
    outcome = asyncio.run(plane.trials.apply(documents(old=BROKEN), 60.0))

    assert [(d.name, d.file) for d in outcome.rejected] == [("old", str(plane.policies / "old.yaml"))]
    assert (outcome.done, plane.trials.state(), plane.in_force) == ("", None, (OLD,))
    assert Shelf(plane.folder / "state").held() is None


def test_a_second_set_is_refused_while_one_is_on_trial(plane):
    try_for(plane, 60.0)

    assert code(plane.trials.apply(SET, 60.0)) == "K050"
    assert plane.in_force == (NEW,)


def test_of_two_sets_at_once_one_is_refused(plane):
    async def both() -> list[object]:
        return await asyncio.gather(
            plane.trials.apply(SET, 60.0), plane.trials.apply(documents(other=OLD), 60.0), return_exceptions=True
        )

    first, second = asyncio.run(both())

    assert (first.done, second.code, plane.in_force) == ("applied", "K050", (NEW,))


def test_what_is_not_on_trial_cannot_be_confirmed(plane):
    assert code(plane.trials.confirm()) == "K051"


def test_what_is_over_cannot_be_confirmed(plane):
    try_for(plane, 0.05)
    time.sleep(0.1)

    assert code(plane.trials.confirm()) == "K051"


def test_there_is_nothing_to_roll_back_to_before_the_first_set(plane):
    assert code(plane.trials.rollback()) == "K052"


@pytest.mark.parametrize("name", ["../evil.yaml", "/etc/evil.yaml", "evil", ".evil.yaml"])
def test_a_set_cannot_leave_its_folder(plane, name):
    assert code(plane.trials.apply((Document(name, NEW),), 60.0)) == "K053"


def test_two_documents_of_one_name_are_refused(plane):
    assert code(plane.trials.apply((*SET, *SET), 60.0)) == "K053"


def test_what_could_not_be_brought_into_force_is_given_up_at_once(plane):
    plane.failures = 1

    assert code(plane.trials.apply(SET, 60.0)) == "K054"
    assert (plane.trials.state(), plane.in_force, Shelf(plane.folder / "state").held()) == (None, (OLD,), None)


def test_a_trial_that_cannot_be_written_down_is_not_begun(plane):
    (plane.folder / "state" / "trial.new").mkdir()

    assert code(plane.trials.apply(SET, 60.0)) == "K055"
    assert (plane.trials.state(), plane.in_force) == (None, (OLD,))


def test_what_could_not_be_brought_back_is_not_replaced(plane):
    try_for(plane, 60.0)
    (plane.policies / "deep").mkdir()
    (plane.policies / "deep" / "gone.yaml").symlink_to("/proc/self/mem")

    assert code(plane.trials.confirm()) == "K053"
    assert (plane.trials.state().phase, plane.in_force) == ("trial", (NEW,))


@pytest.mark.parametrize("end", [Trials.confirm, Trials.rollback])
def test_a_link_among_the_files_is_left_to_whoever_made_it(plane, end):
    asyncio.run(plane.trials.apply(SET, None))
    if end is Trials.confirm:
        try_for(plane, 60.0)
    link = plane.policies / "link.yaml"
    link.symlink_to(plane.folder / "elsewhere.yaml")
    (plane.folder / "elsewhere.yaml").write_text(OLD)

    assert code(end(plane.trials)) == "K053"
    assert link.is_symlink()


def test_a_daemon_that_ends_takes_no_set_any_more(plane):
    asyncio.run(plane.trials.end())

    assert code(plane.trials.apply(SET, 60.0)) == "K054"


# Whoever dies


def test_a_successor_goes_on_with_the_trial_until_the_same_deadline(plane):
    try_for(plane, 60.0)
    left = plane.trials.state().seconds_left
    successor = plane.successor(replaced=True)

    assert left - 1 < successor.trials.state().seconds_left <= left
    asyncio.run(successor.change())
    assert successor.in_force == (NEW,)
    asyncio.run(successor.trials.confirm())
    assert successor.files() == (NEW,)


def test_a_successor_that_comes_too_late_begins_with_the_files(plane):
    try_for(plane, 0.05)
    time.sleep(0.1)
    successor = plane.successor(replaced=True)
    asyncio.run(successor.change())

    assert (successor.trials.state(), successor.in_force) == (None, (OLD,))
    assert [e.reason for e in successor.told] == ["not confirmed in time"]


def test_a_daemon_that_is_started_anew_begins_with_the_files(plane):
    try_for(plane, 3600.0)
    started = plane.successor(replaced=False)
    asyncio.run(started.change())

    assert (started.trials.state(), started.in_force) == (None, (OLD,))
    assert "started anew" in started.told[0].reason
    settle(started)


def settle(plane: Plane) -> None:
    """What the trial came to is with the sinks, and its record gone."""

    async def gone() -> None:
        await until(lambda: Shelf(plane.folder / "state").held() is None)

    asyncio.run(watched(plane, gone))


def die_untold(plane: Plane, action: Callable[[], Awaitable[object]]) -> Plane:
    """The supervisor dies when it has done everything and the sinks have not taken it; the next one."""
    plane.sinks_take = False

    async def until_killed() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(action(), 0.3)

    asyncio.run(until_killed())
    return plane.successor(replaced=True)


@pytest.mark.parametrize("action", ["rollback", "end"])
def test_a_rollback_that_died_with_who_told_it_is_told_by_the_next(plane, action):
    try_for(plane, 3600.0)
    successor = die_untold(plane, getattr(plane.trials, action))
    asyncio.run(successor.change())

    assert plane.events() == ["policy.tried", "policy.rolled-back"]
    assert successor.told == plane.told[1:]
    assert (successor.trials.state(), successor.in_force) == (None, (OLD,))
    settle(successor)
    assert successor.successor(replaced=True).told == []


def test_who_dies_while_he_rolls_back_has_decided_it_and_the_next_one_tells(plane):
    try_for(plane, 3600.0)

    async def killed() -> Reloaded:
        raise ProcessLookupError

    plane.trials._change = killed
    with pytest.raises(ProcessLookupError):
        asyncio.run(plane.trials.rollback())
    successor = plane.successor(replaced=True)
    asyncio.run(successor.change())

    assert plane.events() == ["policy.tried"]
    assert [event.reason for event in successor.told] == ["asked for"]
    assert (successor.trials.state(), successor.in_force) == (None, (OLD,))


def test_who_is_started_anew_and_dies_at_once_leaves_the_end_of_the_trial_to_the_next(plane):
    try_for(plane, 3600.0)
    plane.successor(replaced=False)
    successor = plane.successor(replaced=True)
    asyncio.run(successor.change())

    assert ["started anew" in event.reason for event in successor.told] == [True]
    assert (successor.trials.state(), successor.in_force) == (None, (OLD,))
    settle(successor)


def test_the_next_set_waits_until_the_end_of_the_former_one_is_told(plane):
    try_for(plane, 3600.0)
    started = plane.successor(replaced=False)
    started.sinks_take = False
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(started.trials.apply(SET, 60.0), 0.3))
    assert Shelf(plane.folder / "state").held().untold is not None

    started.sinks_take = True
    asyncio.run(started.trials.apply(SET, 60.0))
    assert (started.in_force, started.trials.trying) == ((NEW,), True)


def test_a_confirmation_that_died_with_who_told_it_is_told_by_the_next(plane):
    try_for(plane, 3600.0)
    successor = die_untold(plane, plane.trials.confirm)

    assert successor.events() == ["policy.confirmed"]
    settle(successor)
    assert successor.files() == (NEW,)
    assert successor.successor(replaced=True).told == []


def test_a_return_to_the_former_set_that_died_with_who_told_it_is_told_by_the_next(plane):
    asyncio.run(plane.trials.apply(SET, None))
    successor = die_untold(plane, plane.trials.rollback)

    assert successor.told == plane.told[-1:]
    settle(successor)
    assert successor.files() == (OLD,)


def test_where_nothing_can_be_written_a_trial_ends_all_the_same(plane):
    try_for(plane, 3600.0)
    (plane.folder / "state" / "trial.new").mkdir()
    asyncio.run(plane.trials.rollback())

    assert (plane.in_force, plane.events()) == ((OLD,), ["policy.tried", "policy.rolled-back"])
    assert Shelf(plane.folder / "state").held() is None


def test_after_a_reboot_the_time_is_over_whatever_the_clock_says(plane):
    try_for(plane, 3600.0)
    shelf = Shelf(plane.folder / "state")
    shelf.hold(msgspec.structs.replace(shelf.held(), boot="another", deadline=boot_time() + 1e6))

    assert plane.successor(replaced=True).trials.state() is None


def test_a_daemon_that_ends_ends_the_trial(plane):
    try_for(plane, 60.0)
    asyncio.run(plane.trials.end())

    assert (plane.in_force, plane.events()) == ((OLD,), ["policy.tried", "policy.rolled-back"])


def test_a_daemon_that_ends_leaves_a_confirmed_set_alone(plane):
    asyncio.run(plane.trials.apply(SET, None))
    asyncio.run(plane.trials.end())

    assert plane.files() == (NEW,)


@pytest.mark.parametrize("replaced", [True, False])
@pytest.mark.parametrize("done", range(3))
def test_who_died_while_he_installed_is_followed_by_who_finishes(plane, monkeypatch, replaced, done):
    """`done`: the files that the dead one had replaced."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    plane.write(a=tier("a", 1), b=tier("b", 1))
    old = plane.files()
    try_for(plane, 60.0)
    shelf = Shelf(plane.folder / "state")
    shelf.hold(plane.trials._installing(shelf.held()))
    steps = [(plane.policies / "a.yaml").unlink, lambda: plane.write(new=NEW)]
    for step in steps[:done]:
        step()
    successor = plane.successor(replaced=replaced)

    async def finish() -> None:
        await successor.change()
        assert successor.in_force == (NEW,)
        await until(lambda: successor.trials.state() is None)
        await until(lambda: not successor.trials._busy.locked())

    asyncio.run(watched(successor, finish))
    assert (successor.files(), shelf.held()) == ((NEW,), None)
    asyncio.run(successor.trials.rollback())
    assert successor.files() == old


def test_what_cannot_be_installed_is_in_force_told_and_tried_again(plane, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.05)
    try_for(plane, 60.0)
    obstacle = plane.policies / ".new.yaml.calicod"
    obstacle.mkdir()

    async def confirm() -> None:
        outcome = await plane.trials.confirm()
        assert (outcome.done, outcome.trial.phase, outcome.trial.seconds_left) == ("confirmed", "install", None)
        assert "cannot be written to the policy files" in outcome.trial.trouble == plane.trials.trouble
        assert plane.in_force == (NEW,)
        obstacle.rmdir()
        await until(lambda: plane.trials.state() is None)

    asyncio.run(watched(plane, confirm))

    assert (plane.files(), plane.trials.trouble) == ((NEW,), "")


def test_what_cannot_be_installed_can_be_rolled_back(plane):
    try_for(plane, 60.0)
    (plane.policies / ".new.yaml.calicod").mkdir()
    asyncio.run(plane.trials.confirm())
    asyncio.run(plane.trials.rollback())

    assert (plane.in_force, plane.files(), plane.trials.state()) == ((OLD,), (OLD,), None)


# Files that are edited meanwhile


def test_edits_during_a_trial_are_told_and_count_after_the_rollback(plane, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)

    async def edit() -> None:
        await plane.trials.apply(SET, 60.0)
        plane.write(old=tier("old", 7), more=tier("more", 1))
        names = tuple(str(plane.policies / f"{name}.yaml") for name in ("more", "old"))
        await until(lambda: plane.trials.state().edited == names)
        await plane.change()
        assert plane.in_force == (NEW,)
        await plane.trials.rollback()

    asyncio.run(watched(plane, edit))

    assert plane.in_force == plane.files() == tuple(sorted((tier("old", 7), tier("more", 1))))


def test_who_confirms_is_never_kept_from_it_by_a_look(plane, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)

    async def again_and_again() -> None:
        for _ in range(20):
            await plane.trials.apply(SET, 60.0)
            await asyncio.sleep(0)
            await plane.trials.confirm()

    asyncio.run(watched(plane, again_and_again))

    assert plane.files() == (NEW,)


def test_edits_during_a_trial_are_kept_for_a_rollback_when_it_is_confirmed(plane):
    try_for(plane, 60.0)
    plane.write(old=tier("old", 7))
    outcome = asyncio.run(plane.trials.confirm())

    assert (outcome.edited, plane.files()) == ((str(plane.policies / "old.yaml"),), (NEW,))
    asyncio.run(plane.trials.rollback())
    assert plane.files() == (tier("old", 7),)


def test_edits_while_a_set_cannot_be_installed_are_kept_for_a_rollback(plane):
    try_for(plane, 60.0)
    obstacle = plane.policies / ".new.yaml.calicod"
    obstacle.mkdir()
    asyncio.run(plane.trials.confirm())
    plane.write(late=tier("late", 1))
    obstacle.rmdir()
    asyncio.run(plane.trials.confirm())
    assert plane.files() == (NEW,)
    asyncio.run(plane.trials.rollback())

    assert plane.files() == tuple(sorted((OLD, tier("late", 1))))


def test_a_deadline_is_of_this_boot(plane):
    try_for(plane, 60.0)

    assert Shelf(plane.folder / "state").held().boot == boot_id()


def test_only_a_trial_may_be_rolled_back_by_itself(plane):
    assert not plane.trials.trying
    try_for(plane, 60.0)
    assert plane.trials.trying
    (plane.policies / ".new.yaml.calicod").mkdir()
    asyncio.run(plane.trials.confirm())
    assert not plane.trials.trying
