"""Conntrack by netlink against a real kernel."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from calicod.netfilter import conntrack
from calicod.netfilter.endings import Ended
from calicod.netfilter.flow import Flow, FlowTuple
from tests.netns.world import World, inside, run, world

pytestmark = pytest.mark.netns
HERE, THERE = "cd-here", "cd-there"
ADDRESSES = {4: ("10.1.0.1", "10.1.0.2"), 6: ("fd01::1", "fd01::2")}
AF = {4: socket.AF_INET, 6: socket.AF_INET6}
MANY = 300


@pytest.fixture(scope="module")
def pair() -> Iterator[World]:
    """Two hosts; the first tracks connections."""
    with world("cd-", ["here", "there"]) as made:
        made.link((HERE, "e0"), (THERE, "e0"))
        for number, name in enumerate((HERE, THERE)):
            made.address(name, "e0", f"{ADDRESSES[4][number]}/24", f"{ADDRESSES[6][number]}/64")
        for program in ("iptables-legacy", "ip6tables-legacy"):
            made.run(HERE, program, "-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
        with inside(HERE):
            conntrack.enable_accounting()
        yield made


@pytest.fixture
def here(pair: World) -> Iterator[World]:
    """The test runs in the namespace that tracks, with nothing tracked."""
    with inside(HERE):
        run("conntrack", "-F")
        yield pair


@pytest.fixture(params=[4, 6])
def family(request: pytest.FixtureRequest) -> int:
    return request.param


def packed(family: int) -> tuple[bytes, bytes]:
    here, there = ADDRESSES[family]
    return socket.inet_pton(AF[family], here), socket.inet_pton(AF[family], there)


def datagrams(here: World, family: int, ports: range, answered: int = 0) -> int:
    """One datagram to each port; returns the source port. The first `answered` are answered."""
    with here.socket(HERE, AF[family], socket.SOCK_DGRAM) as sender:
        for port in ports[:answered]:
            with here.socket(THERE, AF[family], socket.SOCK_DGRAM) as receiver:
                receiver.bind((ADDRESSES[family][1], port))
                sender.sendto(b"12345", (ADDRESSES[family][1], port))
                _, source = receiver.recvfrom(10)
                receiver.sendto(b"1234567890", source)
                sender.recv(20)
        for port in ports[answered:]:
            sender.sendto(b"12345", (ADDRESSES[family][1], port))
        return sender.getsockname()[1]


def datagrams_of(events: conntrack.Events) -> tuple[list[Flow], list[Ended]]:
    """What it tells of UDP."""
    began, ends = events.read()
    return [flow for flow in began if flow.original.protocol == 17], [end for end in ends if end.protocol == 17]


def test_only_connections_of_one_mark_are_told_when_they_begin_and_all_when_they_end(here: World, family: int) -> None:
    programs = {4: "iptables-legacy", 6: "ip6tables-legacy"}
    rule = ("-p", "udp", "-m", "multiport", "--dports", "5001,5002", "-j", "CONNMARK", "--set-xmark")
    marked = ("-t", "mangle", "-A", "OUTPUT", *rule, "0x0a01/0xffff")
    run(programs[family], *marked)
    events = conntrack.Events(began=(0x0A00, 0x0F00))
    other = conntrack.Events(began=(0x0B00, 0x0F00))
    try:
        datagrams(here, family, range(5000, 5003))
        run("conntrack", "-F")
        began, ends = datagrams_of(events)
        none, others = datagrams_of(other)
    finally:
        events.close()
        other.close()
        run(programs[family], "-t", "mangle", "-F", "OUTPUT")

    assert sorted(flow.original.dport for flow in began) == [5001, 5002]
    assert sorted(end.dport for end in ends) == sorted(end.dport for end in others) == [5000, 5001, 5002]
    assert none == []


def test_where_only_ends_are_asked_for_only_they_are_told(here: World, family: int) -> None:
    events = conntrack.Events(ends_only=True)
    try:
        datagrams(here, family, range(5000, 5003))
        begun = events.read()
        run("conntrack", "-F")
        told = datagrams_of(events)
    finally:
        events.close()

    assert begun == ([], [])
    assert (told[0], sorted(end.dport for end in told[1])) == ([], [5000, 5001, 5002])


def test_a_connection_is_told_when_it_begins_and_when_it_ends(here: World, family: int) -> None:
    events = conntrack.Events()
    try:
        sport = datagrams(here, family, range(5000, 5001), answered=1)
        run("conntrack", "-F")
        (new,), (ended,) = datagrams_of(events)
    finally:
        events.close()

    local, remote = packed(family)
    head = 20 if family == 4 else 40
    assert new.original == FlowTuple(17, local, remote, sport, 5000)
    assert new.reply == FlowTuple(17, remote, local, 5000, sport)
    assert ended.ends == (local, remote, sport, 5000, 17)
    assert (ended.packets, ended.octets) == (1, head + 8 + 5)
    assert (ended.reply_packets, ended.reply_octets) == (1, head + 8 + 10)
    assert 0 < ended.start_ns < ended.stop_ns


def test_a_ping_is_told_with_type_and_identifier(here: World, family: int) -> None:
    events = conntrack.Events()
    try:
        run("ping", "-c1", "-W2", *(("-6",) if family == 6 else ()), ADDRESSES[family][1])
        flows = [flow for flow in events.read()[0] if flow.original.protocol in {1, 58}]
    finally:
        events.close()

    request, reply = (8, 0) if family == 4 else (128, 129)
    (flow,) = (f for f in flows if f.original.icmp_type == request)
    assert flow.reply.icmp_type == reply
    assert flow.original.icmp_id == flow.reply.icmp_id >= 0
    assert (flow.original.sport, flow.original.dport) == (-1, -1)


def test_events_that_found_no_room_are_counted(here: World) -> None:
    events = conntrack.Events(buffer=1)
    try:
        datagrams(here, 4, range(6000, 6000 + MANY))
        told, _ = events.read()
        assert events.overruns > 0
        assert len(told) < MANY
        before = events.overruns
        datagrams(here, 4, range(7000, 7001))
        assert [flow.original.dport for flow in events.read()[0]] == [7000]
        assert events.overruns == before
    finally:
        events.close()


def test_the_kernel_chooses_by_mark(here: World, family: int) -> None:
    datagrams(here, family, range(5000, 5010))
    (flow,) = (f for f in conntrack.dump() if f.original.dport == 5003)
    assert conntrack.set_mark(flow, 0x22300, 0x3FF3F00)

    assert [f.original.dport for f in conntrack.dump(0x20000, 0x3FF0000)] == [5003]


def test_only_the_bits_of_the_mask_are_written(here: World, family: int) -> None:
    datagrams(here, family, range(5000, 5001))
    (flow,) = (f for f in conntrack.dump() if f.original.dport == 5000)
    conntrack.set_mark(flow, 0x80, 0xFF)
    conntrack.set_mark(flow, 0x22300, 0x0FFF3F00)

    found = conntrack.lookup(flow.original)

    assert found is not None
    assert found.mark == 0x22380


def test_a_connection_is_found_by_either_direction(here: World, family: int) -> None:
    datagrams(here, family, range(5000, 5001))
    run("ping", "-c1", "-W2", *(("-6",) if family == 6 else ()), ADDRESSES[family][1])

    flows = [f for f in conntrack.dump() if f.original.protocol in {17, 1, 58}]

    assert len(flows) >= 2
    for flow in flows:
        for direction in (flow.original, flow.reply):
            found = conntrack.lookup(direction)
            assert found is not None
            assert found.original == flow.original


def test_a_connection_that_is_no_more_is_not_found_and_not_marked(here: World, family: int) -> None:
    datagrams(here, family, range(5000, 5001))
    (flow,) = (f for f in conntrack.dump() if f.original.dport == 5000)
    run("conntrack", "-F")

    assert conntrack.lookup(flow.original) is None
    assert not conntrack.set_mark(flow, 1, 1)


def test_a_generation_is_cleared_from_every_connection_that_bears_it(here: World, family: int) -> None:
    datagrams(here, family, range(5000, 5000 + MANY))
    for flow in conntrack.dump():
        conntrack.set_mark(flow, 0x22380 if flow.original.dport % 2 else 0x32380, 0xFFFFFFFF)
    odd = sum(1 for flow in conntrack.dump() if flow.mark == 0x22380)

    assert conntrack.clear(0x20000, 0x3FF0000, 0x0FFF3F00) == odd >= MANY // 2

    assert {f.mark for f in conntrack.dump() if f.original.dport % 2} == {0x80}
    assert {f.mark for f in conntrack.dump() if f.original.dport >= 5000 and not f.original.dport % 2} == {0x32380}


def test_teardown_clears_our_bits_everywhere_and_no_others(here: World) -> None:
    datagrams(here, 4, range(5000, 5020))
    datagrams(here, 6, range(5000, 5020))
    for flow in conntrack.dump():
        conntrack.set_mark(flow, 0x22380, 0xFFFFFFFF)

    assert conntrack.clear_all(0x0FFF3F00) >= 40
    assert conntrack.clear_all(0x0FFF3F00) == 0

    assert {flow.mark for flow in conntrack.dump()} == {0x80}


def test_accounting_tells_what_it_changed_and_changes_it_once(here: World) -> None:
    for name in ("nf_conntrack_acct", "nf_conntrack_timestamp"):
        Path("/proc/sys/net/netfilter", name).write_text("0")

    first = conntrack.enable_accounting()

    assert [(s.name, s.before, s.now) for s in first] == [
        ("nf_conntrack_acct", "0", "1"),
        ("nf_conntrack_timestamp", "0", "1"),
    ]
    assert conntrack.enable_accounting() == ()
