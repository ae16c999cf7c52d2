import gc
import os
import select
import signal
import socket
import weakref
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from unittest.mock import ANY

import pytest

from calicod.daemon import standin
from calicod.daemon.channel import MAX_DATAGRAM, SupervisorEnd, worker_pair
from calicod.daemon.instance import ENFORCEMENT_FILE
from calicod.daemon.standin import Account, StandIn
from calicod.daemon.worker import BUDGET, FLUSH_SECONDS, HELD_UP_SECONDS, Seat, Worker, parts
from calicod.intercept.memory import Arrival, MemoryQueue
from calicod.model.interface import Interface
from calicod.model.marks import layout
from calicod.model.record import Applied, Batch, Counters, PickedUp, Report, Severed, Swap
from calicod.ruleset.enforcement import Enforcement, encode
from tests.unit.compiler.build import entity, policy, ruleset, tcp_rule, workload
from tests.unit.daemon.test_judge import CLIENT, WORKLOAD, Bench, tcp

MARKS = layout()
FORWARD, ETH0, CALI = 2, 2, 3
INTERFACES = (Interface(ETH0, "eth0"), Interface(CALI, "caliw"))


def written(revision: int, *ports: int) -> bytes:
    """An enforcement file that allows these ports."""
    allowed = policy("p", ingress=(tcp_rule(destination=entity(ports=ports)),))
    return encode(Enforcement(revision=revision, ruleset=ruleset(workload(), allowed), interfaces=INTERFACES))


class Desk:
    """A worker with memory queues, and the supervisor's end of its channel."""

    def __init__(self, directory: Path, content: bytes | None = None, **changes: bool) -> None:
        self.file = directory / ENFORCEMENT_FILE
        if content is not None:
            self.file.write_bytes(content)
        ours, self.supervisor = worker_pair()
        self.original, self.reply = MemoryQueue(MARKS), MemoryQueue(MARKS)
        self.seat = Seat(0, self.original, self.reply, ours, directory, MARKS, fail_open=False, **changes)
        self.worker = Worker(self.seat)
        self.worker.begin()

    def arrive(self, port: int, times: int = 1) -> None:
        for sport in range(times):
            self.original.put(Arrival(tcp(CLIENT, WORKLOAD, 1024 + sport, port), 0, FORWARD, ETH0, CALI))

    def answer(self, port: int) -> None:
        self.reply.put(Arrival(tcp(WORKLOAD, CLIENT, port, 1024), 0, FORWARD, CALI, ETH0))

    def swap(self, content: bytes, revision: int) -> None:
        self.file.write_bytes(content)
        self.supervisor.send(Swap(revision))

    def said(self, kind: type) -> list[object]:
        return [message for message in said(self.supervisor) if isinstance(message, kind)]

    def passed(self) -> list[bool]:
        news = [departure.repeated for departure in (*self.original.departures, *self.reply.departures)]
        self.original.departures.clear()
        self.reply.departures.clear()
        return news


def said(end: SupervisorEnd) -> list[object]:
    return list(end.messages())


# Beginning


def test_a_worker_loads_what_is_in_force_and_says_so(tmp_path):
    desk = Desk(tmp_path, written(7, 80))

    (applied,) = desk.said(Applied)
    assert (applied.worker, applied.pid, applied.revision, applied.error) == (0, os.getpid(), 7, "")
    assert applied.took_ns > 0


def test_a_worker_that_never_loaded_reads_nothing_and_keeps_what_waits(tmp_path):
    desk = Desk(tmp_path)
    desk.arrive(80)
    desk.supervisor.send(Report())

    desk.worker.turn()

    assert desk.passed() == []
    assert desk.said(Applied) == [Applied(0, os.getpid(), 0, 0, "")]
    desk.swap(written(1, 80), 1)
    desk.worker.turn()
    desk.worker.turn()
    assert desk.passed() == [True]


def test_the_first_worker_of_a_daemon_waits_for_orders_and_does_not_judge_by_what_a_former_one_left(tmp_path):
    desk = Desk(tmp_path, written(1, 80), first=True)
    desk.arrive(80)
    desk.supervisor.send(Report())
    desk.worker.turn()
    assert (desk.passed(), [message.revision for message in desk.said(Applied)]) == ([], [0])

    desk.supervisor.send(Swap(1))
    desk.worker.turn()
    desk.worker.turn()

    assert (desk.passed(), [message.revision for message in desk.said(Applied)]) == ([True], [1])


def test_what_the_predecessor_had_read_is_dropped_and_the_rest_is_judged(tmp_path):
    queue = MemoryQueue(MARKS)
    for sport in (1024, 1025):
        queue.put(Arrival(tcp(CLIENT, WORKLOAD, sport, 80), 0, FORWARD, ETH0, CALI))
    queue.take()
    (tmp_path / ENFORCEMENT_FILE).write_bytes(written(1, 80))
    ours, _theirs = worker_pair()
    worker = Worker(Seat(0, queue, MemoryQueue(MARKS), ours, tmp_path, MARKS, fail_open=False))

    worker.begin()
    worker.turn()

    assert [departure.repeated for departure in queue.departures] == [False, True]


# A change


def test_after_a_swap_the_next_packet_is_judged_by_the_new_policy(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    desk.arrive(80)
    desk.worker.turn()
    desk.swap(written(2, 81), 2)
    desk.arrive(80)
    desk.arrive(81)

    desk.worker.turn()

    assert desk.passed() == [True, False, True]
    assert [message.revision for message in desk.said(Applied)] == [1, 2]


def test_orders_come_before_packets_that_wait_at_the_same_time(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    desk.arrive(80)
    desk.answer(80)
    desk.swap(written(2, 81), 2)

    desk.worker.turn()

    assert desk.passed() == [False, False]


def test_of_several_swaps_that_wait_only_the_newest_file_counts(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    for revision in (2, 3, 4):
        desk.swap(written(revision, 80), revision)

    desk.worker.turn()

    assert [message.revision for message in desk.said(Applied)] == [1, 4]


def test_a_swap_to_what_is_in_force_is_answered_without_loading(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    judge = desk.worker.judge
    desk.supervisor.send(Swap(1))

    desk.worker.turn()

    assert desk.worker.judge is judge
    assert desk.said(Applied)[-1] == Applied(0, os.getpid(), 1, 0, "")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xc1", written(2, 81)[:-1], written(2, 81)[:100], written(2, 81) + b"\0", b"\x80"],
    ids=["empty", "noise", "without its last byte", "its first part", "with a byte more", "an empty mapping"],
)
def test_a_file_that_is_not_whole_changes_nothing_and_is_told(tmp_path, content):
    desk = Desk(tmp_path, written(1, 80))
    desk.swap(content, 2)
    desk.arrive(80)
    desk.arrive(81)

    desk.worker.turn()

    assert desk.passed() == [True, False]
    told = desk.said(Applied)[-1]
    assert told.revision == 1
    assert told.error


def test_no_beginning_of_a_file_is_taken_for_the_whole(tmp_path):
    content = written(2, 81)
    desk = Desk(tmp_path, written(1, 80))
    for length in range(0, len(content), 7):
        desk.swap(content[:length], 2)
        desk.worker.turn()

    assert {message.revision for message in desk.said(Applied)} == {1}


def test_a_file_that_is_gone_is_told(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    desk.file.unlink()
    desk.supervisor.send(Swap(2))

    desk.worker.turn()

    assert desk.said(Applied)[-1].error.startswith("FileNotFoundError")


def test_a_swap_leaves_nothing_of_the_former_policy_behind(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    desk.arrive(80)
    desk.worker.turn()
    engine = weakref.ref(desk.worker.judge.engine)
    gc.disable()
    try:
        desk.swap(written(2, 80), 2)
        desk.worker.turn()
        assert engine() is None
    finally:
        gc.enable()


# What is told


def test_records_come_in_batches_with_the_revision_that_they_were_judged_by(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    desk.arrive(80)
    desk.arrive(81)
    desk.worker._flushed_at -= FLUSH_SECONDS
    desk.worker.turn()
    desk.swap(written(2, 80), 2)
    desk.arrive(80)
    desk.worker.turn()
    while desk.worker.records:
        desk.worker.turn()

    batches = desk.said(Batch)
    assert [(batch.worker, batch.revision, len(batch.records), batch.lost) for batch in batches] == [
        (0, 1, 2, 0),
        (0, 2, 1, 0),
    ]


def test_records_that_wait_at_a_swap_are_told_before_it(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    desk.said(Applied)
    desk.arrive(80)
    desk.worker.turn()
    desk.swap(written(2, 80), 2)
    desk.worker.turn()

    told = [type(message) for message in said(desk.supervisor)]
    assert [kind for kind in told if kind is not Counters] == [Batch, Applied]


def test_each_queue_gets_its_turn_while_the_other_is_flooded(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    desk.arrive(80, times=10 * BUDGET)
    desk.answer(80)

    desk.worker.turn()

    assert len(desk.original.departures) == BUDGET
    assert len(desk.reply.departures) == 1


def test_a_supervisor_that_does_not_listen_holds_up_no_verdict_and_the_loss_is_told(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    while desk.seat.channel.send(Counters(0, 1, 0, 0, 0, 0, 0)):
        pass
    desk.arrive(80, times=2 * BUDGET)

    desk.worker.turn()
    desk.worker.turn()

    assert desk.passed() == [True] * (2 * BUDGET)
    assert desk.worker.records_lost == 2 * BUDGET
    said(desk.supervisor)
    desk.arrive(80, times=BUDGET)
    desk.worker.turn()
    assert [(len(batch.records), batch.lost) for batch in desk.said(Batch)] == [(BUDGET, 2 * BUDGET)]
    desk.arrive(80, times=BUDGET)
    desk.worker.turn()
    assert [batch.lost for batch in desk.said(Batch)] == [0]


def test_counters_are_those_of_the_process_whatever_it_judged_by(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    desk.arrive(80)
    desk.worker.turn()
    desk.swap(written(2, 81), 2)
    desk.arrive(80)
    desk.original.put(Arrival(b"\x45", 0, FORWARD, ETH0, CALI))
    desk.worker.turn()
    desk.supervisor.send(Report())
    desk.worker.turn()

    counters = desk.said(Counters)[-1]
    assert (counters.judged, counters.denied, counters.malformed, counters.failed) == (3, 2, 1, 0)


def test_a_worker_ends_when_the_channel_does(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    desk.supervisor.close()

    with pytest.raises(EOFError):
        desk.worker.turn()


def test_a_batch_that_is_too_long_goes_in_parts_and_nothing_of_it_is_lost():
    bench = Bench()
    bench.judge.original(tcp(CLIENT, WORKLOAD, 40001, 80), 0, FORWARD, ETH0, CALI)
    whole = Batch(worker=1, revision=7, records=tuple(bench.records) * 3000, lost=5)

    sent = list(parts(whole))

    assert len(sent) > 1
    assert all(len(data) <= MAX_DATAGRAM for _, data in sent)
    assert sum(len(part.records) for part, _ in sent) == 3000
    assert [part.lost for part, _ in sent] == [5] + [0] * (len(sent) - 1)


# What is answered


def test_a_refused_packet_is_answered_when_the_seat_says_so(tmp_path):
    desk = Desk(tmp_path, written(1, 80), rejects=True)
    desk.arrive(81)

    desk.worker.turn()

    assert [departure.mark for departure in desk.original.departures] == [MARKS.reject]


def test_a_connection_that_is_cut_is_told_once_for_each_policy_that_cuts_it(tmp_path):
    desk = Desk(tmp_path, written(1, 80), resets=True)
    cut = Arrival(tcp(CLIENT, WORKLOAD, 1024, 81), MARKS.known, FORWARD, ETH0, CALI)
    for revision in (2, 3):
        desk.original.put(cut)
        desk.original.put(cut)
        desk.worker.turn()
        desk.swap(written(revision, 80), revision)
        desk.worker.turn()

    assert desk.said(Severed) == [Severed(0, cut.payload)] * 2
    assert {departure.mark for departure in desk.original.departures} == {MARKS.reject}


def test_an_answer_whose_connection_was_not_known_is_told_to_be_turned(tmp_path):
    desk = Desk(tmp_path, written(1, 80))
    answer = Arrival(tcp(WORKLOAD, CLIENT, 80, 50000), MARKS.picked, FORWARD, CALI, ETH0)
    desk.original.put(answer)

    desk.worker.turn()

    assert desk.passed() == [False]
    assert desk.said(PickedUp) == [PickedUp(0, answer.payload)]


# A stand-in, while a large file is loaded


@pytest.fixture
def large(monkeypatch):
    """Every file counts as large."""
    monkeypatch.setattr(standin, "LARGE_BYTES", 1)


def counted(desk: Desk) -> Counters:
    desk.supervisor.send(Report())
    desk.worker.turn()
    return desk.said(Counters)[-1]


def while_loading(monkeypatch: pytest.MonkeyPatch, action: Callable[[StandIn], object]) -> None:
    """Does something between the beginning of a stand-in and the reading of the file."""
    begin = standin.begin

    def begin_and_act(judge: Callable[..., Account]) -> StandIn | None:
        made = begin(judge)
        assert made is not None
        action(made)
        return made

    monkeypatch.setattr(standin, "begin", begin_and_act)


def told(desk: Desk, count: int) -> list[object]:
    """What is said, once so many batches are among it."""
    found: list[object] = []
    deadline = monotonic() + 5
    while sum(isinstance(message, Batch) for message in found) < count:
        assert monotonic() < deadline, found
        found += said(desk.supervisor)
    return found


def test_while_a_large_file_is_loaded_a_stand_in_judges_by_the_former_policy_and_hands_its_counts_over(
    tmp_path, monkeypatch, large
):
    desk = Desk(tmp_path, written(1, 80))
    desk.said(Applied)
    messages: list[object] = []
    while_loading(monkeypatch, lambda _: messages.extend(told(desk, 1)))
    desk.original.put(Arrival(b"\x45", 0, FORWARD, ETH0, CALI))
    desk.arrive(80)
    desk.swap(written(2, 81), 2)
    desk.worker._obey()

    messages += said(desk.supervisor)
    batch, applied = (message for message in messages if not isinstance(message, Counters))
    assert (batch.revision, len(batch.records)) == (1, 2)
    assert (applied.revision, applied.pid, applied.error) == (2, os.getpid(), "")
    assert desk.passed() == [], "the worker itself has judged nothing"
    counters = counted(desk)
    assert (counters.judged, counters.denied, counters.malformed) == (2, 1, 1)


def test_what_a_stand_in_could_not_tell_is_told_as_lost_with_the_next_batch(tmp_path, monkeypatch, large):
    desk = Desk(tmp_path, written(1, 80))
    while desk.seat.channel.send(Counters(0, 1, 0, 0, 0, 0, 0)):
        pass
    monkeypatch.setattr(standin, "begin", lambda judge: Ended(judge, desk))
    desk.arrive(80)
    desk.file.write_bytes(written(2, 80))
    desk.worker._load()

    said(desk.supervisor)
    desk.arrive(80)
    desk.worker.turn()
    while desk.worker.records:
        desk.worker.turn()
    assert desk.worker.records_lost == 1
    assert [(len(batch.records), batch.lost) for batch in desk.said(Batch)] == [(1, 1)]


class Ended:
    """A stand-in that judged what waits in this very process, before the file is read."""

    def __init__(self, judge: Callable[..., Account], desk: Desk) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.shutdown(socket.SHUT_WR)
        with ours, theirs:
            self.account = judge(theirs, monotonic() + 1)
            desk.worker._poll.unregister(theirs)
        desk.worker._poll.register(desk.seat.channel, select.POLLIN)

    def left(self) -> Account:
        return self.account

    def reaped(self) -> bool:
        return True


def test_a_stand_in_that_was_killed_leaves_the_worker_to_judge_and_what_it_had_read_is_dropped(
    tmp_path, monkeypatch, large
):
    desk = Desk(tmp_path, written(1, 80))
    desk.arrive(80, times=2)
    desk.original.take()  # as the stand-in does
    while_loading(monkeypatch, lambda stand_in: os.kill(stand_in.pid, signal.SIGKILL))
    desk.swap(written(2, 80), 2)

    desk.worker.turn()

    assert desk.passed() == [False, True]
    assert desk.said(Applied)[-1] == Applied(0, os.getpid(), 2, ANY, "")
    assert counted(desk).judged == 1


def test_where_no_process_is_to_be_had_the_worker_loads_without_a_stand_in(tmp_path, monkeypatch, large):
    desk = Desk(tmp_path, written(1, 80))
    monkeypatch.setattr(standin, "begin", lambda _: None)
    desk.arrive(80)
    desk.arrive(81)
    desk.swap(written(2, 81), 2)

    desk.worker.turn()

    assert desk.passed() == [False, True]


def test_a_large_file_that_is_not_whole_changes_nothing_and_what_the_stand_in_counted_counts(
    tmp_path, monkeypatch, large
):
    desk = Desk(tmp_path, written(1, 80))
    while_loading(monkeypatch, lambda _: told(desk, 1))
    desk.arrive(80)
    desk.swap(written(2, 81)[:-1], 2)
    desk.worker._obey()

    assert desk.said(Applied)[-1].revision == 1
    assert counted(desk).judged == 1


def test_a_stand_in_is_reaped_before_long(tmp_path, monkeypatch, large):
    begun: list[StandIn] = []
    desk = Desk(tmp_path, written(1, 80))
    while_loading(monkeypatch, begun.append)
    desk.swap(written(2, 80), 2)
    desk.worker.turn()
    os.waitid(os.P_PID, begun[0].pid, os.WEXITED | os.WNOWAIT)

    counted(desk)

    with pytest.raises(ChildProcessError):
        os.waitpid(begun[0].pid, os.WNOHANG)
    assert desk.worker._leaving == ()


def test_small_files_the_first_one_and_those_of_a_worker_that_was_held_up_are_loaded_without_a_stand_in(
    tmp_path, monkeypatch
):
    begun: list[int] = []
    monkeypatch.setattr(standin, "begin", lambda _: begun.append(1))
    desk = Desk(tmp_path, written(1, 80))
    desk.swap(written(2, 80), 2)
    desk.worker.turn()
    monkeypatch.setattr(standin, "LARGE_BYTES", 1)
    desk.worker._counted_at -= HELD_UP_SECONDS
    desk.swap(written(3, 80), 3)
    desk.worker.turn()
    first = Desk(tmp_path, written(1, 80))
    assert (begun, first.worker.judge.revision) == ([], 1)

    desk.swap(written(4, 80), 4)
    desk.worker.turn()
    assert begun == [1]


def test_what_was_asked_for_before_is_ready_before_the_first_packet_unless_its_interface_is_gone(tmp_path, large):
    desk = Desk(tmp_path, written(1, 80))
    desk.arrive(80)
    desk.answer(80)
    desk.original.put(Arrival(tcp(CLIENT, WORKLOAD, 1024, 80), 0, FORWARD, 77, CALI))
    desk.worker.turn()
    desk.swap(written(2, 80), 2)
    desk.worker._obey()

    assert [list(asked) for asked in desk.worker.judge.asked] == [
        [(FORWARD, CALI, ETH0, 0)],
        [(FORWARD, ETH0, CALI, 0)],
    ]
