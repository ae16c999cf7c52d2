"""Connections that the kernel let pass by itself are told as if they had been judged."""

from collections import deque

import pytest

from calicod.daemon.beginnings import Known
from calicod.eventlog.sink import lines_of
from calicod.model.event import Party
from calicod.model.hook import Hook
from calicod.model.record import Batch, Record
from calicod.model.verdict import Reason
from calicod.netfilter.endings import ended
from calicod.netfilter.flow import FlowTuple
from calicod.netfilter.nflog import Alike
from calicod.ruleset.program import CompiledPolicy, RuleSet
from tests.unit.daemon.telling import (
    CLIENT,
    FAILSAFE,
    HOST,
    NODE,
    SECOND,
    SERVER,
    STAMPED,
    T0,
    TCP,
    UDP,
    Teller,
    allow,
    flow,
    known,
    names,
    packed,
    packet,
    rule,
    syn,
    values,
)


def knowing(*records: Record, revision: int = 1) -> Teller:
    """It is told what the kernel allows by itself."""
    teller = Teller(known("WorkloadEndpoint", "production", "red-0", "10.65.0.2/32", color="red"))
    teller.log.know([Known(record, revision) for record in records])
    return teller


def test_the_line_is_what_a_worker_would_have_made_of_the_packet():
    record, judging = packet(allow(), 0.25), knowing()
    told = judging.log.records(Batch(0, 7, (record,)))

    teller = knowing(packet(allow(), sport=9), revision=7)
    lines = teller.log.begun([syn()], deque(), record.time_ns)

    assert lines == told
    assert teller.log.hits() == judging.log.hits() == {("NetworkPolicy", "production", "web"): (1, 0, 0)}


@pytest.mark.parametrize(
    ("dst", "src", "hook", "reporter"),
    [(HOST, CLIENT, Hook.INPUT, "dst"), (SERVER, HOST, Hook.OUTPUT, "src"), (SERVER, CLIENT, None, None)],
)
def test_what_a_failsafe_let_pass_is_told_as_by_conntracks_event(dst, src, hook, reporter):
    original = FlowTuple(TCP, packed(src), packed(dst), 40001, 6379)
    reply = FlowTuple(TCP, packed(dst), packed(src), 6379, 40001)
    by_conntrack = Teller().began(flow(original=original, reply=reply, mark=FAILSAFE), at=0.1)

    (told,) = Teller().logged(syn(failsafe=True, src=src, dst=dst, hook=Hook.INPUT), at=0.1)

    assert [told] == by_conntrack
    assert (told.reason, told.hook, told.reporter, told.policy) == (Reason.FAILSAFE, hook, reporter, None)


def test_a_failsafe_is_one_also_where_the_kernel_allows_that_kind_by_itself():
    teller = knowing(packet(allow(), protocol=UDP))

    told = teller.logged(syn(failsafe=True, protocol=UDP, sport=5), syn(protocol=UDP, sport=6))

    assert [event.reason for event in told] == [Reason.FAILSAFE, Reason.RULE]
    assert teller.log.hits() == {("NetworkPolicy", "production", "web"): (1, 0, 0)}


def test_what_the_kernel_allowed_a_moment_ago_is_still_known_and_what_it_allowed_before_that_is_not():
    teller = knowing(packet(allow()))
    teller.log.know([Known(packet(allow(rule("other")), dport=81), 2)])

    told = teller.logged(syn(sport=1), syn(sport=2, dport=81))
    assert [(event.policy.name, event.revision) for event in told] == [("web", 1), ("other", 2)]

    teller.log.know([])
    (unknown,) = teller.logged(syn(sport=3))
    assert (unknown.policy, unknown.hook, unknown.dst.name, unknown.src_port) == (None, None, "red-0", 3)
    assert teller.log.hits()["NetworkPolicy", "production", "web"] == (1, 0, 0)


@pytest.mark.parametrize(
    "other", [syn(hook=Hook.INPUT), syn(src=HOST), syn(dst=HOST), syn(dport=80)], ids=["hook", "src", "dst", "port"]
)
def test_another_kind_is_not_told_as_a_known_one(other):
    teller = knowing(packet(allow()))

    first, second = teller.logged(other, syn(sport=2))

    assert (first.policy, second.policy) == (None, rule())


def test_a_kind_is_idle_from_the_first_look_without_a_connection_on():
    one = Known(packet(allow()), 1)
    teller = Teller()
    teller.log.know([one])
    idle = []
    for connections in ([syn(), syn(sport=2)], [], [], [syn(failsafe=True, sport=3)], [syn(sport=4)]):
        teller.logged(*connections)
        one.look()
        idle.append(one.idle)

    assert idle == [0, 1, 2, 3, 0]


def test_a_syn_that_comes_again_before_its_stamp_is_the_same_connection():
    teller = knowing(packet(allow()))

    assert names(teller.logged(syn(), syn())) == ["connection.allowed"]
    assert teller.logged(syn(), at=0.9) == []
    assert teller.judged(packet(allow(), 0.95)) == []
    assert teller.log.hits() == {("NetworkPolicy", "production", "web"): (1, 0, 0)}


def test_a_connection_that_a_worker_has_told_is_not_told_again():
    teller = knowing(packet(allow()))
    teller.judged(packet(allow()))

    assert teller.logged(syn(), at=0.5) == []


def test_the_same_ports_later_are_a_new_connection_for_the_kernel_too():
    teller = knowing(packet(allow()))

    told = teller.logged(syn()) + teller.logged(syn(), at=30.0)

    assert names(told) == ["connection.allowed"] * 2
    assert told[0].flow_id != told[1].flow_id


def test_the_end_of_an_earlier_connection_of_the_same_ends_is_told_before():
    teller = knowing(packet(allow()))
    (first,) = teller.logged(syn(), at=0.1)

    told = teller.logged(syn(), at=0.5, ends=[flow(0.0, 0.2)])

    assert names(told) == ["connection.closed", "connection.allowed"]
    assert [event.flow_id for event in told] == [first.flow_id] * 2  # both began in the same second
    assert told[0].policy == rule()


@pytest.mark.parametrize("lag", [0.02, 1.5, 5.0])
def test_the_end_of_a_connection_that_is_told_just_now_comes_after_it_however_late_it_is_read(lag):
    teller = knowing(packet(allow()))

    begun, closed = teller.logged(syn(), at=lag, ends=[flow(0.0, 0.01)])

    assert names([begun, closed]) == ["connection.allowed", "connection.closed"]
    assert (closed.flow_id, closed.policy, closed.duration_ms) == (begun.flow_id, rule(), 10)
    assert len(teller.log._history._flows) == 0


def test_the_ends_of_two_that_followed_each_other_at_once_are_both_told():
    teller = knowing(packet(allow()))
    teller.logged(syn())

    told = teller.logged(syn(), at=0.5, ends=[flow(0.0, 0.2), flow(0.3, 0.4)])

    assert names(told) == ["connection.closed", "connection.allowed", "connection.closed"]
    assert [event.policy for event in told] == [rule()] * 3


@pytest.mark.parametrize("number", [2, 3, 5])
def test_of_connections_of_the_same_ends_that_are_read_at_once_each_is_told_with_its_end_before_the_next(number):
    """A port that is used again at once, while the supervisor was busy."""
    teller = knowing(packet(allow()))
    ends = [flow(0.1 * n, 0.1 * n + 0.05, packets=n) for n in range(number - 1)]

    told = teller.logged(*[syn()] * number, at=0.6, ends=ends)

    assert names(told) == ["connection.allowed", *["connection.closed", "connection.allowed"] * (number - 1)]
    assert [event.packets_to_dst for event in told[1::2]] == list(range(number - 1))
    assert {event.policy.name for event in told} == {"web"}
    assert names(teller.ended(flow(0.5, 0.7))) == ["connection.closed"]
    assert teller.log.hits() == {("NetworkPolicy", "production", "web"): (number, 0, 0)}


def test_ends_that_come_later_are_left_and_those_of_connections_that_are_not_ours_are_not_told():
    teller = knowing(packet(allow()))
    ends = deque(map(ended, (flow(0.0, 0.1, mark=0), flow(0.0, 9.0))))

    teller.log.begun([syn(sport=7)], ends, T0 + SECOND)

    assert [end.stop_ns for end in ends] == [T0 + 9 * SECOND]


def test_what_was_begun_is_told_when_it_ends_under_the_same_id_and_policy():
    teller = knowing(packet(allow()))
    (begun,) = teller.logged(syn())

    (closed,) = teller.ended(flow(0.0, 9.0, mark=STAMPED))

    assert (closed.flow_id, closed.policy, closed.src, closed.dst) == (begun.flow_id, rule(), begun.src, begun.dst)
    assert closed.dst == Party("WorkloadEndpoint", "production", "red-0", {"color": "red"})


def test_hits_of_a_policy_are_counted_for_each_connection():
    teller = knowing(packet(allow()), packet(allow(rule("other")), dport=81))

    teller.logged(*(syn(sport=n) for n in range(5)), *(syn(sport=n, dport=81) for n in range(3)), syn(dport=1))
    teller.logged(syn(sport=9))

    assert teller.log.hits() == {
        ("NetworkPolicy", "production", "web"): (6, 0, 0),
        ("NetworkPolicy", "production", "other"): (3, 0, 0),
    }


def test_a_directory_that_is_replaced_is_the_one_that_says_who_they_are():
    teller = knowing(packet(allow()))
    teller.logged(syn())
    web = CompiledPolicy(kind="NetworkPolicy", tier="default", namespace="production", name="web")
    owner = known("NetworkSet", "", "all", "0.0.0.0/0")

    teller.log.adopt(RuleSet(node=NODE, policies=(web,), known=(owner,)), ())

    assert teller.logged(syn(sport=2))[0].src.name == "all"
    assert teller.log.hits() == {("NetworkPolicy", "production", "web"): (2, 0, 0)}


def test_many_of_several_kinds_are_told_once_each_in_whole_lines():
    teller = knowing_both()
    hook, failsafe, protocol, (first,) = syn()
    packets = [(*first[:3], port, dport) for port in range(1000, 1020) for dport in (6379, 81)]
    single = [event for packet in packets for event in knowing_both().logged((hook, failsafe, protocol, [packet]))]

    (piece,) = teller.log.begun([(hook, failsafe, protocol, [*packets, *packets])], deque(), T0)

    assert piece.lines == piece.count(b"\n") == 40
    assert values(lines_of([piece])) == single
    assert teller.log.hits() == {
        ("NetworkPolicy", "production", "web"): (20, 0, 0),
        ("NetworkPolicy", "production", "other"): (20, 0, 0),
    }


def test_many_alike_are_told_as_each_by_itself_would_be_and_none_a_second_time():
    hook, failsafe, protocol, (first,) = syn()
    ports = [1024, 5, 60_001, 70, *range(2000, 2036)]
    alike = Alike(hook, failsafe, protocol, first[1], first[2], first[4], ports)
    again = alike._replace(sports=[*ports[:3], 71])
    teller, each = knowing_both(), knowing_both()

    (piece,) = teller.log.begun([alike], deque(), T0)
    (more,) = teller.log.begun([again], deque(), T0)

    single = [event for port in (*ports, 71) for event in each.logged(syn(sport=port))]
    assert (piece.lines, more.lines) == (40, 1)
    assert values(lines_of([piece, more])) == single
    assert teller.log.hits() == each.log.hits()


def knowing_both() -> Teller:
    return knowing(packet(allow()), packet(allow(rule("other")), dport=81))


def test_an_end_whose_beginning_may_still_be_on_its_way_waits_for_it_and_no_longer():
    teller = knowing(packet(allow()))
    ends = deque(map(ended, (flow(0.9, 0.97), flow(0.9, 0.98, mark=0), flow(0.5, 0.94, mark=0))))
    ends = deque(sorted(ends, key=lambda end: end.stop_ns))

    assert lines_of(teller.log.begun([syn(sport=7)], ends, T0 + SECOND - 1)) != []
    assert [end.stop_ns - T0 for end in ends] == [97 * SECOND // 100, 98 * SECOND // 100]
    assert names(values(teller.log.ended(ends, T0 + SECOND, T0 + SECOND))) == []
    assert names(teller.logged(syn(), at=1.005)) == ["connection.allowed"]
    (closed,) = values(teller.log.ended(ends, T0 + SECOND + 1, T0 + SECOND))
    assert (closed.src_port, closed.policy) == (40001, rule())
    assert len(ends) == 1
    assert teller.log.ended(ends, T0 + 2 * SECOND, T0 + 2 * SECOND) == []  # it was not ours
    assert not ends


@pytest.mark.parametrize(
    ("before", "now", "earlier"),
    [
        (1.95, 2.05, 6),  # the kernel held them back for 10 ms: they began between 1.94 and 2.04
        (1.98, 2.005, 10),
        (2.02, 2.12, 0),
        (1.0, 2.005, 10),  # after a pause the first look is at once
        (1.0, 2.05, 0),
        (3.0, 2.5, 0),  # the clock was set back
    ],
)
def test_what_began_before_this_second_is_named_by_the_second_before(before, now, earlier):
    teller = knowing(packet(allow()))
    teller.logged(at=before)

    told = teller.logged(*(syn(sport=n) for n in range(10)), at=now)

    assert [event.time < f"2026-09-21T14:13:{20 + int(now)}" for event in told] == [n < earlier for n in range(10)]
    assert [told[n].flow_id for n in (0, 9)] == [
        teller.log._names.name((packed(CLIENT), packed(SERVER), n, 6379, TCP), int(T0 // SECOND + now) - (n < earlier))
        for n in (0, 9)
    ]
