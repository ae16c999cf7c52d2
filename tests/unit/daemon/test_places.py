"""What the kernel tells of a packet that comes up."""

import pytest

from calicod.daemon.places import Asks, Places, Where, unknown
from calicod.engine.bitmap import BitmapEngine
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.marks import layout
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet
from tests.unit.compiler.build import host, policy, ruleset, tcp_rule

MARKS = layout()
NAMES = {1: "lo", 2: "eth0", 3: "eth1"}
PREROUTING, INPUT, FORWARD, OUTPUT = range(4)
RAW, UNTRACKED, SPARED = MARKS.before_tracking, MARKS.untracked, MARKS.spared
EARLY = policy("early", apply_on_forward=True, do_not_track=True, ingress=(tcp_rule(),))
RULES = ruleset(host(), EARLY)
SYN = Packet(4, 6, bytes([192, 0, 2, 9]), bytes([192, 0, 2, 1]), 40000, 80)


def places(*, reply: bool = False) -> Places:
    return Places(NAMES, MARKS, reply=reply)


@pytest.mark.parametrize(
    ("number", "bits", "where"),
    [
        (INPUT, 0, Where(Hook.INPUT, "eth0", "", known=True)),
        (PREROUTING, 0, Where(Hook.PREROUTING, "eth0", "", known=True)),
        (PREROUTING, UNTRACKED, Where(Hook.PREROUTING, "eth0", "", known=True, untracked=True)),
        (PREROUTING, RAW, Where(Hook.RAW_PREROUTING, "eth0", "", known=True, untracked=True)),
        (OUTPUT, RAW, Where(Hook.RAW_OUTPUT, "eth0", "", known=True, untracked=True)),
        (INPUT, UNTRACKED, Where(Hook.INPUT, "eth0", "", known=True, untracked=True)),
        (INPUT, SPARED, Where(Hook.INPUT, "eth0", "", known=True, spared=True)),
        (FORWARD, RAW, Where(Hook.FORWARD, "eth0", "", known=False, untracked=True)),
        (7, 0, Where(Hook.INPUT, "eth0", "", known=False)),
    ],
)
def test_the_bits_of_the_mark_tell_the_table_and_the_evidence(number: int, bits: int, where: Where) -> None:
    assert places()[number, 2, 0, bits] == where


def test_both_directions_of_lo_are_judged_at_output() -> None:
    assert places(reply=True)[OUTPUT, 0, 1, 0] == Where(Hook.OUTPUT, "", "lo", known=True)


def test_a_reply_is_where_its_flow_was_with_the_same_evidence() -> None:
    assert places(reply=True)[OUTPUT, 0, 2, SPARED] == Where(Hook.INPUT, "eth0", "", known=True, spared=True)
    assert places(reply=True)[FORWARD, 2, 3, 0] == Where(Hook.FORWARD, "eth1", "eth0", known=True)


def test_what_has_no_connection_is_judged_by_its_whole_way_and_what_is_spared_by_what_is_left() -> None:
    asks = Asks(places(), BitmapEngine(RULES, (Interface(2, "eth0"),)))
    decided = {bits: asks[INPUT, 2, 0, bits](SYN) for bits in (0, UNTRACKED, SPARED)}
    early = asks[PREROUTING, 2, 0, RAW](SYN)

    assert decided[0].verdict is Verdict.DROP
    assert (decided[UNTRACKED].verdict, decided[UNTRACKED].reason) == (Verdict.ACCEPT, Reason.RULE)
    assert (decided[SPARED].verdict, decided[SPARED].reason) == (Verdict.ACCEPT, Reason.NO_ENDPOINT)
    assert (early.verdict, early.reason) == (Verdict.ACCEPT, Reason.RULE)
    assert asks[INPUT, 99, 0, 0] is unknown


def test_only_early_hooks_and_what_they_spared_make_a_sparing_verdict() -> None:
    sparing = {hook for hook in Hook if Where(hook, "eth0", "", known=True).sparing}

    assert sparing == {Hook.RAW_PREROUTING, Hook.RAW_OUTPUT, Hook.PREROUTING}
    assert Where(Hook.INPUT, "eth0", "", known=True, spared=True).sparing
