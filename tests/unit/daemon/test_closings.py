import msgspec
import pytest

from calicod.model.event import ConnectionClosed, Hits, Party
from calicod.model.hook import Hook
from calicod.model.verdict import Reason
from calicod.netfilter.flow import FlowTuple
from tests.unit.daemon.telling import (
    CLIENT,
    FAILSAFE,
    HOST,
    ICMP,
    NODE,
    SERVER,
    STAMPED,
    TCP,
    UDP,
    Teller,
    allow,
    deny,
    flow,
    names,
    packed,
    packet,
    ping,
    rule,
)


def between(src: str, dst: str, dport: int = 22) -> dict[str, FlowTuple]:
    return {
        "original": FlowTuple(TCP, packed(src), packed(dst), 40001, dport),
        "reply": FlowTuple(TCP, packed(dst), packed(src), dport, 40001),
    }


# The end of a connection


def test_the_end_is_told_with_duration_and_counters_under_the_flows_id():
    teller = Teller()
    (began,) = teller.judged(packet(allow(), 0.25))

    told = teller.ended(flow(0.3, 12.8))

    assert told == [
        ConnectionClosed(
            time="2026-09-21T14:13:32.800000Z",
            node=NODE,
            revision=1,
            verdict="allow",
            reason=Reason.RULE,
            hook=Hook.FORWARD,
            in_interface="eth0",
            out_interface="caliw1",
            protocol="tcp",
            src_ip=CLIENT,
            src_port=40001,
            dst_ip=SERVER,
            dst_port=6379,
            icmp_type=None,
            icmp_code=None,
            reporter="dst",
            src=Party("Network", "", "pub"),
            dst=Party("Network", "", "pvt"),
            policy=rule(),
            policies=Hits(("0|default|np:production/web|allow|0",)),
            count=1,
            flow_id=began.flow_id,
            duration_ms=12500.0,
            packets_to_dst=5,
            bytes_to_dst=500,
            packets_to_src=4,
            bytes_to_src=4000,
        )
    ]


def test_without_accounting_and_timestamps_the_figures_are_null():
    teller = Teller()
    teller.judged(packet(allow()))

    bare = {"packets": -1, "bytes": -1, "reply_packets": -1, "reply_bytes": -1, "start_ns": 0, "stop_ns": 0}
    (closed,) = teller.ended(flow(**bare), at=9)

    assert closed.time == "2026-09-21T14:13:29.000000Z"
    assert (closed.duration_ms, closed.packets_to_dst, closed.bytes_to_src) == (None, None, None)


def test_a_cut_flow_ends_with_the_rule_that_cut_it():
    teller = Teller()
    (began,) = teller.judged(packet(allow()))
    teller.judged(packet(deny(), 5, known=True))

    (closed,) = teller.ended(flow(0, 100))

    assert (closed.verdict, closed.policy, closed.flow_id) == ("deny", rule("web", -1), began.flow_id)


def test_nothing_is_told_of_connections_that_nobody_judged():
    assert Teller().ended(flow(0, 5, mark=0), flow(0, 5, mark=0x4000)) == []


def test_a_connection_that_was_told_is_told_to_its_end_whatever_became_of_its_mark():
    teller = Teller()
    teller.judged(packet(allow()))

    assert names(teller.ended(flow(0, 5, mark=0))) == ["connection.closed"]


def test_a_stamped_connection_that_is_not_remembered_is_told_without_its_rule():
    (closed,) = Teller().ended(flow(0.3, 5))
    (began,) = Teller().judged(packet(allow(), 0.2))

    assert (closed.reason, closed.policy, closed.hook, closed.reporter) == (None, None, None, None)
    assert closed.flow_id == began.flow_id


def test_the_end_of_an_earlier_connection_of_the_same_ports_does_not_end_the_later_one():
    teller = Teller()
    teller.judged(packet(allow()))
    (later,) = teller.judged(packet(allow(rule("db")), 120.0))

    (first,) = teller.ended(flow(0.0, 119.9))
    (second,) = teller.ended(flow(120.0, 130.0))

    assert first.flow_id != later.flow_id == second.flow_id
    assert second.policy == rule("db")


@pytest.mark.parametrize("how", ["DNAT", "masquerade", "both"])
def test_the_id_survives_nat(how):
    service, router = "198.51.100.1", "198.51.100.2"
    original = FlowTuple(TCP, packed(CLIENT), packed(SERVER if how == "masquerade" else service), 40001, 80)
    reply = FlowTuple(TCP, packed(SERVER), packed(CLIENT if how == "DNAT" else router), 6379, 61000)
    teller = Teller()
    (began,) = teller.judged(packet(allow()))

    (closed,) = teller.ended(flow(0, 5, original=original, reply=reply))

    assert closed.flow_id == began.flow_id
    assert (closed.src_ip, closed.src_port, closed.dst_ip, closed.dst_port) == (CLIENT, 40001, SERVER, 6379)


def test_of_two_pings_each_ends_under_its_own_id():
    def pinged(number: int) -> dict[str, FlowTuple]:
        echo = FlowTuple(ICMP, packed(CLIENT), packed(SERVER), -1, -1, number, 8, 0)
        return {"original": echo, "reply": FlowTuple(ICMP, packed(SERVER), packed(CLIENT), -1, -1, number, 0, 0)}

    teller = Teller()
    began = teller.judged(ping(allow(), icmp_id=1), ping(allow(rule("db")), icmp_id=2))

    ended = teller.ended(flow(0, 30, **pinged(2)), flow(0, 31, **pinged(1)))

    assert [event.flow_id for event in ended] == [began[1].flow_id, began[0].flow_id]
    assert [event.policy.name for event in ended] == ["db", "web"]
    assert (ended[0].icmp_type, ended[0].src_port) == (8, None)


# Failsafes


@pytest.mark.parametrize(
    ("ends", "hook", "reporter"),
    [
        (between(CLIENT, HOST), Hook.INPUT, "dst"),
        (between(HOST, CLIENT), Hook.OUTPUT, "src"),
        (between(CLIENT, SERVER), None, None),
    ],
    ids=["to this host", "from this host", "neither"],
)
def test_a_connection_that_a_failsafe_let_pass_is_told_from_conntrack(ends, hook, reporter):
    (told,) = Teller().began(flow(mark=FAILSAFE, start_ns=0, **ends), at=3)

    assert names([told]) == ["connection.allowed"]
    assert (told.reason, told.policy, told.verdict) == (Reason.FAILSAFE, None, "allow")
    assert (told.hook, told.reporter, told.in_interface) == (hook, reporter, None)
    assert told.time == "2026-09-21T14:13:23.000000Z"


def test_a_failsafe_connection_ends_under_the_id_it_began_with():
    teller = Teller()
    ends = between(CLIENT, HOST)
    (began,) = teller.began(flow(mark=FAILSAFE, start_ns=0, **ends), at=3)

    (closed,) = teller.ended(flow(2.9, 60, mark=FAILSAFE, **ends))

    assert (closed.flow_id, closed.reason, closed.hook) == (began.flow_id, Reason.FAILSAFE, Hook.INPUT)


def test_a_failsafe_connection_that_a_former_supervisor_told_keeps_reason_and_id():
    ends = between(CLIENT, HOST)
    (began,) = Teller().began(flow(mark=FAILSAFE, start_ns=0, **ends), at=3)
    successor = Teller()
    successor.log.seed([flow(3, mark=FAILSAFE, **ends)])

    (closed,) = successor.ended(flow(3, 60, mark=FAILSAFE, **ends))

    assert (closed.flow_id, closed.reason) == (began.flow_id, Reason.FAILSAFE)


@pytest.mark.parametrize("mark", [STAMPED, 0, 0x4000], ids=["judged", "unmanaged", "foreign"])
def test_other_new_connections_are_not_told_from_conntrack(mark):
    assert Teller().began(flow(mark=mark)) == []


def test_an_end_of_another_protocol_is_no_end():
    teller = Teller()
    teller.judged(packet(allow()))
    other = {side: msgspec.structs.replace(each, protocol=UDP) for side, each in between(CLIENT, SERVER, 6379).items()}

    assert teller.ended(flow(0, 5, mark=0, **other)) == []
    assert len(teller.ended(flow(0, 5))) == 1
