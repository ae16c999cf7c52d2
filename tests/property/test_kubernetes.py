"""Objects of Kubernetes mean what Kubernetes says, whatever becomes of them on the way."""

import json
from random import Random
from typing import Any

import msgspec
from hypothesis import event, given, note
from hypothesis import strategies as st

from calicod.resources.load import load, together
from calicod.resources.snapshot import snapshot
from tests.conformance.judge import Judge, read
from tests.oracle.kubernetes import Cluster
from tests.oracle.objects import Forge

PACKETS = 30


@given(st.integers(0, 2**64))
def test_policies_of_kubernetes_mean_what_its_documentation_says(seed):
    forge = Forge(Random(seed))
    objects = forge.cluster()
    found = read(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}), {"cluster": True})
    cluster, judge = Cluster(objects), Judge(found)

    assert found.reasons == {}
    for _ in range(PACKETS):
        packet = forge.packet()
        decision = judge.decide(packet)
        event(decision.reason.value)
        note(f"{packet}: {decision}")
        assert (decision.verdict.value == "allow") is cluster.allows(packet)


@given(st.integers(0, 2**64))
def test_neither_the_order_of_objects_nor_that_of_their_fields_matters(seed):
    random = Random(seed)
    objects = Forge(random).cluster()
    first = snapshot(loaded(objects).resources)
    shuffled = [turned(obj) for obj in random.sample(objects, len(objects))]

    assert placeless(snapshot(loaded(shuffled).resources)) == placeless(first)


def loaded(objects):
    """Each in a file of its own."""
    return together(load(json.dumps(obj), f"{obj['kind']}-{obj['metadata']['name']}.json") for obj in objects)


def turned(value: Any) -> Any:
    """The same with the fields of every mapping the other way round."""
    if isinstance(value, dict):
        return {key: turned(inner) for key, inner in reversed(value.items())}
    return [turned(inner) for inner in value] if isinstance(value, list) else value


def placeless(value: Any) -> Any:
    """Without places: columns follow the fields."""
    value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        return {key: placeless(inner) for key, inner in value.items() if key != "place"}
    return [placeless(inner) for inner in value] if isinstance(value, list | tuple) else value
