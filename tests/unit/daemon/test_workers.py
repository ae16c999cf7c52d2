import pytest
from structlog.testing import capture_logs

from calicod.daemon.channel import WorkerEnd, worker_pair
from calicod.daemon.workers import COUNTERS_SECONDS, LOADING_SECONDS, SILENT_SECONDS, Workers
from calicod.model.record import Applied, Batch, Counters, Hung, PickedUp, Report, Severed, Swap

severed: list[bytes] = []
picked_up: list[bytes] = []


def crew() -> tuple[Workers, WorkerEnd, list[Batch], list[Applied]]:
    theirs, ours = worker_pair()
    batches: list[Batch] = []
    applied: list[Applied] = []
    return Workers([ours], batches.append, applied.append, severed.append, picked_up.append), theirs, batches, applied


def test_a_worker_that_applied_a_revision_is_known_by_it():
    workers, worker, _, applied = crew()
    worker.send(Applied(worker=0, pid=42, revision=7, took_ns=1))

    workers.take(0)

    assert (workers.states[0].pid, workers.states[0].revision) == (42, 7)
    assert [message.revision for message in applied] == [7]


def test_a_refused_revision_is_told_but_not_taken_for_applied():
    workers, worker, _, applied = crew()
    worker.send(Applied(worker=0, pid=42, revision=7, took_ns=1, error="bad file"))

    workers.take(0)

    assert workers.states[0].revision == 0
    assert applied[0].error == "bad file"


def test_counters_and_batches_reach_their_places():
    workers, worker, batches, _ = crew()
    worker.send(Batch(worker=0, revision=1, records=()))
    worker.send(Counters(worker=0, pid=42, judged=5, denied=2, malformed=1, failed=0, records_lost=0))

    workers.take(0)

    assert len(batches) == 1
    assert (workers.states[0].judged, workers.states[0].denied) == (5, 2)


def test_a_replaced_worker_begins_its_counters_anew():
    workers, worker, _, _ = crew()
    worker.send(Counters(worker=0, pid=42, judged=5, denied=2, malformed=1, failed=0, records_lost=0))
    workers.take(0)

    workers.died(0)

    assert (workers.states[0].pid, workers.states[0].judged, workers.states[0].replaced) == (0, 0, 1)


def test_an_order_that_found_no_room_is_sent_again_and_only_the_newest():
    workers, worker, _, _ = crew()
    while workers.channels[0].send(Report()):
        pass
    workers.send(0, Swap(3))
    workers.send(0, Swap(4))
    for _ in worker.messages():
        pass

    workers.again()

    assert list(worker.messages()) == [Swap(4), Report()]


def test_packets_on_which_the_engine_failed_are_logged_with_the_last_failure_and_once():
    workers, worker, _, _ = crew()
    counters = Counters(
        worker=0, pid=42, judged=5, denied=2, malformed=0, failed=3, records_lost=0, last_failure="KeyError: 7"
    )
    worker.send(counters)
    worker.send(counters)

    with capture_logs() as logged:
        workers.take(0)

    assert [(line["event"], line["count"], line["failure"]) for line in logged] == [("packet.failed", 3, "KeyError: 7")]


@pytest.fixture
def now(monkeypatch):
    """The clock of the workers, to be set."""
    time = [100.0]
    monkeypatch.setattr("calicod.daemon.workers.time.monotonic", lambda: time[0])
    return time


def test_a_worker_that_is_heard_no_more_is_silent_until_it_is_heard_or_replaced(now):
    workers, worker, _, _ = crew()

    assert workers.silent() == ()

    worker.send(Counters(worker=0, pid=42, judged=5, denied=2, malformed=1, failed=0, records_lost=0))
    workers.take(0)
    now[0] += SILENT_SECONDS
    assert workers.silent() == (0,)

    worker.send(Applied(worker=0, pid=42, revision=7, took_ns=1))
    workers.take(0)
    assert workers.silent() == ()

    now[0] += SILENT_SECONDS
    workers.died(0)
    assert workers.silent() == ()


def test_a_silent_worker_hangs_and_is_told_once(now):
    workers, worker, _, _ = crew()
    worker.send(Applied(worker=0, pid=42, revision=7, took_ns=1))
    workers.take(0)
    now[0] += SILENT_SECONDS - 0.1
    assert workers.hung(7) == ()

    now[0] += 0.1

    assert workers.hung(7) == (Hung(0, 42),)
    assert workers.hung(7) == ()


def test_a_worker_whose_words_were_not_read_yet_does_not_hang(now):
    workers, worker, _, _ = crew()
    now[0] += SILENT_SECONDS
    worker.send(Applied(worker=0, pid=42, revision=7, took_ns=1))

    assert workers.hung(7) == ()


def test_a_worker_that_loads_has_more_time(now):
    workers, worker, _, _ = crew()
    worker.send(Applied(worker=0, pid=42, revision=7, took_ns=1))
    workers.take(0)
    workers.send(0, Swap(8))
    now[0] += SILENT_SECONDS
    assert workers.hung(8) == ()

    now[0] += LOADING_SECONDS - SILENT_SECONDS

    assert workers.hung(8) == (Hung(0, 42),)


def test_an_order_to_a_worker_that_hung_before_it_gives_it_no_more_time(now):
    workers, worker, _, _ = crew()
    worker.send(Applied(worker=0, pid=42, revision=7, took_ns=1))
    workers.take(0)
    now[0] += COUNTERS_SECONDS + 0.1
    workers.send(0, Swap(8))
    now[0] += SILENT_SECONDS - COUNTERS_SECONDS

    assert workers.hung(8) == (Hung(0, 42),)


def test_packets_that_call_for_more_than_a_verdict_are_handed_on():
    workers, worker, _, _ = crew()
    worker.send(Severed(0, b"packet"))
    worker.send(PickedUp(0, b"other"))
    severed.clear()
    picked_up.clear()

    workers.take(0)

    assert (severed, picked_up) == ([b"packet"], [b"other"])
