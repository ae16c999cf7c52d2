"""The text of a decision put together from its parts is that of the linear engine's Decision."""

from unittest.mock import patch

import msgspec
from hypothesis import given

from calicod.cli import tails
from calicod.compiler.compile import compile
from calicod.engine import memory
from calicod.engine.bitmap import BitmapEngine
from calicod.engine.linear import LinearEngine
from calicod.resources.snapshot import snapshot
from tests.property.rulesets import DATA, WORLDS, Choices
from tests.property.test_compiler import CLUSTERS
from tests.property.test_engine import moved


def texts(ruleset, packets):
    linear, tail = LinearEngine(ruleset, ()), tails.in_cluster(BitmapEngine(ruleset, ()))
    for packet in packets:
        yield tail(packet), b"," + msgspec.json.encode(linear.decide_cluster(packet))[1:] + b"\n"


@given(WORLDS)
def test_lines_of_a_cluster_are_its_decisions(world):
    for told, expected in texts(world.ruleset, [packet for packet, _ in world.events]):
        assert told == expected


@given(CLUSTERS, DATA)
def test_lines_are_the_decisions_of_what_the_compiler_makes(resources, data):
    choices = Choices(data)
    packets = [moved(choices.packet(), choices) for _ in range(20)]

    for told, expected in texts(compile(snapshot(resources), None).ruleset, packets):
        assert told == expected


@given(WORLDS)
def test_forgetting_changes_no_line(world):
    with (
        patch.object(memory, "MAX_CLASSES", 2),
        patch.object(memory, "MAX_WAYS", 2),
        patch.object(tails, "MEMO", 2),
    ):
        for told, expected in texts(world.ruleset, [packet for packet, _ in world.events] * 2):
            assert told == expected
