import msgspec
import pytest

from calicod.cli.demo.outcome import (
    Ledger,
    Ruling,
    decided,
    judged,
    key_of_attempt,
    key_of_event,
    rule_name,
    told,
    written,
)
from calicod.cli.demo.traffic import Attempt
from calicod.model.verdict import Reason, Verdict
from tests.unit.cli.demo.build import ANSWERED, ARRIVED, LOST, POLICY, allowed, attempt, decision, event, flow, outcome

RULING = Ruling("deny", "rule", "NetworkPolicy prod/web", 0, "policy.yaml:15")


def test_the_example_the_engine_and_the_event_are_compared_as_one_thing():
    assert written(flow()) == decided(decision()) == told(event()) == RULING


def test_a_ruling_reads_as_a_sentence():
    assert str(RULING) == "deny, rule by NetworkPolicy prod/web rule 0 (policy.yaml:15)"
    assert str(Ruling("deny", "no-profile")) == "deny, no-profile"
    assert rule_name(-1) == "end of tier"


@pytest.mark.parametrize("right", [outcome(), allowed()], ids=["refused", "allowed"])
def test_what_is_as_it_should_be_has_no_difference(right):
    assert right.differences() == ()
    assert right.complete


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (outcome(ARRIVED), "the packet arrived though it was to be refused"),
        (outcome(events=()), "0 events, expected 1"),
        (outcome(events=(event(), event())), "2 events, expected 1"),
        (outcome(events=(event(), event("cut"))), "2 events, expected 1"),
        (outcome(events=(event("allow"),)), "the event says allow, rule by"),
        (outcome(events=(event(reason=Reason.END_OF_TIER),)), "the event says deny, end-of-tier"),
        (outcome(decision=decision(Verdict.ACCEPT)), "the engine says allow, rule by"),
        (allowed(LOST), "its packet did not arrive"),
        (allowed(ARRIVED), "its packet arrived"),
    ],
)
def test_each_thing_that_is_not_as_it_should_be_is_told(wrong, says):
    (difference,) = wrong.differences()

    assert says in difference


@pytest.mark.parametrize(
    "reference",
    [
        msgspec.structs.replace(POLICY, rule=1),
        msgspec.structs.replace(POLICY, line=16),
        msgspec.structs.replace(POLICY, name="other"),
        msgspec.structs.replace(POLICY, file="/run/x/policies/endpoints.yaml"),
        None,
    ],
)
def test_an_event_of_another_rule_line_policy_file_or_none_is_a_difference(reference):
    assert outcome(events=(event(policy=reference),)).differences() != ()


def test_the_senders_own_error_is_told_with_an_answer_that_did_not_come():
    failed = msgspec.structs.replace(attempt(verdict="allow"), error="ECONNREFUSED")

    assert "sender: ECONNREFUSED" in allowed(LOST, attempt=failed).differences()[0]


def test_it_is_complete_once_the_answer_and_the_event_are_there():
    assert not allowed(ARRIVED).complete
    assert not allowed(ANSWERED, events=()).complete
    assert not outcome(events=()).complete


def test_what_nothing_tells_of_is_complete_without_an_event_and_one_is_too_many():
    silent = attempt(verdict="allow", reason="no-endpoint", policy="", at="")
    verdict = decision(Verdict.ACCEPT, reason=Reason.NO_ENDPOINT, policy=None)
    untold = allowed(attempt=silent, events=(), decision=verdict)

    assert untold.complete and untold.differences() == ()
    assert "1 events, expected 0" in allowed(attempt=silent, decision=verdict).differences()


def test_an_event_finds_its_attempt_by_protocol_addresses_and_ports():
    assert key_of_event(event()) == key_of_attempt(attempt())
    assert key_of_event(event(src_port=40001)) != key_of_attempt(attempt())


@pytest.mark.parametrize(("family", "protocol", "number"), [(4, "icmp", 8), (6, "icmpv6", 128)])
def test_an_event_finds_its_ping_by_the_echo_request(family, protocol, number):
    ping = event(protocol=protocol, src_port=None, dst_port=None, icmp_type=number, icmp_code=0)

    assert key_of_event(ping) == key_of_attempt(attempt(protocol="icmp", port=0, family=family))


def test_events_of_one_flow_are_kept_together_in_order():
    found = judged([event(), event("cut")])

    assert found == {key_of_attempt(attempt()): (event(), event("cut"))}


def test_an_sctp_packet_has_its_port_and_its_protocol_in_its_key():
    sctp = Attempt(flow=flow(protocol="sctp"), name="1", source="a", target="b", source_port=30001)

    assert key_of_attempt(sctp) == ("sctp", "a", 30001, "b", 80)


def surplus(expected, *told_of):
    ledger = Ledger()
    ledger.told += told_of
    ledger.expected.update(expected)
    return ledger.surplus({"192.0.2.10", "10.65.0.11"})


def test_as_many_decisions_as_were_expected_are_not_too_many():
    assert surplus([]) == ()
    assert surplus([key_of_attempt(attempt())] * 2, event(), event()) == ()


@pytest.mark.parametrize("events", [[event(), event()], [event(), event("cut")], [event(), event(src_port=40001)]])
def test_a_decision_that_was_told_again_or_of_nothing_that_was_tried_is_one_too_many(events):
    (found,) = surplus([key_of_attempt(attempt())], *events)

    assert found.startswith("an event too many, 192.0.2.10 → 10.65.0.11 tcp: deny")


def test_what_the_kernel_sends_by_itself_is_not_counted():
    assert surplus([], event(dst_ip="224.0.0.22")) == ()
