import asyncio

import msgspec
import pytest
from msgspec.structs import replace

from calicod.daemon.denials import DECISIONS, FLOOD, IDLE_LOOKS, LIMIT, OFTEN, TELL_SECONDS, Denials, kind_of
from calicod.errors import CalicodError
from calicod.model.decision import Decision, PolicyReference
from calicod.model.hook import Hook
from calicod.model.record import Batch, Record
from calicod.model.steering import Denied
from calicod.model.verdict import Reason, Verdict
from tests.unit.compiler.build import addr, entity, host, policy, ruleset, tcp_rule, workload

RULES = ruleset(workload(), host(), policy("web", ingress=(tcp_rule(destination=entity(ports=(80,))),)))
RULE = PolicyReference("GlobalNetworkPolicy", "default", "", "web", 0)


def encoded(verdict: Verdict = Verdict.DROP, reason: Reason = Reason.RULE, **fields: object) -> bytes:
    return msgspec.msgpack.encode(Decision(verdict=verdict, reason=reason, **fields))


def packet(dport: int = 53, **fields: object) -> Record:
    a, b = addr("192.0.2.1"), addr("10.65.0.2")
    made = Record(1, encoded(), Hook.FORWARD, "eth0", "caliw", 17, a, b, 1024, dport, -1, -1)
    return replace(made, **fields)


def kind(dport: int = 53) -> Denied:
    return Denied("eth0", "caliw", 17, addr("192.0.2.1"), addr("10.65.0.2"), dport)


class Bench:
    """Denials with a kernel that remembers what it is given; `answer`: what it answers."""

    def __init__(self) -> None:
        self.given: list[tuple[int, tuple[Denied, ...]]] = []
        self.told: list[tuple[int, int]] = []
        self.answer: bool | CalicodError = True
        self.denials = Denials(self.remember, lambda record, count: self.told.append((record.dport, count)))
        self.denials.begin(RULES)

    async def remember(self, revision: int, denied: tuple[Denied, ...]) -> bool:
        self.given.append((revision, denied))
        if isinstance(self.answer, CalicodError):
            raise self.answer
        return self.answer

    def flood(self, *records: Record, times: int = FLOOD, revision: int = 3) -> None:
        self.denials.batch(Batch(0, revision, records * times))

    def look(self, **counted: int) -> None:
        asyncio.run(self.denials.look({kind(int(port[1:])): count for port, count in counted.items()}))


def test_what_comes_in_a_flood_is_remembered_and_the_rest_is_not():
    bench = Bench()
    bench.flood(packet(53))
    bench.flood(packet(54), times=OFTEN - 1)

    bench.look()

    assert bench.given == [(3, (kind(53),))]


def test_without_a_flood_nothing_is_remembered():
    bench = Bench()
    bench.flood(packet(), times=FLOOD - 1)
    bench.look()
    bench.flood(packet(), times=FLOOD - 1)
    bench.look()

    assert bench.given == []


@pytest.mark.parametrize(
    "record",
    [
        packet(decision=encoded(Verdict.ACCEPT)),
        packet(decision=encoded(reason=Reason.MALFORMED)),
        packet(decision=encoded(reason=Reason.UNKNOWN_INTERFACE)),
        packet(decision=encoded(logged=(RULE,))),
        packet(known=True),
        packet(reply=True),
        packet(quoted=True),
        packet(untracked=True),
        packet(protocol=1),
        packet(hook=Hook.OUTPUT, in_interface=""),
        packet(out_interface=""),
    ],
    ids=["allowed", "malformed", "unknown", "logged", "cut", "reply", "error", "untracked", "icmp", "sent", "nowhere"],
)
def test_only_refusals_by_policy_of_new_flows_that_come_are_remembered(record):
    bench = Bench()
    bench.flood(record)

    bench.look()

    assert bench.given == []


@pytest.mark.parametrize("side", ["source", "not_source"])
def test_nothing_is_remembered_where_policy_asks_for_source_ports(side):
    asking = {
        "source": tcp_rule(source=entity(ports=(1,))),
        "not_source": tcp_rule(source=entity(not_ports=(1,))),
    }[side]
    bench = Bench()
    bench.denials.begin(ruleset(workload(), policy("web", ingress=(asking,))))
    bench.flood(packet())

    bench.look()

    assert bench.given == []


def test_what_the_kernel_refused_is_told_in_counts(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("calicod.daemon.denials.time.monotonic", lambda: now[0])
    bench = Bench()
    bench.flood(packet())
    bench.look()
    bench.look(_53=100)
    assert bench.told == []

    now[0] += TELL_SECONDS
    bench.look(_53=1000)
    bench.look(_53=10)
    bench.look(_53=10)

    assert bench.told == [(53, 1000), (53, 10)]


def test_where_nobody_has_looked_nothing_has_ended():
    bench = Bench()
    bench.flood(packet())
    bench.look()

    for _ in range(IDLE_LOOKS + 1):
        asyncio.run(bench.denials.look(None))

    assert len(bench.given) == 1


def test_what_comes_no_more_is_forgotten():
    bench = Bench()
    bench.flood(packet())
    bench.look()

    for _ in range(IDLE_LOOKS):
        bench.look()

    assert bench.given == [(3, (kind(),)), (3, ())]


def test_another_revision_begins_anew_and_an_old_ones_words_count_no_more():
    bench = Bench()
    bench.flood(packet())
    bench.look()
    bench.look(_53=7)

    bench.flood(packet(54), revision=4)
    bench.flood(packet(55), revision=3)
    bench.look()

    assert bench.given == [(3, (kind(53),)), (4, (kind(54),))]
    assert bench.told == [(53, 7)]


def test_what_the_kernel_did_not_take_is_tried_again_by_the_next_flood():
    bench = Bench()
    for answer in (False, CalicodError("K013", "the lock is held")):
        bench.answer = answer
        bench.flood(packet())
        try:
            bench.look()
        except CalicodError:
            assert answer
        assert bench.denials.entries == {}


def test_memory_is_bounded():
    bench = Bench()
    bench.flood(*(packet(port) for port in range(LIMIT + 9)), times=OFTEN)
    for number in range(DECISIONS + 9):
        bench.denials.batch(Batch(0, 3, (packet(decision=encoded(trace=(str(number),))),)))

    bench.look()

    assert len(bench.given[0][1]) == LIMIT
    assert len(bench.denials._eligible) <= DECISIONS


def test_a_kind_is_a_path_and_what_of_the_packet_decides():
    assert kind_of(packet()) == kind()
    inbound = kind_of(packet(hook=Hook.INPUT, out_interface=""))
    assert inbound == replace(kind(), out_interface="")
    assert kind_of(packet(hook=Hook.PREROUTING)) is None


@pytest.mark.parametrize("name", ["eth+", 'a"b', "!eth0", "eth\\xff"])
def test_what_no_rule_can_name_is_never_remembered(name):
    assert kind_of(packet(in_interface=name)) is None
    assert kind_of(packet(out_interface=name)) is None
