"""Entries of conntrack, made and turned in a network namespace; packets meet them in tests/netns/test_beginning.py."""

from collections.abc import Iterator

import pytest

from calicod.netfilter import conntrack
from calicod.netfilter.flow import FlowTuple
from calicod.netfilter.pickup import establish, forget, inverse, is_liberal, picked_up, turn
from tests.unit.compiler.build import addr
from tests.unit.daemon.control_plane import namespace

pytestmark = pytest.mark.netns
FLOWS = [
    FlowTuple(6, addr("192.0.2.1"), addr("192.0.2.2"), 80, 50000),
    FlowTuple(6, addr("2001:db8::1"), addr("2001:db8::2"), 80, 50000),
]


@pytest.fixture(params=FLOWS, ids=["ipv4", "ipv6"])
def flow(request: pytest.FixtureRequest) -> Iterator[FlowTuple]:
    with namespace():
        yield request.param


def test_a_connection_is_entered_once_as_one_that_was_picked_up(flow: FlowTuple) -> None:
    assert establish(flow)
    assert not establish(flow)
    assert not establish(inverse(flow))

    (known,) = picked_up()
    assert (known.original, known.reply, known.mark) == (flow, inverse(flow), 0)


def test_a_connection_that_is_turned_runs_the_other_way(flow: FlowTuple) -> None:
    establish(flow)

    assert turn(flow)

    assert [known.original for known in conntrack.dump()] == [inverse(flow)]


def test_what_is_forgotten_is_gone_and_need_not_be_there(flow: FlowTuple) -> None:
    establish(flow)

    assert (forget(inverse(flow)), forget(flow)) == (True, False)
    assert list(conntrack.dump()) == []


def test_what_says_nothing_of_its_windows_was_not_picked_up() -> None:
    assert not is_liberal(b"")
