import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from calicod.daemon import reporter as module
from calicod.daemon.beginnings import Known
from calicod.daemon.reporter import Follower, Reporter
from calicod.daemon.settings import Settings
from calicod.eventlog.file import FileSettings
from calicod.eventlog.sink import Several
from calicod.model.event import DaemonRecovered, DaemonStarted, EventsLost, decode
from calicod.model.record import Batch
from calicod.netfilter.endings import ended
from calicod.ruleset.program import RuleSet
from tests.unit.daemon.telling import SECOND, T0, allow, deny, flow, names, packet, syn, values

PATIENCE = 5.0
EVENT = DaemonRecovered()


class Clock:
    """Seconds after T0, set by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> int:
        return T0 + int(self.at * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


@pytest.fixture
def reporter(path, clock):
    made = Reporter(Settings(node_name="n1", events=(FileSettings(path),)), clock)
    made.direct(RuleSet(node="n1"), ())
    yield made
    made.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.001)


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


# Where events go


def test_what_workers_conntrack_and_the_daemon_tell_goes_to_the_file_in_order(reporter, path, clock):
    reporter.emit(EVENT)
    reporter.batch(Batch(0, 3, (packet(allow()), packet(deny(), sport=1))))
    clock.at = 5
    reporter.connections([], [ended(flow(0, 5))], 0)
    until(lambda: reporter.written == 4)

    told = ["daemon.recovered", "connection.allowed", "connection.denied", "connection.closed"]
    assert names(values(lines(path))) == told
    assert lines(path) == reporter.recent()
    assert reporter.hits == {("NetworkPolicy", "production", "web"): (1, 1, 0)}


def test_every_sink_gets_every_line(tmp_path):
    paths = [tmp_path / name for name in "ab"]
    made = Reporter(Settings(node_name="n1", events=tuple(FileSettings(path) for path in paths)))
    made.emit(EVENT)
    made.close()

    assert lines(paths[0]) == lines(paths[1]) == made.recent()
    assert (made.written, made.lost) == (2, 0)


def test_without_a_sink_the_recent_events_are_there(clock):
    made = Reporter(Settings(node_name="n1", events=()), clock)
    made.emit(EVENT)
    made.close()

    assert len(made.recent()) == 1
    assert (made.written, made.lost) == (0, 0)


def test_of_the_recent_events_a_bounded_number_is_kept(reporter):
    for revision in range(module.RECENT_LINES + 10):
        reporter.emit(DaemonStarted(calicod_version="1", pid=1, revision=revision))

    recent = reporter.recent()
    assert len(recent) == module.RECENT_LINES
    assert decode(recent[-1]).revision == module.RECENT_LINES + 9


def test_reopening_follows_the_name_of_the_file(reporter, path):
    reporter.emit(EVENT)
    until(lambda: reporter.written == 1)
    path.rename(path.with_name("old"))

    reporter.reopen()
    reporter.emit(EVENT)
    until(lambda: reporter.written == 2)

    assert len(lines(path)) == len(lines(path.with_name("old"))) == 1


def test_memory_is_given_back_each_second_in_which_nothing_waited_whatever_is_told_in_it(reporter, clock, monkeypatch):
    given = list[int]()
    monkeypatch.setattr(module, "give_back", lambda: given.append(1))
    for second in range(3):
        reporter.batch(Batch(0, 1, (packet(deny(), at=second, sport=second), packet(deny(), at=second, sport=second))))
        clock.at = second + 100.0
        until(lambda: not reporter._writers[0].waits)
        reporter.tick()

    assert len(given) == 3


def test_summaries_come_with_the_tick_and_with_the_end(reporter, path, clock):
    reporter.batch(Batch(0, 1, (packet(deny()), packet(deny(), 1))))
    clock.at = 61
    reporter.tick()
    reporter.batch(Batch(0, 1, (packet(deny(), 70), packet(deny(), 71), packet(deny(), 72))))
    reporter.close()

    assert [event.count for event in values(lines(path))] == [1, 2, 1, 3]


# The order of decisions and ends


def test_a_port_that_is_used_again_at_once_is_a_connection_of_its_own(reporter):
    reporter.batch(Batch(0, 1, (packet(allow()),)))
    reporter.connections([], [ended(flow(0, 0.5))], 0)
    reporter.batch(Batch(0, 1, (packet(allow(), 0.4, sport=2), packet(allow(), 0.6))))

    told = values(reporter.recent())
    assert names(told) == ["connection.allowed"] * 2 + ["connection.closed", "connection.allowed"]
    assert [event.src_port for event in told] == [40001, 2, 40001, 40001]


def test_an_end_waits_for_the_decision_of_its_connection(reporter, clock):
    reporter.batch(Batch(0, 1, (packet(allow(), sport=2),)))
    reporter.connections([], [ended(flow(0.1, 0.3))], 0)
    reporter.batch(Batch(0, 1, (packet(allow(), 0.1),)))
    clock.at = 1
    reporter.tick()

    *_, closed = told = values(reporter.recent())
    assert names(told) == ["connection.allowed", "connection.allowed", "connection.closed"]
    assert closed.policy == told[1].policy
    assert closed.flow_id == told[1].flow_id


def test_an_end_that_is_read_with_the_decision_of_its_connection_waits_for_it(reporter, clock):
    clock.at = 1
    reporter.connections([], [ended(flow(0, 0.5))], 0, judging=True)
    reporter.batch(Batch(0, 1, (packet(allow()),)))
    clock.at = 2
    reporter.tick()

    allowed, closed = values(reporter.recent())
    assert names([allowed, closed]) == ["connection.allowed", "connection.closed"]
    assert closed.flow_id == allowed.flow_id


def test_when_too_many_ends_wait_they_are_told(reporter, clock, monkeypatch):
    monkeypatch.setattr(module, "ENDS_LIMIT", 2)
    reporter.batch(Batch(0, 1, (packet(allow(), sport=2),)))
    clock.at = 0.01
    for _ in range(3):
        assert len(reporter.recent()) == 1
        reporter.connections([], [ended(flow(-1, 0.001))], 0)

    assert names(values(reporter.recent())) == ["connection.allowed"] + ["connection.closed"] * 3


def test_the_end_of_what_the_kernel_let_pass_is_told_after_it_and_that_of_an_earlier_one_before(reporter, clock):
    reporter.know([Known(packet(allow()), 1)])
    reporter.begun([syn()], 0)
    clock.at = 0.5
    reporter.connections([], [ended(flow(*times)) for times in ((0, 0.2), (0.3, 0.4))], 0, judging=True)
    reporter.begun([syn()], 0)

    told = values(reporter.recent())
    assert names(told) == ["connection.allowed", "connection.closed"] * 2
    assert reporter.hits == {("NetworkPolicy", "production", "web"): (2, 0, 0)}


def test_an_end_waits_for_the_telling_of_what_the_kernel_let_pass_by_itself(reporter, clock):
    reporter.begun([syn(sport=2)], 0)
    clock.at = 0.01
    reporter.connections([], [ended(flow(0, 0.005))], 0)
    clock.at = 0.02
    reporter.begun([syn()], 0)

    *_, allowed, closed = told = values(reporter.recent())
    assert names(told) == ["connection.allowed", "connection.allowed", "connection.closed"]
    assert (closed.src_port, closed.flow_id) == (40001, allowed.flow_id)


# What is lost


def test_a_full_disk_is_counted_and_told_once_there_is_room(reporter, path, clock):
    path.symlink_to("/dev/full")
    for _ in range(3):
        reporter.emit(EVENT)
    until(lambda: reporter.lost == 3)
    clock.at = 20
    reporter.tick()
    assert reporter.written == 0

    path.unlink()
    reporter.emit(EVENT)
    until(lambda: reporter.written == 1)
    clock.at = 40
    reporter.tick()
    until(lambda: reporter.written == 2)

    lost = values(lines(path))[-1]
    assert isinstance(lost, EventsLost)
    assert (lost.where, lost.count) == (f"file {path}", 3)
    assert "No space left" in lost.reason


def test_a_pipe_that_nobody_reads_holds_up_nothing(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    made = Reporter(Settings(node_name="n1", events=(FileSettings(pipe),)))

    began = time.monotonic()
    for _ in range(5_000):
        made.emit(EVENT)
    made.close()

    assert time.monotonic() - began < PATIENCE
    assert made.lost > 0
    assert made.written + made.lost >= 5_000


def test_what_is_settled_is_in_every_file(tmp_path):
    paths = [tmp_path / name for name in ("a", "b")]
    made = Reporter(Settings(node_name="n1", events=tuple(FileSettings(path) for path in paths)))
    for _ in range(3):  # the second time the writers gather
        made.emit(EVENT)
        asyncio.run(made.settled())
        assert [lines(path) for path in paths] == [made.recent()] * 2
    made.close()


def test_what_was_lost_before_it_was_an_event_is_told_and_counted(reporter, clock):
    reporter.batch(Batch(0, 1, (), lost=3))
    reporter.connections([], [], 2)
    reporter.connections([], [], 2)
    reporter.tick()

    told = [(event.where, event.count) for event in values(reporter.recent())]
    assert told == [("worker", 3), ("conntrack", 2)]
    assert reporter.lost == 5


def test_what_the_kernel_could_not_tell_of_what_it_let_pass_is_told_and_counted(reporter, clock):
    reporter.begun([], 3)
    reporter.begun([], 3)
    reporter.begun([syn()], 5)
    reporter.tick()

    lost = values(reporter.recent())[-1]
    assert (lost.where, lost.count, lost.reason) == ("log-group", 5, "the kernel's buffer was full")
    assert reporter.lost == 5


def test_losses_of_a_sink_are_told_at_most_each_ten_seconds(tmp_path, clock):
    path = tmp_path / "e.jsonl"
    made = Reporter(Settings(node_name="n1", events=(FileSettings(path),)), clock)

    def lose() -> None:
        before = made.lost
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/full")
        made.emit(EVENT)
        until(lambda: made.lost == before + 1)
        path.unlink()
        written = made.written
        made.emit(EVENT)
        until(lambda: made.written == written + 1)

    def told(at: float) -> list[int]:
        clock.at = at
        made.tick()
        return [event.count for event in values(made.recent()) if isinstance(event, EventsLost)]

    lose()
    assert told(0) == [1]
    until(lambda: made.written == 2)
    lose()
    assert told(9) == [1]
    assert told(11) == [1, 1]
    made.close()


# Who follows


def test_a_follower_gets_what_is_told_from_then_on_until_the_end(reporter):
    async def follow() -> list[bytes]:
        reporter.emit(EVENT)
        follower = reporter.follow()
        reporter.emit(DaemonStarted(calicod_version="1", pid=1, revision=7))
        chunks = [await anext(follower)]
        waiting = asyncio.create_task(anext(follower))
        await asyncio.sleep(0)
        reporter.emit(EVENT)
        chunks.append(await asyncio.wait_for(waiting, PATIENCE))
        reporter.close()
        chunks += [chunk async for chunk in follower]
        return chunks

    chunks = asyncio.run(follow())

    assert [names(values([chunk])) for chunk in chunks] == [["daemon.started"], ["daemon.recovered"]]


def test_a_slow_follower_loses_lines_and_is_told_how_many():
    async def follow() -> list[bytes]:
        follower = Follower(lambda count: b"lost %d\n" % count, room=8)
        for number in range(5):
            follower.put([b"%d\n" % number] * 2)
        first = await anext(follower)
        follower.put([b"x\n"])
        return [first, await anext(follower)]

    assert asyncio.run(follow()) == [b"0\n0\n1\n1\nlost 6\n", b"x\n"]


def test_what_a_follower_lost_is_told_as_an_event(reporter):
    async def follow() -> bytes:
        follower = reporter.follow()
        follower.put([b"x" * module.FOLLOWER_BYTES + b"\n"])
        reporter.emit(EVENT)
        return await anext(follower)

    (lost,) = values([asyncio.run(follow())])

    assert (lost.where, lost.count) == ("follower", 2)


def test_a_follower_that_went_away_is_forgotten(reporter):
    async def follow() -> int:
        follower = reporter.follow()
        reporter.emit(EVENT)
        await anext(follower)
        del follower
        return len(reporter._followers)

    assert asyncio.run(follow()) == 0


def test_of_what_comes_at_once_a_follower_gets_what_there_is_room_for():
    async def follow() -> bytes:
        follower = Follower(lambda count: b"lost %d\n" % count, room=8)
        follower.put([b"one\n", Several(b"two\n" * 2, 2), b"4\n"])
        return await anext(follower)

    assert asyncio.run(follow()) == b"one\nlost 3\n"
