import socket
import struct

import msgspec
import pytest

from calicod.daemon.judge import Judge
from calicod.daemon.rejection import Rejection
from calicod.daemon.totals import Totals
from calicod.engine.bitmap import BitmapEngine, Decide
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.marks import layout
from calicod.model.record import Record
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet
from calicod.ruleset.enforcement import Enforcement
from tests.unit.compiler.build import entity, host, policy, ruleset, tcp_rule, workload
from tests.unit.packet.raw import TCP_SEGMENT, v6

MARKS = layout()
ETH0, CALI = 2, 3
INTERFACES = (Interface(ETH0, "eth0", (bytes([192, 0, 2, 1]),)), Interface(CALI, "caliw"), Interface(0, "nowhere"))
INPUT, FORWARD, OUTPUT = 1, 2, 3
CLIENT, WORKLOAD, NODE = "192.0.2.10", "10.65.0.2", "192.0.2.1"
WEB = policy("web", selector="has(web)", ingress=(tcp_rule(destination=entity(ports=(80,))),))
RULES = ruleset(workload(labels={"web": ""}), host(labels={"web": ""}), WEB)


class Bench:
    """A judge with what it told."""

    def __init__(self, *, fail_open: bool = False, rejects: bool = False) -> None:
        self.records: list[Record] = []
        self.totals = Totals()
        enforcement = Enforcement(revision=7, ruleset=RULES, interfaces=INTERFACES)
        rejection = Rejection(rejects=rejects)
        self.judge = Judge(
            enforcement,
            self.totals,
            self.records.append,
            marks=MARKS,
            fail_open=fail_open,
            rejection=rejection,
            picked=MARKS.picked,
        )

    def told(self) -> tuple[Record, Decision]:
        """The only record, and its decision."""
        (record,) = self.records
        return record, msgspec.msgpack.decode(record.decision, type=Decision)


def ipv4(src: str, dst: str, protocol: int, body: bytes, fragment: int = 0) -> bytes:
    total = 20 + len(body)
    head = struct.pack("!BBHHHBBH", 0x45, 0, total, 1, fragment, 64, protocol, 0)
    return head + socket.inet_aton(src) + socket.inet_aton(dst) + body


def tcp(src: str, dst: str, sport: int, dport: int) -> bytes:
    return ipv4(src, dst, 6, struct.pack("!HHIIBBHHH", sport, dport, 0, 0, 0x50, 2, 0, 0, 0))


def unreachable(src: str, dst: str, quoted: bytes) -> bytes:
    return ipv4(src, dst, 1, struct.pack("!BBHI", 3, 1, 0, 0) + quoted)


# What is decided, and what is told of it


def test_a_packet_gets_the_verdict_of_policy_and_a_record_that_says_all():
    bench = Bench()

    verdict = bench.judge.original(tcp(CLIENT, WORKLOAD, 40001, 80), MARKS.known | 1, FORWARD, ETH0, CALI)

    record, decision = bench.told()
    assert verdict is Verdict.ACCEPT
    assert (decision.reason, decision.policy.name, decision.policy.rule) == (Reason.RULE, "web", 0)
    assert msgspec.structs.replace(record, time_ns=0, decision=b"") == Record(
        0,
        b"",
        Hook.FORWARD,
        "eth0",
        "caliw",
        6,
        socket.inet_aton(CLIENT),
        socket.inet_aton(WORKLOAD),
        40001,
        80,
        -1,
        -1,
        known=True,
        reply=False,
        quoted=False,
    )


def test_what_policy_does_not_allow_is_dropped_and_counted():
    bench = Bench()

    assert bench.judge.original(tcp(CLIENT, WORKLOAD, 40001, 81), 0, FORWARD, ETH0, CALI) is Verdict.DROP
    assert bench.told()[1].reason is Reason.END_OF_TIER
    assert (bench.totals.judged, bench.totals.denied, bench.totals.malformed) == (1, 1, 0)
    assert not bench.records[0].known


def test_a_refusal_is_answered_where_that_is_wanted_and_told_as_before():
    bench = Bench(rejects=True)

    verdict = bench.judge.original(tcp(CLIENT, WORKLOAD, 40001, 81), 0, FORWARD, ETH0, CALI)

    _, decision = bench.told()
    assert (verdict, decision.verdict, bench.totals.denied) == (Verdict.REJECT, Verdict.DROP, 1)


def test_an_error_is_never_answered():
    bench = Bench(rejects=True)
    quoted = tcp(WORKLOAD, CLIENT, 40001, 81)

    assert bench.judge.original(unreachable(CLIENT, WORKLOAD, quoted), 0, FORWARD, ETH0, CALI) is Verdict.DROP


@pytest.mark.parametrize(
    ("sport", "dport", "allowed"),
    [(80, 50000, True), (81, 50000, False), (33333, 50000, False)],
    ids=["answers-what-is-allowed", "answers-what-is-refused", "open"],
)
def test_what_conntrack_met_in_the_middle_is_judged_by_who_called(sport, dport, allowed):
    bench = Bench()
    answer = tcp(WORKLOAD, CLIENT, sport, dport)

    verdict = bench.judge.original(answer, MARKS.picked, FORWARD, CALI, ETH0)

    record, decision = bench.told()
    assert (verdict, decision.verdict is Verdict.ACCEPT) == (Verdict.DROP, allowed)
    assert (record.sport, record.dport, record.in_interface, record.reply) == (dport, sport, "eth0", True)


def test_a_reply_is_judged_and_told_as_the_flow_that_it_answers():
    bench = Bench()

    verdict = bench.judge.reply(tcp(WORKLOAD, CLIENT, 80, 40001), 0, FORWARD, CALI, ETH0)

    record, _ = bench.told()
    assert verdict is Verdict.ACCEPT
    assert (record.in_interface, record.out_interface, record.sport, record.dport) == ("eth0", "caliw", 40001, 80)
    assert record.reply


def test_the_reply_of_a_connection_to_the_host_leaves_by_output_and_is_judged_as_input():
    bench = Bench()

    assert bench.judge.reply(tcp(NODE, CLIENT, 80, 40001), 0, OUTPUT, 0, ETH0) is Verdict.ACCEPT
    assert bench.judge.original(tcp(NODE, CLIENT, 80, 40001), 0, OUTPUT, 0, ETH0) is Verdict.DROP
    assert [record.hook for record in bench.records] == [Hook.INPUT, Hook.OUTPUT]


def test_one_decision_is_encoded_once_for_all_its_packets():
    bench = Bench()
    for port in (40001, 40002):
        bench.judge.original(tcp(CLIENT, WORKLOAD, port, 80), 0, FORWARD, ETH0, CALI)

    assert bench.records[0].decision is bench.records[1].decision


# Where it cannot be


@pytest.mark.parametrize("indexes", [(ETH0, 99), (99, CALI)])
def test_an_interface_that_is_not_known_yet_lets_nothing_through(indexes):
    bench = Bench()

    assert bench.judge.original(tcp(CLIENT, WORKLOAD, 40001, 80), 0, FORWARD, *indexes) is Verdict.DROP
    record, decision = bench.told()
    assert decision.reason is Reason.UNKNOWN_INTERFACE
    assert "#99" in {record.in_interface, record.out_interface}


@pytest.mark.parametrize("hook", [5, 6, -1])
def test_a_hook_that_there_is_not_lets_nothing_through(hook):
    bench = Bench()

    assert bench.judge.original(tcp(CLIENT, NODE, 40001, 80), 0, hook, ETH0, 0) is Verdict.DROP


# ICMP errors


def test_an_error_in_answer_is_judged_as_the_flow_that_it_quotes():
    bench = Bench()
    flow = tcp(CLIENT, WORKLOAD, 40001, 80)

    assert bench.judge.reply(unreachable(WORKLOAD, CLIENT, flow), 0, FORWARD, CALI, ETH0) is Verdict.ACCEPT
    record, _ = bench.told()
    assert record.quoted
    assert (record.protocol, record.sport, record.dport, record.in_interface) == (6, 40001, 80, "eth0")


def test_an_error_that_quotes_a_refused_flow_is_refused():
    bench = Bench()
    flow = tcp(CLIENT, WORKLOAD, 40001, 81)

    assert bench.judge.reply(unreachable(WORKLOAD, CLIENT, flow), 0, FORWARD, CALI, ETH0) is Verdict.DROP


def test_an_error_of_the_clients_quotes_the_reply_and_is_judged_as_the_flow():
    bench = Bench()
    reply = tcp(WORKLOAD, CLIENT, 80, 40001)

    assert bench.judge.original(unreachable(CLIENT, WORKLOAD, reply), 0, FORWARD, ETH0, CALI) is Verdict.ACCEPT
    assert bench.told()[0].dport == 80


def test_eight_quoted_bytes_of_transport_are_enough():
    bench = Bench()
    flow = tcp(CLIENT, WORKLOAD, 40001, 80)[:28]

    assert bench.judge.reply(unreachable(WORKLOAD, CLIENT, flow), 0, FORWARD, CALI, ETH0) is Verdict.ACCEPT


@pytest.mark.parametrize("queue", ["original", "reply"])
def test_the_identifier_that_tells_two_pings_apart_is_recorded(queue):
    request = ipv4(CLIENT, WORKLOAD, 1, struct.pack("!BBHHH", 8, 0, 0, 4660, 1))
    reply = ipv4(WORKLOAD, CLIENT, 1, struct.pack("!BBHHH", 0, 0, 0, 4660, 1))
    bench = Bench()

    if queue == "original":
        bench.judge.original(request, 0, FORWARD, ETH0, CALI)
        bench.judge.reply(unreachable(WORKLOAD, CLIENT, request), 0, FORWARD, CALI, ETH0)
    else:
        bench.judge.reply(reply, 0, FORWARD, CALI, ETH0)
        bench.judge.original(unreachable(CLIENT, WORKLOAD, reply), 0, FORWARD, ETH0, CALI)

    assert [(r.icmp_type, r.icmp_id, r.quoted) for r in bench.records] == [(8, 4660, False), (8, 4660, True)]


def test_what_is_no_icmp_has_no_identifier():
    bench = Bench()
    bench.judge.original(tcp(CLIENT, WORKLOAD, 40001, 80), 0, FORWARD, ETH0, CALI)
    bench.judge.reply(unreachable(WORKLOAD, CLIENT, tcp(CLIENT, WORKLOAD, 40001, 80)), 0, FORWARD, CALI, ETH0)

    assert [r.icmp_id for r in bench.records] == [-1, -1]


# What cannot be parsed, and what fails


NO_PACKETS = {
    "nothing": b"",
    "no IP version": b"\x00" * 40,
    "a header cut short": tcp(CLIENT, WORKLOAD, 40001, 80)[:19],
    "ports cut off": ipv4(CLIENT, WORKLOAD, 6, b"\x9c\x41"),
    "a header longer than the packet": b"\x4f" + tcp(CLIENT, WORKLOAD, 40001, 80)[1:],
    "an error that quotes nothing": unreachable(WORKLOAD, CLIENT, b""),
    "an error that quotes no packet": unreachable(WORKLOAD, CLIENT, b"\x45\x00\x00"),
    "an error that quotes the other family": unreachable(WORKLOAD, CLIENT, b"\x60" + bytes(60)),
    "an error that goes to another than it quotes": unreachable(WORKLOAD, CLIENT, tcp(WORKLOAD, CLIENT, 80, 40001)),
}


@pytest.mark.parametrize("fail_open", [False, True], ids=["closed", "open"])
@pytest.mark.parametrize("queue", ["original", "reply"])
@pytest.mark.parametrize("payload", NO_PACKETS.values(), ids=NO_PACKETS)
def test_what_cannot_be_parsed_is_dropped_in_every_failure_mode(payload, queue, fail_open):
    bench = Bench(fail_open=fail_open)

    assert getattr(bench.judge, queue)(payload, 0, FORWARD, CALI, ETH0) is Verdict.DROP
    assert bench.told()[1].reason is Reason.MALFORMED
    assert (bench.totals.malformed, bench.totals.denied, bench.totals.failed) == (1, 1, 0)


def test_a_malformed_reply_is_told_with_the_addresses_of_its_flow():
    bench = Bench()

    bench.judge.reply(ipv4(WORKLOAD, CLIENT, 6, b"\x00\x50"), 0, FORWARD, CALI, ETH0)

    record, _ = bench.told()
    assert (record.src, record.dst, record.in_interface) == (
        socket.inet_aton(CLIENT),
        socket.inet_aton(WORKLOAD),
        "eth0",
    )


@pytest.mark.parametrize("queue", ["original", "reply"])
@pytest.mark.parametrize(("hook", "verdict"), [(INPUT, Verdict.DROP), (FORWARD, Verdict.ACCEPT)])
def test_what_this_host_might_read_in_another_way_is_dropped_where_it_arrives(queue, hook, verdict):
    bench = Bench()
    bench.judge.engine = Lax(RULES, INTERFACES)
    bench.judge.original, bench.judge.reply = (bench.judge._decider(reply=reply) for reply in (False, True))
    twofold = v6(60, bytes([6, 0]) + bytes(6) + bytes([6, 1, 0x1E, 12]) + bytes(12) + TCP_SEGMENT)

    assert getattr(bench.judge, queue)(twofold, 0, hook, ETH0, CALI if hook == FORWARD else 0) is verdict
    assert (bench.told()[1].reason is Reason.MALFORMED) is (verdict is Verdict.DROP)
    assert bench.totals.malformed == (verdict is Verdict.DROP)


class Lax(BitmapEngine):
    """An engine that allows everything."""

    def judge_at(self, hook: Hook, in_interface: str, out_interface: str, *, spared: bool = False) -> Decide:
        return lambda _: Decision(verdict=Verdict.ACCEPT, reason=Reason.RULE)


@pytest.mark.parametrize("fragment", [0x2000, 0x2001, 1])
def test_a_fragment_without_its_header_is_dropped_in_every_failure_mode(fragment):
    for fail_open in (False, True):
        bench = Bench(fail_open=fail_open)

        piece = ipv4(CLIENT, WORKLOAD, 6, b"\x9c\x41\x00\x50", fragment)
        assert bench.judge.original(piece, 0, FORWARD, ETH0, CALI) is Verdict.DROP
        assert bench.told()[1].reason is Reason.FRAGMENT


class Broken(BitmapEngine):
    """An engine with a bug in it."""

    def judge_at(self, hook: Hook, in_interface: str, out_interface: str, *, spared: bool = False) -> Decide:
        def judge(packet: Packet) -> Decision:
            raise KeyError(packet.dport)

        return judge


class Unready(BitmapEngine):
    """An engine that cannot make a path ready."""

    def judge_at(self, hook: Hook, in_interface: str, out_interface: str, *, spared: bool = False) -> Decide:
        raise KeyError(hook)


def broken(*, fail_open: bool, engine: type[BitmapEngine] = Broken) -> Bench:
    bench = Bench(fail_open=fail_open)
    bench.judge.engine = engine(RULES, INTERFACES)
    bench.judge.original = bench.judge._decider(reply=False)
    bench.judge.reply = bench.judge._decider(reply=True)
    return bench


@pytest.mark.parametrize("engine", [Broken, Unready])
@pytest.mark.parametrize(("fail_open", "verdict"), [(False, Verdict.DROP), (True, Verdict.ACCEPT)])
def test_what_the_engine_fails_on_gets_the_verdict_of_the_failure_mode(fail_open, verdict, engine):
    bench = broken(fail_open=fail_open, engine=engine)

    assert bench.judge.original(tcp(CLIENT, WORKLOAD, 40001, 80), 0, FORWARD, ETH0, CALI) is verdict
    assert bench.told()[1].reason is Reason.FAILURE
    assert (bench.totals.judged, bench.totals.failed) == (1, 1)


def test_a_malformed_packet_never_meets_the_failure_mode():
    bench = broken(fail_open=True)

    assert bench.judge.original(b"\x45", 0, FORWARD, ETH0, CALI) is Verdict.DROP
    assert bench.totals.failed == 0
