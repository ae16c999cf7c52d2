import pytest

from calicod.daemon import rejection
from calicod.daemon.rejection import SEVERED_BYTES, SILENT, Rejection
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet

DENIED = Decision(verdict=Verdict.DROP, reason=Reason.RULE)
SEGMENT = Packet(4, 6, b"\n\0\0\1", b"\n\0\0\2", 40000, 80)
DATAGRAM = Packet(4, 17, b"\n\0\0\1", b"\n\0\0\2", 40000, 80)


def test_every_refusal_is_answered_where_the_kernel_can():
    refuse = Rejection(rejects=True).refuse

    verdicts = {hook: refuse(DENIED, hook, DATAGRAM, b"", known=False) for hook in Hook}

    assert {hook for hook, verdict in verdicts.items() if verdict is Verdict.REJECT} == {
        Hook.INPUT,
        Hook.FORWARD,
        Hook.OUTPUT,
    }


@pytest.mark.parametrize("reason", sorted(SILENT, key=lambda reason: reason.value))
def test_what_cannot_be_trusted_gets_no_answer(reason):
    decision = Decision(verdict=Verdict.DROP, reason=reason)

    assert Rejection(rejects=True).refuse(decision, Hook.INPUT, SEGMENT, b"", known=True) is Verdict.DROP


def test_without_answers_it_has_nothing_to_say():
    assert Rejection().quiet
    assert not Rejection(rejects=True).quiet
    assert not Rejection(sever=[].append).quiet


@pytest.mark.parametrize(("packet", "known"), [(SEGMENT, False), (DATAGRAM, True)], ids=["new", "no-tcp"])
def test_only_tcp_that_was_allowed_before_is_cut_with_a_reset(packet, known):
    told = []

    assert Rejection(sever=told.append).refuse(DENIED, Hook.FORWARD, packet, b"p", known=known) is Verdict.DROP
    assert told == []


def test_the_other_end_of_a_cut_connection_is_told_once():
    told = []
    cutting = Rejection(sever=told.append)

    verdicts = [cutting.refuse(DENIED, Hook.FORWARD, SEGMENT, b"p" * 900, known=True) for _ in range(3)]

    assert verdicts == [Verdict.REJECT] * 3
    assert told == [b"p" * SEVERED_BYTES]


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(rejection, "REMEMBERED", 2)
    told = []
    cutting = Rejection(sever=told.append)

    for sport in (1, 2, 3, 3):
        packet = Packet(4, 6, b"\n\0\0\1", b"\n\0\0\2", sport, 80)
        cutting.refuse(DENIED, Hook.FORWARD, packet, bytes([sport]), known=True)

    assert told == [b"\1", b"\2", b"\3"]
    assert len(cutting._told) == 1
