"""contract.md, "How many": packets in, events out."""

from collections import deque

import msgspec
import pytest

from calicod.daemon.beginnings import Known
from calicod.daemon.folding import LOG_LIMIT, WINDOW_NS
from calicod.model.decision import Decision, EndpointReference, Pending
from calicod.model.event import ConnectionAllowed, EventsLost, Hits, Party, PolicyApplied, QueueDropped
from calicod.model.hook import Hook
from calicod.model.record import Batch, Record
from calicod.model.verdict import Reason, Verdict
from calicod.netfilter.endings import ended
from calicod.ruleset.program import CompiledPolicy, RuleSet
from tests.unit.daemon.telling import (
    CLIENT,
    HOST,
    ICMPV6,
    NODE,
    SECOND,
    SERVER,
    STAMPED,
    T0,
    UDP,
    Teller,
    allow,
    deny,
    flow,
    known,
    names,
    packed,
    packet,
    ping,
    rule,
    values,
)

WINDOW = WINDOW_NS / SECOND


def again(record: Record, at: float, **fields: object) -> Record:
    return msgspec.structs.replace(record, time_ns=T0 + int(at * SECOND), **fields)


# A new connection


def test_a_new_connection_is_told_once_with_everything_the_decision_knew():
    teller = Teller(known("WorkloadEndpoint", "production", "red-0", "10.65.0.2/32", color="red"))
    pending = Pending(Verdict.DROP, ("0|default|snp:production/web|deny|0",))

    told = teller.judged(packet(allow(pending=pending), 0.25), revision=7)

    assert told == [
        ConnectionAllowed(
            time="2026-09-21T14:13:20.250000Z",
            node=NODE,
            revision=7,
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
            dst=Party("WorkloadEndpoint", "production", "red-0", {"color": "red"}),
            policy=rule(),
            policies=Hits(("0|default|np:production/web|allow|0",), ("0|default|snp:production/web|deny|0",)),
            count=1,
            flow_id=told[0].flow_id,
        )
    ]
    assert len(told[0].flow_id) == 16


def test_packets_that_come_before_the_first_ones_stamp_are_the_same_connection():
    first = packet(allow(), protocol=UDP)

    assert names(Teller().judged(first, again(first, 0.001), again(first, 0.9))) == ["connection.allowed"]


def test_the_same_ports_later_are_a_new_connection_with_an_id_of_its_own():
    teller = Teller()

    told = teller.judged(packet(allow()), packet(allow(), 30.0))

    assert names(told) == ["connection.allowed"] * 2
    assert told[0].flow_id != told[1].flow_id


def test_the_same_ports_at_once_are_a_new_connection_when_the_first_has_ended():
    teller = Teller()
    teller.judged(packet(allow()))
    teller.ended(flow(0.0, 0.1))

    assert names(teller.judged(packet(allow(), 0.2))) == ["connection.allowed"]


def test_an_end_is_told_before_the_records_that_come_after_it_and_a_later_one_is_left():
    teller = Teller()
    teller.judged(packet(allow()))
    ends = deque(ended(flow(0, at)) for at in (0.5, 0.8))
    batch = Batch(0, 1, (packet(allow(), 0.4, sport=2), packet(allow(), 0.6)))

    told = values(teller.log.records(batch, ends, T0))

    assert names(told) == ["connection.allowed", "connection.closed", "connection.allowed"]
    assert [event.src_port for event in told] == [2, 40001, 40001]
    assert [end.stop_ns for end in ends] == [T0 + int(0.8 * SECOND)]


@pytest.mark.parametrize("decision", [allow(), deny()], ids=["allowed", "refused"])
def test_two_pings_are_two_connections_and_their_packets_are_not(decision):
    told = Teller().judged(
        ping(decision, 0.0, icmp_id=1),
        ping(decision, 0.1, icmp_id=2),
        ping(decision, 0.2, icmp_id=1, known=decision.verdict is Verdict.ACCEPT),
    )

    assert len(told) == 2
    assert (told[0].icmp_type, told[0].icmp_code, told[0].src_port) == (8, 0, None)
    assert told[0].flow_id != told[1].flow_id


def test_icmp_that_conntrack_does_not_track_is_folded():
    teller = Teller()
    solicitation = packet(allow(), protocol=ICMPV6, src="fe80::1", dst="ff02::2", sport=-1, dport=-1, icmp_type=133)

    told = teller.judged(solicitation, again(solicitation, 5.0), again(solicitation, 50.0))

    assert names(told) == ["connection.allowed"]
    assert [event.count for event in teller.tick(WINDOW)] == [3]


def test_a_packet_of_which_nothing_could_be_read_has_an_event_too():
    malformed = deny(reason=Reason.MALFORMED, policy=None, endpoint=None, trace=())

    told = Teller().judged(
        msgspec.structs.replace(packet(malformed, sport=-1, dport=-1), protocol=-1, src=b"", dst=b"")
    )

    assert names(told) == ["connection.denied"]
    assert (told[0].reason, told[0].protocol, told[0].src_ip, told[0].src) == (Reason.MALFORMED, None, None, None)


# A refused one


def test_retransmissions_of_a_refused_connection_give_one_event_and_a_summary():
    teller = Teller()
    syn = packet(deny())

    told = teller.judged(syn, *(again(syn, at) for at in (1, 3, 7, 15, 31)))

    assert names(told) == ["connection.denied"]
    assert told[0].count == 1
    assert teller.tick(59.9) == []
    (summary,) = teller.tick(WINDOW)
    assert summary == msgspec.structs.replace(told[0], count=6, time="2026-09-21T14:13:51.000000Z")
    assert teller.tick(200) == []


def test_packets_that_the_kernel_refused_by_itself_are_told_as_a_count():
    teller = Teller()
    refused = packet(deny(rule()))
    (told,) = teller.judged(refused, revision=4)

    (event,) = values(teller.log.repeated(refused, 5000, refused.time_ns + 2_000_000_000))

    assert (event.count, event.src_port, event.flow_id, event.time > told.time) == (5000, None, None, True)
    same = {"count": 0, "src_port": None, "flow_id": None, "time": ""}
    assert msgspec.structs.replace(event, **same) == msgspec.structs.replace(told, **same)


def test_a_refused_connection_that_is_not_tried_again_has_no_summary():
    teller = Teller()
    teller.judged(packet(deny()))

    assert teller.tick(WINDOW + 1) == []


def test_after_the_window_the_same_refusal_is_told_again():
    teller = Teller()
    syn = packet(deny())
    teller.judged(syn, again(syn, 31))

    told = teller.judged(again(syn, 63))

    assert [event.count for event in (*told, *teller.tick(63))] == [1, 2]


@pytest.mark.parametrize(
    "other",
    [
        packet(deny(), 1, sport=40002),
        packet(deny(), 1, dport=80),
        packet(deny(), 1, src="203.0.113.10"),
        packet(deny(), 1, dst="10.65.0.3"),
        packet(deny(), 1, protocol=UDP),
        packet(deny(rule("web", 1)), 1),
        packet(deny(rule("db", -1)), 1),
        packet(deny(reason=Reason.PROFILE), 1),
    ],
    ids=["source port", "port", "source", "destination", "protocol", "rule", "policy", "reason"],
)
def test_another_five_tuple_or_another_rule_is_another_event(other):
    assert names(Teller().judged(packet(deny()), other)) == ["connection.denied"] * 2


def test_a_rule_that_only_moved_in_its_file_is_the_same_rule():
    assert len(Teller().judged(packet(deny(rule(line=14))), packet(deny(rule(line=99)), 1))) == 1


def test_a_clock_that_is_set_back_ends_the_windows_and_loses_no_count():
    teller = Teller()
    syn = packet(deny())

    told = teller.judged(syn, again(syn, 1), again(syn, -3600)) + teller.close()

    assert sorted(event.count for event in told) == [1, 1, 2]


# Judged again


def test_a_flow_judged_again_by_the_same_rule_is_not_told():
    teller = Teller()
    teller.judged(packet(allow()))

    assert teller.judged(packet(allow(rule(line=20)), 5, known=True), revision=2) == []


def test_a_flow_judged_again_by_another_rule_is_told_under_its_id():
    teller = Teller()
    (before,) = teller.judged(packet(allow()))

    (now,) = teller.judged(packet(allow(rule("db")), 5, known=True), revision=2)

    assert names([now]) == ["connection.allowed"]
    assert (now.flow_id, now.policy.name, now.revision) == (before.flow_id, "db", 2)


def test_a_flow_that_is_now_refused_is_cut_once_and_names_both_rules():
    teller = Teller()
    (before,) = teller.judged(packet(allow()))
    refused = packet(deny(), 5, known=True)

    told = teller.judged(refused, again(refused, 6), again(refused, 7, reply=True), revision=2)

    assert names(told) == ["connection.cut"]
    assert (told[0].flow_id, told[0].policy, told[0].old_policy) == (before.flow_id, rule("web", -1), rule())
    (summary,) = teller.tick(5 + WINDOW)
    assert (names([summary]), summary.count, summary.flow_id) == (["connection.denied"], 3, before.flow_id)


def test_a_cut_flow_that_is_allowed_again_is_told_again():
    teller = Teller()
    (before,) = teller.judged(packet(allow()))
    teller.judged(packet(deny(), 5, known=True))

    told = teller.judged(packet(allow(), 6, known=True))

    assert names(told) == ["connection.allowed"]
    assert told[0].flow_id == before.flow_id


def test_a_cut_flow_that_another_rule_refuses_now_is_not_cut_again():
    teller = Teller()
    teller.judged(packet(allow()), packet(deny(), 5, known=True))

    assert names(teller.judged(packet(deny(rule("db", -1)), 6, known=True))) == ["connection.denied"]


def test_a_flow_that_was_never_allowed_is_not_cut():
    teller = Teller()
    syn = packet(deny())

    assert names(teller.judged(syn, again(syn, 1), packet(deny(rule("db", -1)), 2))) == ["connection.denied"] * 2


def test_a_flow_of_which_nothing_is_remembered_is_cut_without_id_and_old_rule():
    (cut,) = Teller().judged(packet(deny(), known=True))

    assert (names([cut]), cut.flow_id, cut.old_policy) == (["connection.cut"], None, None)


def test_a_successor_that_saw_the_live_flows_cuts_them_under_their_id():
    (before,) = Teller().judged(packet(allow(), 0.9))
    successor = Teller()
    successor.log.seed([flow(0.95), flow(0.95, mark=0), flow(0.0, start_ns=0)])

    assert successor.judged(packet(allow(), 5, known=True)) == []
    (cut,) = successor.judged(packet(deny(), 6, known=True))

    assert (names([cut]), cut.flow_id) == (["connection.cut"], before.flow_id)


def test_a_successor_tells_what_was_judged_while_nobody_was_alive_though_a_dump_showed_it():
    successor = Teller()
    successor.log.seed([flow(0.95)])

    told = successor.judged(packet(allow(), 0.9), packet(allow(), 1.1))

    assert names(told) == ["connection.allowed"]


def test_a_successor_tells_what_the_kernel_allowed_while_nobody_was_alive():
    (judged,) = Teller().judged(packet(allow(), 0.9))
    successor, record = Teller(), packet(allow())
    successor.log.seed([flow(0.95)])
    successor.log.know([Known(record, 1)])
    logged = (record.hook, False, record.protocol, [(0, record.src, record.dst, record.sport, record.dport)])

    lines = successor.log.begun([logged], deque(), T0 + 5 * SECOND)

    (told,) = (msgspec.json.decode(line, type=ConnectionAllowed) for line in lines)
    assert (told.flow_id, told.policy) == (judged.flow_id, judged.policy)


# ICMP errors and second passages


def test_an_icmp_error_of_an_allowed_flow_is_no_connection():
    assert Teller().judged(packet(allow(), quoted=True)) == []


def test_a_refused_icmp_error_is_told_as_its_flow_once():
    quoted = packet(deny(), quoted=True)

    assert names(Teller().judged(quoted, again(quoted, 1))) == ["connection.denied"]


def test_a_second_passage_is_told_and_compared_with_itself_only():
    teller = Teller()
    there = {"in_interface": "caliw1", "out_interface": "caliw2"}
    first, second = packet(allow()), packet(allow(rule("db")), 0.001, **there)

    told = teller.judged(first, second)

    assert names(told) == ["connection.allowed"] * 2
    assert told[0].flow_id == told[1].flow_id
    assert teller.judged(again(first, 5, known=True), again(second, 5, known=True)) == []
    assert names(teller.judged(packet(deny(), 6, known=True, **there), again(first, 6, known=True))) == [
        "connection.cut"
    ]


def test_the_second_passage_of_a_later_flow_of_the_same_ports_is_told_too():
    teller = Teller()
    passages = packet(allow()), packet(allow(), 0.001, in_interface="caliw1", out_interface="caliw2")
    teller.judged(*passages)
    teller.ended(flow(0.0, 10.0))

    assert len(teller.judged(again(passages[0], 20), again(passages[1], 20.001))) == 2


# Log rules


def test_a_log_rule_is_told_beside_the_decision_that_names_another():
    decision = allow(logged=(rule("audit", 3),))

    logged, allowed = Teller().judged(packet(decision))

    assert names([logged, allowed]) == ["rule.logged", "connection.allowed"]
    assert (logged.policy, logged.verdict, logged.suppressed) == (rule("audit", 3), "allow", 0)
    assert (logged.flow_id, allowed.policy) == (allowed.flow_id, rule())


def test_what_a_log_rule_has_too_much_in_a_second_is_counted():
    teller = Teller()
    noisy = packet(deny(logged=(rule("audit", 3),)))

    told = teller.judged(*(again(noisy, number / 1000) for number in range(LOG_LIMIT + 50)))
    told += teller.tick(1.5)

    logged = [event for event in told if names([event]) == ["rule.logged"]]
    assert len(logged) == LOG_LIMIT + 1
    assert len(logged) + sum(event.suppressed for event in logged) == LOG_LIMIT + 50


# Counters, losses, other events


def test_hits_count_flows_and_logged_packets_and_forget_policies_that_are_gone():
    teller = Teller()
    first, refused = packet(allow(logged=(rule("audit"),))), packet(deny(), sport=1)
    teller.judged(first, again(first, 0.1), refused, again(refused, 1))
    kept = CompiledPolicy(kind="NetworkPolicy", tier="default", namespace="production", name="web")

    assert teller.log.hits() == {
        ("NetworkPolicy", "production", "web"): (1, 1, 0),
        ("NetworkPolicy", "production", "audit"): (0, 0, 2),
    }
    teller.log.adopt(RuleSet(node=NODE, policies=(kept,)), ())
    assert list(teller.log.hits()) == [("NetworkPolicy", "production", "web")]


def test_what_was_lost_is_told_at_once_and_then_at_most_each_ten_seconds():
    teller = Teller()
    teller.judged(lost=3)

    assert teller.tick(1) == [
        EventsLost(
            time="2026-09-21T14:13:21.000000Z",
            node=NODE,
            where="worker",
            count=3,
            reason="the buffer to the supervisor was full",
        )
    ]
    teller.judged(lost=2)
    teller.judged(lost=2)
    assert teller.tick(2) == []
    assert [event.count for event in teller.tick(11)] == [4]
    teller.judged(lost=1)
    assert [event.count for event in teller.close(12)] == [1]


def test_memory_is_bounded_and_what_is_forgotten_is_told():
    teller = Teller(flow_limit=100)

    told = teller.judged(*(packet(allow(), sport=port) for port in range(1000)))
    (lost,) = teller.tick(1)

    assert len(told) == 1000
    assert len(teller.log._history._flows) <= 100
    assert (lost.where, lost.count) == ("flow-memory", 1000 - len(teller.log._history._flows))


def test_any_other_event_gets_time_and_node():
    (told,) = Teller().log.tell(QueueDropped(queue=5200, reason="queue-full", count=2), T0)

    assert told == (
        b'{"event":"queue.dropped","version":1,"time":"2026-09-21T14:13:20.000000Z","node":"n1","queue":5200,'
        b'"reason":"queue-full","count":2}\n'
    )


def test_the_end_of_a_connection_is_told_with_the_revision_in_force():
    teller = Teller()
    teller.log.tell(PolicyApplied(revision=9, generation=2, resources=1, endpoints=1, rejudged=True, took_ms=1.0), T0)

    (closed,) = teller.ended(flow(0, 5, mark=STAMPED))

    assert closed.revision == 9


def test_addresses_are_told_by_the_ruleset_that_was_adopted_last():
    teller = Teller(known("WorkloadEndpoint", "production", "old", SERVER))
    (before,) = teller.judged(packet(allow()))
    teller.adopt(known("WorkloadEndpoint", "production", "new", SERVER))

    (after,) = teller.judged(packet(allow(), sport=2))

    assert (before.dst.name, after.dst.name) == ("old", "new")


# Content


EVIL = 'x","verdict":"allow"}\n{"event":"connection.allowed"\r\x00\x1b[2J\u2028\ud800\\'


def test_nothing_in_names_labels_or_files_breaks_out_of_its_string():
    by = msgspec.structs.replace(rule(EVIL.replace("\ud800", "")), file=EVIL.replace("\ud800", ""))
    teller = Teller(known("WorkloadEndpoint", EVIL, EVIL, SERVER, **{EVIL: EVIL}))

    (told,) = teller.judged(packet(deny(by), in_interface=EVIL.replace("\ud800", "")))

    assert told.verdict == "deny"
    assert told.policy == by
    assert told.dst.name == EVIL.replace("\ud800", "\\ud800")


def test_the_host_endpoint_that_judged_owns_this_hosts_address():
    host = EndpointReference("HostEndpoint", "", "n1-all")
    teller = Teller(known("HostEndpoint", "", "n1-all", role="node"))

    (told,) = teller.judged(packet(allow(endpoint=host), dst=HOST, hook=Hook.INPUT, out_interface=""))

    assert told.dst == Party("HostEndpoint", "", "n1-all", {"role": "node"})
    assert told.out_interface is None
    assert packed(told.dst_ip) == packed(HOST)


def test_of_early_hooks_only_refusals_and_logs_are_told():
    early = {"hook": Hook.RAW_PREROUTING, "out_interface": "", "untracked": True}
    told = Teller().judged(packet(allow(logged=(rule("log"),)), **early), packet(deny(), 1, **early))

    assert names(told) == ["rule.logged", "connection.denied"]


def test_packets_without_a_connection_are_one_event_and_a_count_and_logged_once():
    teller = Teller()
    packets = [packet(allow(logged=(rule("log"),)), at, untracked=True, hook=Hook.INPUT) for at in (0, 2, 20)]

    assert names(teller.judged(*packets)) == ["connection.allowed"]


def test_what_nobody_had_to_judge_after_a_prednat_rule_is_told_as_that_rule_allowed():
    early = packet(allow(rule("before")), hook=Hook.PREROUTING, out_interface="")
    spared = packet(Decision(verdict=Verdict.ACCEPT, reason=Reason.NO_ENDPOINT), 0.001, hook=Hook.INPUT)
    (told,) = Teller().judged(early, spared)

    assert (told.hook, told.reason, told.policy) == (Hook.PREROUTING, Reason.RULE, rule("before"))
