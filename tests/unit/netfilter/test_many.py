import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from calicod.netfilter.many import AT_ONCE, ROOM, Mailbox


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        yield sender, receiver


def test_nothing_waits(ends):
    assert Mailbox(ends[1]).receive() == []


def test_what_waits_comes_in_order_and_whole(ends):
    sender, receiver = ends
    box = Mailbox(receiver)
    for _ in range(3):
        sent = [bytes([number]) * (number * 37 + 1) for number in range(5)]
        for datagram in sent:
            sender.send(datagram)

        assert box.receive() == sent
    assert box.receive() == []


def test_more_than_fit_come_with_the_next_call(ends):
    sender, receiver = ends
    box = Mailbox(receiver)
    sender.setblocking(False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            sender.send(count.to_bytes(4))
            count += 1
    assert count > AT_ONCE

    got = []
    while received := box.receive():
        assert len(received) <= AT_ONCE
        got += received

    assert got == [number.to_bytes(4) for number in range(count)]


def test_a_datagram_without_room_is_cut(ends):
    sender, receiver = ends
    sender.send(b"x" * (ROOM + 9))
    sender.send(b"y")

    assert Mailbox(receiver).receive() == [b"x" * ROOM, b"y"]


def test_a_socket_that_is_closed_is_an_error():
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    box = Mailbox(receiver)
    receiver.close()

    with pytest.raises(OSError, match="descriptor"):
        box.receive()
