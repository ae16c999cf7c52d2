import pytest

from calicod.daemon import directions
from calicod.daemon.directions import Directions, runs_backwards, set_right
from calicod.netfilter import conntrack, pickup
from calicod.netfilter.flow import FlowTuple
from tests.unit.compiler.build import addr
from tests.unit.daemon.control_plane import namespace
from tests.unit.daemon.test_resets import ACK, ipv4, struct

pytestmark = pytest.mark.netns
A, B = "192.0.2.1", "192.0.2.2"


def flow(sport: int, dport: int) -> FlowTuple:
    return FlowTuple(6, addr(A), addr(B), sport, dport)


def segment(sport: int, dport: int) -> bytes:
    return ipv4(A, B, 6, struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 0x50, ACK, 0, 0, 0))


def test_only_what_ports_tell_to_run_backwards_is_turned():
    with namespace():
        for known in (flow(80, 50000), flow(50001, 80), flow(50002, 50003)):
            pickup.establish(known)

        assert set_right() == 1

        assert {(f.original.sport, f.original.dport) for f in conntrack.dump()} == {
            (50000, 80),
            (50001, 80),
            (50002, 50003),
        }
    assert runs_backwards(flow(80, 50000))


def test_a_reply_that_came_up_first_gets_its_connection_and_no_more_than_so_many_a_second(monkeypatch):
    monkeypatch.setattr(directions, "A_SECOND", 2)
    monkeypatch.setattr(directions.time, "monotonic", lambda: 9.0)
    with namespace():
        made = Directions()
        made.turn(b"nothing")
        made.turn(segment(80, 50000))
        made.turn(segment(80, 50001))

        assert [(f.original.src, f.original.sport) for f in conntrack.dump()] == [(addr(B), 50000)]
