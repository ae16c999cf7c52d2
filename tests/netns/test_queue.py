"""The kernel's queue keeps the contract of interceptors, and the promises that only a kernel can break."""

import gc
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calicod.errors import CalicodError
from calicod.intercept import netlink
from calicod.intercept.counters import QueueCounters, read_counters
from calicod.intercept.nfqueue import COPY_BYTES, NETLINK_NETFILTER, TOGETHER, Queue
from calicod.model.verdict import Verdict
from tests.netns.world import World, inside, world
from tests.unit.intercept.contract import CONTRACT, MARKS, Passed, always, name_of

pytestmark = [pytest.mark.netns, pytest.mark.security]
NUMBER = 5200
LENGTH = 64
PORT = 9000
SO_RCVMARK = 75
LO = 1
SHORT = 0.05


@pytest.fixture(scope="module")
def space() -> Iterator[tuple[World, str]]:
    """A namespace in which datagrams to PORT come up, and go on with a mark of ours."""
    with world("cp-q", ["node"]) as made:
        name = "cp-qnode"
        ours = f"{MARKS.accept | MARKS.reject:#x}"
        datagrams = ("-A", "INPUT", "-p", "udp", "--dport", str(PORT))
        made.run(name, "iptables", *datagrams, "-m", "mark", "!", "--mark", f"0/{ours}", "-j", "ACCEPT")
        made.run(name, "iptables", *datagrams, "-j", "NFQUEUE", "--queue-num", str(NUMBER))
        yield made, name


class KernelBench:
    """Datagrams over lo; each says its name, the receiving socket tells its mark."""

    def __init__(self, made: World, name: str, *, fail_open: bool = False, length: int = LENGTH) -> None:
        self.name = name
        self.indev = LO
        self.sender = made.socket(name, socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver = made.socket(name, socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind(("127.0.0.1", PORT))
        self.receiver.setsockopt(socket.SOL_SOCKET, SO_RCVMARK, 1)
        with inside(name):
            self.interceptor = Queue(NUMBER, length, MARKS, fail_open=fail_open)

    def arrive(self, *names: str, mark: int = 0) -> None:
        self.sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("@I", mark))
        for name in names:
            self.sender.sendto(name.encode(), ("127.0.0.1", PORT))

    def passed(self) -> list[Passed]:
        return list(self._received())

    def _received(self) -> Iterator[Passed]:
        self.receiver.settimeout(SHORT)
        while True:
            try:
                data, extra, _, _ = self.receiver.recvmsg(2048, 64)
            except TimeoutError:
                return
            marks = [value for level, kind, value in extra if (level, kind) == (socket.SOL_SOCKET, socket.SO_MARK)]
            yield Passed(data.decode(), struct.unpack("@I", marks[0])[0])

    def counters(self) -> QueueCounters:
        with inside(self.name):
            return read_counters()[NUMBER]

    def waiting(self) -> int:
        return self.counters().waiting

    def take(self) -> str:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER, os.dup(self.interceptor.fileno())
        ) as s:
            return self.name_in(s.recv(4096))

    @staticmethod
    def name_in(message: bytes) -> str:
        """The datagram's body: the payload is the message's last attribute."""
        at = netlink.ATTRIBUTES_AT
        while True:
            length, kind = netlink.ATTRIBUTE.unpack_from(message, at)
            if kind & netlink.ATTRIBUTE_TYPE == 10:  # NFQA_PAYLOAD
                return name_of(message[at + 4 : at + length])
            at += (length + 3) & ~3

    def close(self) -> None:
        self.interceptor.close()
        self.sender.close()
        self.receiver.close()


@pytest.fixture
def bench(space: tuple[World, str]) -> Iterator[KernelBench]:
    made = KernelBench(*space)
    with inside(made.name):  # as a worker, which lives where its queues are
        try:
            yield made
        finally:
            made.close()


@pytest.mark.parametrize("check", CONTRACT)
def test_it_keeps_the_contract_of_interceptors(bench, check):
    CONTRACT[check](bench)

    assert bench.waiting() == 0, "a packet was left without a verdict"


# What the kernel says


def test_a_queue_has_the_length_and_the_copy_that_were_asked_for(bench):
    told = bench.counters()

    assert (told.copy_range, told.queue_dropped, told.user_dropped) == (COPY_BYTES, 0, 0)


def test_packets_that_find_no_room_are_dropped_and_counted(bench):
    bench.arrive(*(f"{n}" for n in range(LENGTH + 10)))

    assert bench.counters().queue_dropped == 10
    assert bench.interceptor.read(always(Verdict.ACCEPT), LENGTH + 10) == LENGTH
    assert len(bench.passed()) == LENGTH


def test_a_full_queue_of_longest_packets_loses_none_in_the_socket(bench):
    bench.arrive(*(f"{n:01400}" for n in range(LENGTH)))

    assert bench.counters().user_dropped == 0
    assert bench.interceptor.read(always(Verdict.ACCEPT), LENGTH + 1) == LENGTH
    assert len(bench.passed()) == LENGTH


def test_failing_open_passes_what_finds_no_room(space):
    bench = KernelBench(*space, fail_open=True, length=4)
    try:
        bench.arrive(*"abcdef")

        assert [packet.name for packet in bench.passed()] == ["e", "f"]
        bench.interceptor.read(always(Verdict.DROP), 10)
        assert bench.passed() == []
    finally:
        bench.close()


def test_failing_open_outlives_a_release(space):
    bench = KernelBench(*space, fail_open=True, length=2)
    try:
        bench.interceptor.release()
        bench.arrive(*"abc")

        assert [packet.name for packet in bench.passed()] == ["c"]
    finally:
        bench.close()


def test_an_error_report_of_the_kernel_between_packets_disturbs_nothing(bench):
    bench.interceptor._send(netlink.drop_message(NUMBER, 10**6))  # nothing waits: the kernel reports ENOENT
    bench.arrive("a")
    bench.interceptor._send(netlink.message(0x3FF, NUMBER))  # no such message: EINVAL

    assert bench.interceptor.read(always(Verdict.ACCEPT), 10) == 1
    assert [packet.name for packet in bench.passed()] == ["a"]


def test_release_sees_the_packet_behind_error_reports(bench):
    bench.interceptor._send(netlink.drop_message(NUMBER, 10**6))
    bench.arrive("a", "b")
    bench.interceptor._send(netlink.drop_message(NUMBER + 1, 1))

    bench.interceptor.release()

    assert bench.waiting() == 2
    assert bench.interceptor.read(always(Verdict.DROP), 10) == 2


def test_closing_gives_the_number_back_and_drops_what_waits(space):
    bench = KernelBench(*space)
    bench.arrive("a")
    bench.interceptor.close()
    assert bench.passed() == []

    with inside(bench.name):
        assert NUMBER not in read_counters()
        bench.interceptor = Queue(NUMBER, LENGTH, MARKS)
    bench.close()


# Whose queue it is


def test_a_queue_that_is_taken_is_told_with_its_reader_and_the_way_out(bench):
    with inside(bench.name), pytest.raises(CalicodError) as caught:
        Queue(NUMBER, LENGTH, MARKS)

    assert (caught.value.code, caught.value.exit_code) == ("K041", 4)
    assert f"queue {NUMBER} is taken by process {os.getpid()} (" in str(caught.value)
    assert "queue_base" in str(caught.value)
    bench.arrive("a")
    assert bench.interceptor.read(always(Verdict.ACCEPT), 1) == 1, "the attempt took the queue away"


def test_without_cap_net_admin_a_queue_cannot_be_bound(space):
    def attempt() -> str:
        drop_capabilities()
        try:
            Queue(NUMBER, LENGTH, MARKS)
        except CalicodError as error:
            return f"{error.code} {error.exit_code} {error.hint}"
        return "bound"

    assert forked(space[1], attempt) == "K043 4 calicod needs CAP_NET_ADMIN in this network namespace"


def drop_capabilities() -> None:
    """Keeps nothing: user 65534 has no capabilities."""
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)


def test_a_queue_lives_on_when_a_forked_reader_is_killed(bench):
    bench.arrive("a", "b", "c")
    reader = os.fork()
    if not reader:
        bench.interceptor.read(lambda *_: os.kill(os.getpid(), signal.SIGKILL), 10)
    os.waitpid(reader, 0)

    assert bench.waiting() == 3
    bench.interceptor.release()
    assert bench.waiting() == 2
    bench.interceptor.read(always(Verdict.ACCEPT), 10)
    assert [packet.name for packet in bench.passed()] == ["b", "c"]


def test_a_reader_that_is_killed_takes_no_more_with_it_than_it_answers_together(bench):
    bench.arrive(*"abcdefghij")
    judged: list[bytes] = []

    def decide(payload: bytes, *_: int) -> Verdict:
        judged.append(payload)
        if len(judged) == 2 * TOGETHER:
            os.kill(os.getpid(), signal.SIGKILL)
        return Verdict.ACCEPT

    reader = os.fork()
    if not reader:
        bench.interceptor.read(decide, 10)
    os.waitpid(reader, 0)

    bench.interceptor.release()
    bench.interceptor.read(always(Verdict.ACCEPT), 10)
    assert [packet.name for packet in bench.passed()] == [*"abcdefghij"[:TOGETHER], *"abcdefghij"[2 * TOGETHER :]]


def test_a_forked_process_that_leaves_a_queue_does_not_keep_it_alive(space):
    bench = KernelBench(*space)
    leaver = os.fork()
    if not leaver:
        bench.interceptor.leave()
        time.sleep(30)
        os._exit(0)
    time.sleep(SHORT)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), bench.interceptor.fileno())  # closes the socket, as the end of this process would
    try:
        with inside(bench.name):
            assert NUMBER not in read_counters()
    finally:
        os.kill(leaver, signal.SIGKILL)
        os.waitpid(leaver, 0)
        bench.close()


def test_a_forked_process_that_ends_at_once_unbinds_nothing(bench):
    child = os.fork()
    if not child:
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    bench.arrive("a")

    assert bench.interceptor.read(always(Verdict.ACCEPT), 10) == 1
    assert [packet.name for packet in bench.passed()] == ["a"]


def forked(name: str, body: Callable[[], str]) -> str:
    """What the function returns in a process of its own, inside the namespace."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with inside(name):
            try:
                os.write(writing, body().encode())
            except OSError as error:
                os.write(writing, repr(error).encode())
            finally:
                os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        shown = told.read()
    os.waitpid(child, 0)
    return shown.strip()
