"""The bitmap engine gives the same Decision as the linear one, which is the specification."""

from unittest.mock import patch

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from calicod.compiler.compile import compile
from calicod.engine import bitmap, memory
from calicod.engine.bitmap import BitmapEngine
from calicod.engine.linear import LinearEngine
from calicod.fields import field, sets
from calicod.model.decision import Decision
from calicod.model.interface import Interface
from calicod.packet.value import Packet
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import RuleSet
from tests.oracle.clusters import V4, V6
from tests.property.rulesets import DATA, WORLDS, Choices
from tests.property.test_compiler import CLUSTERS

HERE = (Interface(1, "eth0", (bytes([10, 0, 0, 1]),)),)
ENDS = V4, V6
"""The addresses of `CLUSTERS`."""


def engines(ruleset: RuleSet, interfaces: tuple[Interface, ...] = ()) -> tuple[LinearEngine, BitmapEngine]:
    return LinearEngine(ruleset, interfaces), BitmapEngine(ruleset, interfaces)


def moved(packet: Packet, choices: Choices) -> Packet:
    """The same packet between addresses of `CLUSTERS`."""
    addresses = ENDS[packet.family == 6]
    return msgspec.structs.replace(packet, src=choices.one(addresses), dst=choices.one(addresses))


@given(WORLDS)
def test_both_engines_decide_alike(world):
    linear, quick = engines(world.ruleset, world.interfaces)

    for packet, place in world.events:
        assert quick.decide(packet, *place) == linear.decide(packet, *place)
        assert quick.decide(packet, *place, spared=True) == linear.decide(packet, *place, spared=True)
        assert quick.decide_way(packet, *place) == linear.decide_way(packet, *place)


@given(WORLDS)
def test_both_engines_decide_alike_for_a_cluster(world):
    linear, quick = engines(world.ruleset)

    for packet, _ in world.events:
        assert quick.decide_cluster(packet) == linear.decide_cluster(packet)


@given(CLUSTERS, DATA)
def test_both_engines_decide_alike_on_what_the_compiler_makes(resources, data):
    choices = Choices(data)
    linear, quick = engines(compile(snapshot(resources), "n1").ruleset, HERE)
    linear_cluster, quick_cluster = engines(compile(snapshot(resources), None).ruleset)

    for _ in range(20):
        packet, place = moved(choices.packet(), choices), choices.place()
        assert quick.decide(packet, *place) == linear.decide(packet, *place)
        assert quick_cluster.decide_cluster(packet) == linear_cluster.decide_cluster(packet)


@given(WORLDS, st.lists(st.integers(0, 19), max_size=50))
def test_forgetting_changes_no_decision_and_an_identity_always_means_the_same(world, again):
    """What is remembered is cut down to two things of each kind."""
    with (
        patch.object(memory, "MAX_CLASSES", 2),
        patch.object(memory, "MAX_WAYS", 2),
        patch.object(bitmap, "MAX_WAYS", 2),
        patch.object(field, "MAX_MASKS", 2),
        patch.object(sets, "MAX_ADDRESSES", 2),
    ):
        linear, quick = engines(world.ruleset, world.interfaces)
        told: dict[int, tuple[Decision, bytes]] = {}
        for number in [*range(len(world.events)), *again]:
            packet, place = world.events[number % len(world.events)]
            for decision, expected in (
                (quick.decide(packet, *place), linear.decide(packet, *place)),
                (quick.decide_way(packet, *place), linear.decide_way(packet, *place)),
                (quick.decide_cluster(packet), linear.decide_cluster(packet)),
            ):
                meaning = msgspec.msgpack.encode(decision)
                assert decision == expected
                assert told.setdefault(id(decision), (decision, meaning))[1] == meaning


@given(WORLDS)
def test_a_decision_made_twice_is_one_thing(world):
    engine = BitmapEngine(world.ruleset, world.interfaces)
    first = [engine.decide_way(packet, *place) for packet, place in world.events]

    assert all(engine.decide_way(p, *place) is known for (p, place), known in zip(world.events, first, strict=True))
