import pytest

from calicod.engine.bitmap import BitmapEngine
from calicod.model.protocol import IPIP, TCP
from calicod.model.verdict import Verdict
from calicod.packet.value import Packet
from tests.build import HOST, OUTSIDE, Tier, V, W, host, policy, ports, profile, rule, ruleset, tcp, udp, workload

OPEN = policy(rule("Allow", destination_ports=ports((80, 90))), name="open")
RULES = ruleset(
    Tier("default", OPEN),
    profile(rule("Allow")),
    workloads=(workload("w", W), workload("v", V), workload("down", "10.65.0.99", active=False)),
    hosts=(host("h", "eth0", HOST, pre_dnat=0, untracked_egress=0),),
)
STAGED = policy(rule("Deny", protocol=TCP), name="s", kind="StagedGlobalNetworkPolicy", staged=True)


def ask(packet, rules=RULES):
    return BitmapEngine(rules, ()).ends.ask(packet)


def test_the_destination_is_asked_about_what_the_source_may_send():
    outcome = ask(tcp(80, W, V))

    assert [result.verdict for result in outcome.came] == [Verdict.ACCEPT, Verdict.ACCEPT]
    assert (outcome.stage.endpoint.name, outcome.stage.reporter) == ("v", "dst")
    assert outcome.would is None


def test_the_destination_is_not_asked_about_what_the_source_may_not_send():
    outcome = ask(tcp(91, W, V))

    assert (outcome.came[0].verdict, outcome.came[1]) == (Verdict.DROP, None)
    assert (outcome.stage.endpoint.name, outcome.stage.reporter) == ("w", "src")


@pytest.mark.parametrize(("src", "dst", "asked"), [(W, OUTSIDE, (True, False)), (OUTSIDE, W, (False, True))])
def test_who_is_no_endpoint_is_not_asked(src, dst, asked):
    outcome = ask(tcp(80, src, dst))

    assert tuple(result is not None for result in outcome.came) == asked
    assert outcome.stage.endpoint.name == "w"


def test_what_staged_policies_would_do_is_asked_in_turn_as_well():
    outcome = ask(tcp(80, W, V), ruleset(Tier("default", STAGED, OPEN), profile(rule("Allow"))))

    assert outcome.came[1].verdict is Verdict.ACCEPT
    assert (outcome.would[0].verdict, outcome.would[1]) == (Verdict.DROP, None)


@pytest.mark.parametrize(
    "packet",
    [
        tcp(80, OUTSIDE, "198.51.100.1"),
        tcp(80, W, W),
        tcp(80, W, HOST),
        tcp(80, HOST, W),
        tcp(80, W, "10.65.0.99"),
        udp(4789, W, V),
        Packet(4, IPIP, tcp(80, W, V).src, tcp(80, W, V).dst),
        Packet(4, TCP, tcp(80, W, V).src, tcp(80, W, V).dst, fragment=True),
    ],
)
def test_about_what_takes_more_than_a_program_at_each_end_nothing_is_told(packet):
    assert ask(packet) is None


def test_a_protocol_that_may_be_a_tunnel_is_judged_here_when_it_is_none():
    assert ask(udp(80, W, V)).came[1].verdict is Verdict.ACCEPT


def test_only_addresses_of_endpoints_are_remembered():
    ends = BitmapEngine(RULES, ()).ends
    for number in range(50):
        ends.ask(tcp(80, f"198.51.100.{number}", f"203.0.113.{number}"))
        ends.ask(tcp(80, W, f"203.0.113.{number}"))

    assert (len(ends._leaving), len(ends._arriving)) == (1, 0)
