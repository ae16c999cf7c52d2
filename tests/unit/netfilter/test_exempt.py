"""Failsafes and neighbour discovery, as rules."""

import pytest

from calicod.model.marks import FAILSAFE_ID, gather
from calicod.model.network import parse_network
from calicod.model.steering import FailsafePort, Steering
from calicod.netfilter.exempt import (
    answers,
    failsafe_chain,
    failsafes_to_itself,
    from_host_discovery,
    from_host_failsafes,
    host_errors,
    to_host_discovery,
    to_host_failsafes,
    workload_discovery,
)

TCP, UDP = 6, 17
GOTO = "-g calicod-failsafe"


def steering(*, inbound: tuple[FailsafePort, ...] = (), outbound: tuple[FailsafePort, ...] = ()) -> Steering:
    return Steering(generation=5, failsafe_inbound=inbound, failsafe_outbound=outbound)


def test_an_inbound_port_opens_inwards_and_answers_outwards() -> None:
    given = steering(inbound=(FailsafePort(TCP, 22), FailsafePort(UDP, 68)))

    assert to_host_failsafes(given, 4) == (
        f"-p tcp -m tcp --dport 22 {GOTO}",
        f"-p udp -m udp --dport 68 {GOTO}",
    )
    assert from_host_failsafes(given, 4) == (
        f"-p tcp -m tcp --sport 22 ! --tcp-flags FIN,SYN,RST,ACK SYN {GOTO}",
        f"-p udp -m udp --sport 68 -m conntrack --ctdir REPLY {GOTO}",
    )


def test_an_outbound_port_opens_outwards_and_answers_inwards() -> None:
    given = steering(outbound=(FailsafePort(TCP, 179),))

    assert from_host_failsafes(given, 6) == (f"-p tcp -m tcp --dport 179 {GOTO}",)
    assert to_host_failsafes(given, 6) == (f"-p tcp -m tcp --sport 179 ! --tcp-flags FIN,SYN,RST,ACK SYN {GOTO}",)


def test_to_itself_only_what_is_a_failsafe_of_both_directions_passes() -> None:
    here, there = parse_network("127.0.0.0/8")[0], parse_network("192.0.2.0/24")[0]
    given = steering(
        inbound=(FailsafePort(TCP, 22), FailsafePort(TCP, 179, here)),
        outbound=(FailsafePort(UDP, 22), FailsafePort(TCP, 179, there)),
    )

    assert failsafes_to_itself(given, 4) == (
        f"-s 127.0.0.0/8 -d 192.0.2.0/24 -p tcp -m tcp --dport 179 {GOTO}",
        f"-s 192.0.2.0/24 -d 127.0.0.0/8 -p tcp -m tcp --sport 179 ! --tcp-flags FIN,SYN,RST,ACK SYN {GOTO}",
    )
    assert failsafes_to_itself(given, 6) == ()


def test_a_net_limits_the_far_side_and_the_family() -> None:
    net = parse_network("192.0.2.0/24")[0]
    given = steering(inbound=(FailsafePort(TCP, 22, net),), outbound=(FailsafePort(TCP, 179, net),))

    assert [rule.split(" -p ")[0] for rule in to_host_failsafes(given, 4)] == ["-s 192.0.2.0/24"] * 2
    assert [rule.split(" -p ")[0] for rule in from_host_failsafes(given, 4)] == ["-d 192.0.2.0/24"] * 2
    assert to_host_failsafes(given, 6) == from_host_failsafes(given, 6) == ()


def test_the_whole_of_one_family_is_still_that_family_only() -> None:
    given = steering(inbound=(FailsafePort(TCP, 22, parse_network("::/0")[0]),))

    assert to_host_failsafes(given, 4) == ()
    assert to_host_failsafes(given, 6) == (f"-p tcp -m tcp --dport 22 {GOTO}",)


def test_the_stamp_of_a_failsafe_has_no_stage() -> None:
    given = steering()
    (rule,) = failsafe_chain(given).rules
    value, mask = (int(part, 16) for part in rule.rpartition(" ")[2].split("/"))

    assert rule.startswith("-m conntrack --ctstate NEW -j CONNMARK --set-xmark ")
    assert gather(value, given.marks.interface) == FAILSAFE_ID
    assert gather(value, given.marks.generation) == 5
    assert not value & (given.marks.filter_stage | given.marks.judged | given.marks.prednat_stage)
    assert mask == given.marks.connection_mask


@pytest.mark.parametrize("rules", [from_host_discovery, to_host_discovery, workload_discovery])
def test_ipv4_has_no_discovery_rules(rules: object) -> None:
    assert callable(rules)
    assert rules(4) == ()


def test_discovery_wants_the_hop_limit_that_no_router_leaves() -> None:
    for rules in (from_host_discovery(6), to_host_discovery(6), workload_discovery(6)):
        for rule in rules:
            kind = int(rule.split("--icmpv6-type ")[1].split()[0])
            assert ("--hl-eq 255" in rule) == (133 <= kind <= 137)


def test_a_workload_never_advertises_itself_as_a_router() -> None:
    assert not any("--icmpv6-type 134 " in rule for rule in workload_discovery(6))
    assert any("--icmpv6-type 134 " in rule for rule in to_host_discovery(6))


def test_a_host_reports_its_groups_and_hears_link_local_queries() -> None:
    reports = [rule for rule in from_host_discovery(6) if "--hl-eq 1 " in rule]

    assert [rule.split("--icmpv6-type ")[1].split()[0] for rule in reports] == ["131", "132", "143"]
    assert to_host_discovery(6)[-1] == "-s fe80::/10 -p ipv6-icmp -m icmp6 --icmpv6-type 130 -m hl --hl-eq 1 -j RETURN"


def test_the_first_errors_of_the_kernel_pass_and_no_others() -> None:
    assert host_errors(4) == ("-p icmp -m conntrack --ctstate RELATED ! --ctstatus CONFIRMED -j RETURN",)
    assert host_errors(6) == ("-p ipv6-icmp -m conntrack --ctstate RELATED ! --ctstatus CONFIRMED -j RETURN",)


@pytest.mark.parametrize("family", [4, 6])
def test_answers_pass_only_where_refusals_are_answered(family: int) -> None:
    assert answers(steering(), family) == ()
    related, error, bare = answers(Steering(generation=5, answers=True), family)

    assert "--ctstate RELATED ! --ctstatus EXPECTED -j RETURN" in related
    assert "-m conntrack --ctstate RELATED -j RETURN" in error
    assert f"-m length --length {40 if family == 4 else 60} -m connmark ! --mark 0x0/0x4002000 -j RETURN" in bare
    assert all("--tcp-flags RST RST" in rule for rule in (related, bare))
