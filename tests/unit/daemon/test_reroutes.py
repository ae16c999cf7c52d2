import asyncio
import contextlib

import pytest
from msgspec.structs import replace

from calicod.daemon import reroutes
from calicod.daemon.reroutes import Reroutes, Whereabouts, departed, unstamp_flows
from calicod.model.marks import layout
from calicod.netfilter import conntrack, pickup
from calicod.netfilter.flow import Flow, FlowTuple
from calicod.netfilter.reroutes import Change
from calicod.netfilter.routes import Route
from tests.netns.world import run
from tests.unit.compiler.build import addr, ruleset, workload
from tests.unit.daemon.control_plane import namespace

MARKS = layout()
A, B, C = (addr(f"10.65.0.{n}") for n in (2, 3, 4))
HERE, THERE = Route(local=False, interface=3), Route(local=False, interface=4)


def to(address: bytes, *, usual: bool = True) -> Change:
    return Change(4, address, 32, usual)


class Table:
    """Routes that the test sets."""

    def __init__(self, **_: object) -> None:
        self.routes: dict[bytes, Route] = {A: HERE, B: HERE}

    def find(self, destination: bytes, _: bytes, __: int) -> Route | None:
        return self.routes.get(destination)


def test_an_address_that_is_routed_elsewhere_has_moved_once():
    table, known = Table(), Whereabouts()
    known.learn([A, B], table.find)
    table.routes[A] = THERE

    assert known.moved([to(A), to(B)], table.find) == {A}
    assert known.moved([to(A), to(B)], table.find) == frozenset()


def test_what_nobody_told_of_is_not_asked_about():
    table, known = Table(), Whereabouts()
    known.learn([A], table.find)
    table.routes[A] = THERE

    assert known.moved([to(B)], table.find) == frozenset()


def test_a_route_of_a_table_that_not_all_packets_ask_counts_as_a_move():
    table, known = Table(), Whereabouts()
    known.learn([A], table.find)

    assert known.moved([to(A, usual=False)], table.find) == {A}


def test_a_move_between_two_policies_is_not_missed():
    table, known = Table(), Whereabouts()
    known.learn([A], table.find)
    table.routes[A] = THERE
    known.learn([A, C], table.find)

    assert known.moved([to(A)], table.find) == {A}
    assert set(known.known) == {A, C}


def flow(source: bytes, target: bytes, mark: int) -> FlowTuple:
    return Flow(FlowTuple(6, source, target, 40000, 80), FlowTuple(6, target, source, 80, 40000), mark)


@pytest.mark.netns
def test_flows_from_and_to_it_count_as_judged_earlier_and_others_are_left_alone():
    stamp = MARKS.stamp(5, 3) | MARKS.filter_stage
    with namespace():
        for source, target in ((A, C), (C, A), (B, C)):
            pickup.establish(flow(source, target, 0).original)
        conntrack.set_marks(conntrack.dump(), stamp | 0x80, 0xFFFFFFFF)

        assert unstamp_flows(conntrack.dump(), frozenset({A}), MARKS) == 2

        marks = {(f.original.src, f.original.dst): f.mark for f in conntrack.dump()}
    assert marks == {(A, C): MARKS.judged | 0x80, (C, A): MARKS.judged | 0x80, (B, C): stamp | 0x80}


def test_a_workload_has_departed_that_is_no_more_is_down_or_has_given_its_interface_away():
    both = ruleset(workload("v", addresses=("10.65.0.2",)), workload("w", addresses=("10.65.0.3",)))
    one = ruleset(workload("w", addresses=("10.65.0.3",)))
    other = ruleset(workload("x", addresses=("10.65.0.9",), interface_name="caliw"))
    down = replace(one, workloads=tuple(replace(each, active=False) for each in one.workloads))

    assert departed(both, both) == departed(one, both) == departed(down, other) == frozenset()
    assert departed(both, one) == {A}
    assert departed(one, down) == departed(one, other) == {B}


def test_flows_of_the_departed_are_judged_again_and_nobody_looks_when_there_are_none():
    asked: list[frozenset[bytes]] = []
    made = Reroutes(MARKS, lambda addresses: asked.append(addresses) or 0)

    asyncio.run(made.leave(frozenset()))
    asyncio.run(made.leave(frozenset({A})))

    assert asked == [{A}]


@pytest.mark.netns
def test_a_route_that_moves_is_followed_at_once_and_looked_at_again(monkeypatch):
    monkeypatch.setattr(reroutes, "AGAIN_SECONDS", 0.05)
    asked: list[frozenset[bytes]] = []

    def unstamp(addresses: frozenset[bytes]) -> int:
        asked.append(addresses)
        return 0

    async def move() -> None:
        made = Reroutes(MARKS, unstamp)
        made.learn(ruleset(workload()))
        running = asyncio.ensure_future(made.run())
        await asyncio.sleep(0.05)
        run("ip", "route", "replace", "10.65.0.2/32", "dev", "v1")
        async with asyncio.timeout(5):
            while len(asked) < 2:  # noqa: ASYNC110  until it was done
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    with namespace():
        run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
        for name in ("v0", "v1"):
            run("ip", "link", "set", name, "up")
        run("ip", "route", "add", "10.65.0.2/32", "dev", "v0")
        asyncio.run(move())

    assert asked == [frozenset({A})] * 2
