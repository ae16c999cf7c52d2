import pytest

from calicod.compiler.compile import Memory, _population
from calicod.compiler.lints.scene import Scene
from calicod.resources.kinds import Resource
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import RuleSet
from tests.unit.compiler.build import NODE, host, policy, workload


def scene(*resources: Resource) -> Scene:
    whole = snapshot(resources)
    return Scene(whole, NODE, _population(whole, NODE, Memory()), (), RuleSet(node=NODE))


@pytest.mark.parametrize(
    ("resources", "peopled"),
    [((), False), ((policy(),), False), ((workload(node="far"),), True), ((host(node="far"),), True)],
)
def test_a_scene_is_peopled_by_endpoints_of_any_node(resources, peopled):
    assert scene(*resources).is_peopled is peopled


def test_its_workloads_are_those_of_the_node():
    here = workload("here")

    assert list(scene(here, workload("far", node="far"), host()).workloads()) == [here]
