import socket

import msgspec
import pytest

from calicod.daemon.channel import MAX_DATAGRAM, encode, keeper_pair, pair, worker_pair
from calicod.model.hook import Hook
from calicod.model.record import Batch, Ready, Record, Report, Swap, WorkerDied

RECORD = Record(1, b"d", Hook.INPUT, "eth0", "", 6, b"\n\0\0\1", b"\n\0\0\2", 40001, 80, -1, -1)


def test_messages_come_whole_and_in_order():
    worker, supervisor = worker_pair()
    supervisor.send(Swap(1))
    supervisor.send(Report())
    supervisor.send(Swap(2))

    assert list(worker.messages()) == [Swap(1), Report(), Swap(2)]
    assert worker.receive() is None


def test_both_ways_are_of_one_pair():
    keeper, control = keeper_pair()
    control.send(Ready())
    keeper.send(WorkerDied(0, 42, -9, "killed by SIGKILL"))

    assert keeper.receive() == Ready()
    assert control.receive() == WorkerDied(0, 42, -9, "killed by SIGKILL")


def test_sending_never_waits_and_says_what_found_no_room():
    worker, supervisor = worker_pair()
    batch = encode(Batch(worker=0, revision=1, records=(RECORD,) * 64))
    sent = 0
    while worker.send_encoded(batch):
        sent += 1

    assert sent * 64 > 20_000, "a supervisor's absence of a second would lose records"
    assert sum(1 for _ in supervisor.messages()) == sent
    assert worker.send_encoded(batch)


def test_a_message_that_is_too_long_is_not_sent_in_pieces():
    worker, supervisor = worker_pair()

    assert not worker.send_encoded(bytes(MAX_DATAGRAM + 1))
    assert supervisor.receive() is None


def test_the_longest_message_arrives():
    ours, theirs = pair()
    ours.send(bytes(MAX_DATAGRAM))

    assert len(theirs.recv(2 * MAX_DATAGRAM)) == MAX_DATAGRAM


def test_what_makes_no_sense_is_an_error_and_leaves_what_follows():
    worker, supervisor = worker_pair()
    supervisor.socket.send(b"\xc1")
    supervisor.send(Swap(3))

    with pytest.raises(msgspec.DecodeError):
        worker.receive()
    assert worker.receive() == Swap(3)


def test_the_end_of_the_other_side_is_told_and_sending_to_it_is_no_error():
    worker, supervisor = worker_pair()
    supervisor.close()

    assert not worker.send_encoded(b"x")
    with pytest.raises(EOFError):
        worker.receive()


def test_no_program_that_is_executed_inherits_an_end():
    ours, theirs = pair()

    assert [end.get_inheritable() for end in (ours, theirs)] == [False, False]
    assert ours.type == socket.SOCK_SEQPACKET
