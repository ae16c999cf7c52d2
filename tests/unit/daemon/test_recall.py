"""What preDNAT policy says of live connections."""

import msgspec
import pytest

from calicod.daemon.recall import Word, asked_ids, recall, words
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.marks import UNMANAGED_ID, WORKLOAD_ID, layout
from calicod.model.steering import ForwardingWorkload, Nic, Steering
from calicod.model.verdict import Verdict
from calicod.netfilter.flow import Flow, FlowTuple
from calicod.netfilter.routes import Route
from calicod.ruleset.enforcement import Enforcement
from tests.unit.compiler.build import addr, entity, host, policy, ruleset, tcp_rule

MARKS = layout()
ETH0, ETH1 = 3, 4
STAGE, RULE, FILTER, JUDGED = MARKS.prednat_stage, MARKS.prednat_rule, MARKS.filter_stage, MARKS.judged
INTERFACES = (Interface(2, "eth0"), Interface(3, "eth1"))
STEERING = Steering(
    generation=5, nics=(Nic("eth0", ETH0, managed=True, prednat=True), Nic("eth1", ETH1, managed=False))
)
BEFORE = policy(
    "before",
    apply_on_forward=True,
    pre_dnat=True,
    ingress=(
        tcp_rule(destination=entity(ports=(7000,))),
        tcp_rule("Deny", destination=entity(ports=(8000,))),
    ),
)
ENFORCEMENT = Enforcement(revision=1, ruleset=ruleset(host(), BEFORE), interfaces=INTERFACES)


def route(destination: bytes, source: bytes, incoming: int) -> Route | None:
    """Everybody is behind eth0."""
    return Route(local=False, interface=2)


def flow(port: int, mark: int) -> Flow:
    """A connection to this port of the router's, which DNAT leads to port 9000 of another host."""
    original = FlowTuple(6, addr("198.51.100.7"), addr("192.0.2.1"), 40000, port)
    return Flow(original, FlowTuple(6, addr("10.65.0.2"), addr("198.51.100.7"), 9000, 40000), mark)


def said(*flows: Flow, keep: bool = False) -> list[Word]:
    return list(words(flows, ENFORCEMENT, STEERING, route, keep=keep))


def old(number: int = ETH0, bits: int = FILTER | STAGE) -> int:
    return MARKS.stamp(4, number) | bits


def test_a_flow_is_asked_about_by_its_port_before_dnat_and_the_rule_that_allows_is_remembered() -> None:
    here = MARKS.stamp(5, ETH0)

    assert [(word.mark, word.mask, word.cut) for word in said(flow(7000, old()), flow(7001, old()))] == [
        (here | STAGE | RULE | JUDGED, MARKS.connection_mask, None),
        (here | STAGE | JUDGED, MARKS.connection_mask, None),
    ]


def test_what_is_refused_bears_the_rules_bit_alone_and_is_told_with_the_ends_that_were_told_before() -> None:
    (word,) = said(flow(8000, old()))
    cut = word.cut

    assert word.mark == MARKS.stamp(5, ETH0) | RULE | JUDGED
    assert cut is not None
    assert (cut.hook, cut.in_interface, cut.known) == (Hook.PREROUTING, "eth0", True)
    assert (cut.dst, cut.dport) == (addr("10.65.0.2"), 9000)
    assert msgspec.msgpack.decode(cut.decision, type=Decision).verdict is Verdict.DROP


def test_what_was_asked_about_since_or_came_by_another_interface_is_left_alone() -> None:
    now = MARKS.stamp(5, ETH0)

    assert said(flow(8000, now | STAGE | FILTER), flow(8000, now | RULE), flow(8000, old(ETH1)), flow(8000, 0)) == []


def test_what_filter_has_stamped_meanwhile_gets_the_stages_bits_and_keeps_its_own() -> None:
    given = flow(7000, MARKS.stamp(5, ETH0) | FILTER)

    assert said(given) == [Word(given, STAGE | RULE, STAGE | RULE)]


def test_what_cannot_be_placed_has_no_word_any_more() -> None:
    gone = Steering(generation=5, nics=(Nic("eth9", 9, managed=True, prednat=True),))
    (word,) = words([flow(7000, old(9, STAGE | RULE | FILTER))], ENFORCEMENT, gone, lambda *_: None, keep=False)

    assert word.mark == MARKS.stamp(5, 9) | JUDGED


def test_where_live_flows_are_kept_none_is_refused() -> None:
    given = flow(8000, MARKS.stamp(5, ETH0) | FILTER)

    assert said(given, keep=True) == [Word(given, STAGE, STAGE | RULE)]


def test_a_wildcard_asks_about_what_came_by_workloads_and_by_unknown_interfaces_too() -> None:
    star = Steering(
        generation=1,
        nics=(Nic("eth0", ETH0, managed=True, prednat=True),),
        wildcard_prednat=True,
        forwarding_workloads=(ForwardingWorkload("califw", 7, ()),),
    )

    assert asked_ids(star) == {ETH0, 7, WORKLOAD_ID, UNMANAGED_ID}


@pytest.mark.parametrize("nics", [(), (Nic("eth0", 3, managed=True),)])
def test_without_policy_before_dnat_nobody_looks_at_connections(nics: tuple[Nic, ...]) -> None:
    assert recall(ENFORCEMENT, Steering(generation=1, nics=nics), keep=False) == ()
