"""The program is a plain value."""

import msgspec
import pytest

from calicod.ruleset.program import CompiledPolicy, HostSettings, LocalEndpoint, Program, RuleSet, TierStep


def test_a_program_is_known_by_its_content():
    steps = (TierStep("default", True, (0, 1)),)

    assert {Program(steps, (2,)): 0} == {Program((TierStep("default", True, (0, 1)),), (2,)): 0}


def test_an_empty_ruleset_has_no_endpoint_and_calicos_prefix():
    empty = RuleSet(node=None)

    assert (empty.workloads, empty.hosts, empty.ignored_interfaces) == ((), (), ())
    assert empty.settings == HostSettings(workload_prefixes=("cali",), endpoint_to_host_action="Drop")


@pytest.mark.parametrize(
    "value",
    [
        RuleSet(node="n"),
        CompiledPolicy(kind="NetworkPolicy", tier="default", namespace="a", name="p"),
        LocalEndpoint(type="HostEndpoint", namespace="", name="h", ingress=0, egress=0),
    ],
)
def test_values_of_the_program_cannot_be_changed(value: msgspec.Struct):
    with pytest.raises(AttributeError):
        value.name = "other"
