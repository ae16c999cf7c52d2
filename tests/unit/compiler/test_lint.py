"""Each warning, and that the usual gives none."""

import pytest
from msgspec.structs import replace

from calicod.compiler.compile import compile
from calicod.errors import Severity
from calicod.resources.kinds import FelixConfiguration, Metadata
from calicod.resources.snapshot import snapshot
from calicod.selector.parser import parse
from tests.unit.compiler.build import (
    codes,
    compilation,
    host,
    net,
    node,
    place,
    policy,
    profile,
    rule,
    tier,
    workload,
)

FELIX = FelixConfiguration(metadata=Metadata(name="x"))


@pytest.mark.parametrize(
    ("code", "resource"),
    [
        ("W050", policy(tier="ghost")),
        ("W052", host(profiles=("gone",))),
        ("W054", workload(allow_spoofed_source_prefixes=(net("10.0.0.0/8"),))),
        ("W055", workload(interface_name="eth0")),
        ("W057", FelixConfiguration(metadata=Metadata(name="x"), node_selector=parse("has(y)"))),
        ("W058", FELIX),
    ],
)
def test_each_mistake_has_its_warning(code: str, resource):
    assert codes(resource) == [code]


def test_the_second_workload_of_an_interface_is_told():
    found = compilation(workload("w"), workload("v", interface_name="caliw")).diagnostics

    assert [(d.code, d.name, d.message) for d in found] == [
        ("W056", "n1-k8s-w-eth0", 'interface "caliw" belongs to a/n1-k8s-v-eth0: this endpoint is not active')
    ]


def test_a_warning_names_the_resource_and_the_place():
    (found,) = compilation(policy("p", "a", tier="ghost", place=place(9))).diagnostics

    assert found.severity is Severity.WARNING
    assert (found.kind, found.namespace, found.name, found.path) == ("NetworkPolicy", "a", "p", "spec.tier")
    assert str(found) == (
        'f.yaml:9:1: warning W050 spec.tier: tier "ghost" does not exist: the policy is enforced after all tiers that'
        " do\n  hint: write a Tier named ghost, or correct the name"
    )


def test_what_is_usual_gives_no_warning():
    assert (
        codes(
            tier("t"),
            policy("p", tier="t"),
            policy("q"),
            profile("kns.a", ingress=(rule(),)),
            workload(profiles=("kns.a",)),
            host(profiles=("projectcalico-default-allow",)),
            FelixConfiguration(metadata=Metadata(name="default")),
            FelixConfiguration(metadata=Metadata(name="node.n2")),
            FelixConfiguration(metadata=Metadata(name="chosen"), node_selector=parse("all()")),
        )
        == []
    )


def test_endpoints_of_other_nodes_are_their_own_business():
    assert codes(workload("w", node="n2", addresses=()), host("h", node="n2", profiles=("gone",))) == []


def test_a_staged_policy_of_a_tier_that_does_not_exist_would_be_enforced_last():
    staged = replace(policy(tier="ghost"), kind="StagedGlobalNetworkPolicy", staged_action="Set")
    (found,) = compilation(staged).diagnostics

    assert found.message == 'tier "ghost" does not exist: the policy would be enforced after all tiers that do'


def test_the_tier_of_a_staged_removal_does_not_matter():
    assert codes(replace(policy(tier="ghost"), kind="StagedGlobalNetworkPolicy", staged_action="Delete")) == []


CHOSEN = FelixConfiguration(metadata=Metadata(name="x"), node_selector=parse("has(y)"))


def test_a_configuration_chosen_by_labels_is_told_only_where_the_labels_are_not_known():
    assert codes(CHOSEN, node("n1")) == []
    assert codes(CHOSEN, node("n2")) == ["W057"]
    assert compile(snapshot([CHOSEN, node("n2")]), None).diagnostics == ()


def test_pods_of_a_namespace_that_is_not_there_are_told_of_once():
    pods = [
        workload(name, interface_name=f"cali{name}", interface_hash=name, profiles=("kns.a", "ksa.a.default"))
        for name in ("v", "w")
    ]

    assert [(d.code, d.path, d.hint) for d in compilation(*pods).diagnostics] == [
        ("W052", "metadata.namespace", "add the Namespace to the input")
    ]
    assert codes(*pods, profile("kns.a", ingress=(rule(),))) == []
