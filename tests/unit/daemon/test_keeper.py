"""What of the keeper needs no processes; the rest is in tests/netns/test_processes.py."""

import errno

import pytest

from calicod.daemon.channel import keeper_pair
from calicod.daemon.keeper import BACKOFF_SECONDS, BURST, BURST_SECONDS, Child, describe, heard
from calicod.model.record import Hung, Ready, WorkerDied


def child(begin: object = None) -> Child:
    return Child(begin or (lambda: 42), lambda *_: None)


def test_a_child_that_died_is_due_at_once():
    one = child()
    one.start()
    assert one.pid == 42

    one.died(100.0)

    assert (one.pid, one.due) == (0, 100.0)


def test_a_child_that_dies_over_and_over_waits():
    one = child()
    for n in range(BURST):
        one.died(100.0 + n / 100)
        assert one.due == 100.0 + n / 100

    one.died(100.5)

    assert one.due == 100.5 + BACKOFF_SECONDS


def test_deaths_of_long_ago_are_forgiven():
    one = child()
    for _ in range(2 * BURST):
        one.died(100.0)

    one.died(100.0 + BURST_SECONDS)

    assert one.due == 100.0 + BURST_SECONDS


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_when_no_process_is_to_be_had_it_is_tried_again(number):
    def begin() -> int:
        raise OSError(number, "fork")

    one = child(begin)
    for _ in range(BURST + 1):
        one.start()

    assert one.pid == 0
    assert one.due > 0


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exit code 0"),
        (70, "exit code 70"),
        (-9, "killed by SIGKILL"),
        (-11, "killed by SIGSEGV"),
        (-99, "killed by signal 99"),
    ],
)
def test_an_exit_status_is_told_in_words(status, words):
    assert describe(status) == words


def test_what_the_supervisor_says_is_heard_once():
    keeper, control = keeper_pair()
    assert heard(keeper) == ()
    control.send(Ready())
    control.send(Hung(1, 42))

    assert heard(keeper) == (Ready(), Hung(1, 42))
    assert heard(keeper) == ()


@pytest.mark.parametrize("noise", [b"\xc1", b"", b"\x91\xa4tags", b"\x00" * 100])
def test_nothing_that_a_supervisor_says_ends_the_keeper(noise):
    keeper, control = keeper_pair()
    control.socket.send(noise)
    control.socket.send(noise)
    assert not heard(keeper)

    control.socket.send(noise)
    control.send(Ready())

    assert heard(keeper)
    keeper.send(WorkerDied(0, 42, -9, "killed by SIGKILL"))
    assert control.receive() == WorkerDied(0, 42, -9, "killed by SIGKILL")
