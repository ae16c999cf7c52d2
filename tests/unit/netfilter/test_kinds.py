"""The rules whole are in test_filter.py; here what a kind of one hook says of the other's packets."""

import pytest
from msgspec.structs import replace

from calicod.model.steering import FlowKind
from calicod.netfilter import kinds
from calicod.netfilter.forward import FORWARD
from calicod.netfilter.plan import Plan
from tests.unit.compiler.build import addr
from tests.unit.netfilter.steered import full

FOUR = FlowKind("eth0", "cali1", 6, addr("192.0.2.1"), addr("10.65.0.2"), 80)
SIX = FlowKind("eth0", "", 6, addr("2001:db8::1"), addr("2001:db8::2"), 80)
SYN = "--tcp-flags FIN,SYN,RST,ACK SYN"


def plan(*allowed: FlowKind, family: int = 4) -> Plan:
    return Plan(full(allowed=allowed, log_group=7, nics=(), wildcard_prednat=False), family)


def test_a_kind_speaks_for_its_hook_and_its_family_alone() -> None:
    assert len(kinds.ask(plan(FOUR, SIX), FORWARD)) == len(kinds.ask(plan(FOUR, SIX, family=6), kinds.INPUT)) == 1
    assert kinds.ask(plan(FOUR, SIX), kinds.INPUT) == kinds.ask(plan(FOUR, SIX, family=6), FORWARD) == ()


def test_a_kind_of_interfaces_that_nobody_asks_about_is_none() -> None:
    assert kinds.ask(plan(replace(FOUR, out_interface="eth1")), FORWARD) == ()
    assert kinds.allowed(plan(replace(FOUR, out_interface="eth1")), FORWARD, "calicod-x").rules == ("-g calicod-x",)


def test_what_is_of_no_kind_goes_on() -> None:
    assert kinds.allowed(plan(SIX), FORWARD, "calicod-x").rules == ("-g calicod-x",)
    assert kinds.allowed(plan(FOUR), FORWARD, "calicod-x").rules == (
        f"{kinds.beginning(FOUR)} -g calicod-fwd-tell",
        "-g calicod-x",
    )


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (FOUR, f"-s 192.0.2.1/32 -d 10.65.0.2/32 -i eth0 -o cali1 -p tcp -m tcp --dport 80 {SYN}"),
        (SIX, f"-s 2001:db8::1/128 -d 2001:db8::2/128 -i eth0 -p tcp -m tcp --dport 80 {SYN}"),
        (replace(FOUR, protocol=17), "-s 192.0.2.1/32 -d 10.65.0.2/32 -i eth0 -o cali1 -p udp -m udp --dport 80"),
    ],
)
def test_of_tcp_only_what_begins_a_connection(kind: FlowKind, rule: str) -> None:
    assert kinds.beginning(kind) == rule
