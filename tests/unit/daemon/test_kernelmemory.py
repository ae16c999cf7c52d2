import asyncio
from collections.abc import Iterable

import msgspec
import pytest
from msgspec.structs import replace

from calicod.daemon.beginnings import Known
from calicod.daemon.kernelmemory import (
    BUSY,
    BUSY_IDLE_LOOKS,
    BUSY_LIMIT,
    DECISIONS,
    FLOOD,
    IDLE_LOOKS,
    LIMIT,
    OFTEN,
    REST_SECONDS,
    TELL_SECONDS,
    KernelMemory,
    kind_of,
    noted,
    save,
)
from calicod.errors import CalicodError
from calicod.model.decision import Decision, PolicyReference
from calicod.model.hook import Hook
from calicod.model.record import Batch, Record
from calicod.model.steering import FlowKind
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


def kind(dport: int = 53) -> FlowKind:
    return FlowKind("eth0", "caliw", 17, addr("192.0.2.1"), addr("10.65.0.2"), dport)


ALLOW = encoded(Verdict.ACCEPT)


def syn(dport: int = 80, **fields: object) -> Record:
    return packet(dport, protocol=6, **{"decision": ALLOW, **fields})


def tcp_kind(dport: int = 80) -> FlowKind:
    return replace(kind(dport), protocol=6)


class Bench:
    """A memory with a kernel that takes what it is given; `answer`: what it answers. `met`: those it was to tell."""

    def __init__(self) -> None:
        self.given: list[tuple[int, tuple[FlowKind, ...], tuple[FlowKind, ...]]] = []
        self.told: list[tuple[int, int]] = []
        self.known: dict[int, Known] = {}
        self.answer: bool | CalicodError = True
        self.memory = KernelMemory(
            self.remember, lambda record, count: self.told.append((record.dport, count)), self.know
        )
        self.memory.begin(RULES)

    def know(self, allowed: Iterable[Known]) -> None:
        self.known = {known.record.dport: known for known in allowed}

    async def remember(self, revision: int, denied: tuple[FlowKind, ...], allowed: tuple[FlowKind, ...]) -> bool:
        assert [kind.dport for kind in allowed] == list(self.known), "known before the kernel allows it"
        self.given.append((revision, denied, allowed))
        if isinstance(self.answer, CalicodError):
            raise self.answer
        return self.answer

    @property
    def denied(self) -> list[tuple[int, tuple[FlowKind, ...]]]:
        return [(revision, denied) for revision, denied, _ in self.given]

    @property
    def allowed(self) -> list[tuple[int, tuple[FlowKind, ...]]]:
        return [(revision, allowed) for revision, _, allowed in self.given]

    def flood(self, *records: Record, times: int = FLOOD, revision: int = 3) -> None:
        self.memory.batch(Batch(0, revision, records * times))

    def look(self, *, lost: int = 0, **counted: int) -> None:
        kinds = {kind(int(port[1:])): count for port, count in counted.items()}
        asyncio.run(self.memory.look(kinds, lost))


def test_what_comes_in_a_flood_is_remembered_and_the_rest_is_not():
    bench = Bench()
    bench.flood(packet(53))
    bench.flood(packet(54), times=OFTEN - 1)

    bench.look()

    assert bench.denied == [(3, (kind(53),))]


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
        packet(decision=ALLOW),
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
    bench.memory.begin(ruleset(workload(), policy("web", ingress=(asking,))))
    bench.flood(packet())

    bench.look()

    assert bench.given == []


def test_what_the_kernel_refused_is_told_in_counts(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("calicod.daemon.kernelmemory.time.monotonic", lambda: now[0])
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
        asyncio.run(bench.memory.look(None))

    assert len(bench.given) == 1


def test_what_comes_no_more_is_forgotten():
    bench = Bench()
    bench.flood(packet())
    bench.look()

    for _ in range(IDLE_LOOKS):
        bench.look()

    assert bench.denied == [(3, (kind(),)), (3, ())]


def test_another_revision_begins_anew_and_an_old_ones_words_count_no_more():
    bench = Bench()
    bench.flood(packet())
    bench.look()
    bench.look(_53=7)

    bench.flood(packet(54), revision=4)
    bench.flood(packet(55), revision=3)
    bench.look()

    assert bench.denied == [(3, (kind(53),)), (4, (kind(54),))]
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
        assert bench.memory.denied == {}


def test_memory_is_bounded():
    bench = Bench()
    bench.flood(*(packet(port) for port in range(LIMIT + 9)), times=OFTEN)
    for number in range(DECISIONS + 9):
        bench.memory.batch(Batch(0, 3, (packet(decision=encoded(trace=(str(number),))),)))

    bench.look()

    assert len(bench.given[0][1]) == LIMIT
    assert len(bench.memory._eligible) <= DECISIONS


def test_a_kind_is_a_path_and_what_of_the_packet_decides():
    assert kind_of(packet()) == kind()
    inbound = kind_of(packet(hook=Hook.INPUT, out_interface=""))
    assert inbound == replace(kind(), out_interface="")
    assert kind_of(packet(hook=Hook.PREROUTING)) is None


@pytest.mark.parametrize("name", ["eth+", 'a"b', "!eth0", "eth\\xff"])
def test_what_no_rule_can_name_is_never_remembered(name):
    assert kind_of(packet(in_interface=name)) is None
    assert kind_of(packet(out_interface=name)) is None


def test_tcp_connections_that_are_allowed_often_are_remembered_and_others_are_not():
    bench = Bench()
    bench.flood(syn(80), times=BUSY)
    bench.flood(syn(81), times=BUSY - 1)
    bench.flood(packet(82, decision=ALLOW), times=BUSY)

    bench.look()

    assert bench.allowed == [(3, (tcp_kind(80),))]


@pytest.mark.parametrize(
    "record",
    [
        syn(decision=encoded(Verdict.ACCEPT, Reason.NO_ENDPOINT)),
        syn(decision=encoded(Verdict.ACCEPT, Reason.FAILURE)),
        syn(decision=encoded(Verdict.ACCEPT, logged=(RULE,))),
        syn(known=True),
        syn(reply=True),
        syn(quoted=True),
        syn(untracked=True),
        syn(hook=Hook.OUTPUT, in_interface=""),
        syn(hook=Hook.PREROUTING, out_interface=""),
    ],
    ids=["nobody's", "failure", "logged", "cut", "reply", "error", "untracked", "sent", "early"],
)
def test_only_what_policy_allows_of_new_flows_that_come_is_remembered(record):
    bench = Bench()
    bench.flood(record)

    bench.look()

    assert bench.given == []


def test_nothing_is_allowed_by_the_kernel_where_policy_asks_for_source_ports():
    bench = Bench()
    asking = tcp_rule(source=entity(ports=(1,)))
    bench.memory.begin(ruleset(workload(), policy("web", ingress=(asking,))))
    bench.flood(syn())

    bench.look()

    assert bench.given == []


def test_the_beginning_of_a_connection_must_say_which_kind_it_is():
    bench = Bench()
    bench.flood(syn(), syn(in_interface="eth1"))

    bench.look()

    assert len(bench.given[0][2]) == 1


def test_an_allowed_kind_is_kept_while_connections_begin():
    bench = Bench()
    bench.flood(syn())
    bench.look()

    for _ in range(BUSY_IDLE_LOOKS):
        bench.known[80].meet()
        bench.look()
    assert len(bench.given) == 1
    for _ in range(BUSY_IDLE_LOOKS):
        bench.look()

    assert bench.allowed[1:] == [(3, ())]


def test_when_the_kernel_cannot_tell_them_all_the_queue_slows_them_down_again(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("calicod.daemon.kernelmemory.time.monotonic", lambda: now[0])
    bench = Bench()
    bench.flood(syn())
    bench.look()

    bench.flood(syn())
    bench.look(lost=1)
    bench.flood(syn())
    bench.look(lost=1)
    assert bench.allowed[1:] == [(3, ())]
    now[0] += REST_SECONDS
    bench.flood(syn())
    bench.look(lost=1)

    assert bench.allowed[2:] == [(3, (tcp_kind(),))]


def test_another_revision_has_its_own_decisions():
    bench = Bench()
    bench.flood(syn())
    bench.look()

    bench.flood(syn(81), revision=4)
    bench.look()

    assert bench.allowed[1:] == [(4, (tcp_kind(81),))]
    assert bench.known[81].revision == 4


def test_that_the_kernel_may_allow_something_is_known_even_when_the_attempt_was_given_up():
    bench = Bench()
    bench.flood(packet())
    bench.look()
    assert not bench.memory.allows

    bench.answer = False
    bench.flood(syn())
    bench.look()

    assert bench.memory.allowed == {}
    assert bench.memory.allows


def test_kinds_that_are_allowed_are_bounded():
    bench = Bench()
    bench.flood(*(syn(port) for port in range(BUSY_LIMIT + 9)), times=BUSY)

    bench.look()

    assert len(bench.given[0][2]) == BUSY_LIMIT


def test_a_successor_knows_what_the_kernel_allows(tmp_path):
    path = tmp_path / "note"
    bench = Bench()
    bench.flood(syn(80), syn(81))
    bench.look()
    save(path, bench.known.values())

    assert [(known.record, known.revision) for known in noted(path)] == [(syn(80), 3), (syn(81), 3)]


def test_without_a_note_or_with_a_torn_one_nothing_is_known(tmp_path):
    assert noted(tmp_path / "none") == ()
    torn = tmp_path / "torn"
    torn.write_bytes(b"\x92")

    assert noted(torn) == ()
    save(tmp_path / "no" / "folder", ())


def test_where_the_kernel_could_not_tell_what_it_allows_nothing_is_learned_of_that():
    bench = Bench()
    bench.memory = KernelMemory(bench.remember, lambda *_: None, bench.know, can_allow=False)
    bench.memory.begin(RULES)
    bench.flood(syn())
    bench.look()
    assert bench.given == []

    bench.flood(syn(), packet())
    bench.look()

    assert bench.given == [(3, (kind(),), ())]
