"""Which FelixConfiguration is in force (semantics 1.13, 4.11)."""

import pytest

from calicod.compiler.settings import (
    DEFAULT_INBOUND,
    DEFAULT_OUTBOUND,
    first_prefix,
    in_force,
    settings,
    spoofing_allowed,
)
from calicod.model.protocol import TCP, UDP
from calicod.resources.kinds import Failsafe, FelixConfiguration, Metadata, Node
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import HostSettings
from calicod.selector.parser import parse


def felix(name: str, **fields: object) -> FelixConfiguration:
    return FelixConfiguration(metadata=Metadata(name=name), **fields)


def of(node: str | None, *configurations: FelixConfiguration) -> HostSettings:
    return settings(snapshot(configurations), node)


def test_without_configuration_calicos_defaults_hold():
    assert of("n1") == HostSettings(failsafe_inbound=DEFAULT_INBOUND, failsafe_outbound=DEFAULT_OUTBOUND)


def test_the_default_failsafes_are_those_of_calico():
    common = {(TCP, port) for port in (179, 2379, 2380, 5473, 6443, 6666, 6667)}

    assert {(f.protocol, f.port) for f in DEFAULT_INBOUND} == common | {(TCP, 22), (UDP, 68)}
    assert {(f.protocol, f.port) for f in DEFAULT_OUTBOUND} == common | {(UDP, 53), (UDP, 67)}


def test_an_empty_failsafe_list_means_none_and_an_absent_one_the_defaults():
    present = of("n1", felix("default", failsafe_inbound_host_ports=()))

    assert present.failsafe_inbound == ()
    assert present.failsafe_outbound == DEFAULT_OUTBOUND


def test_the_configuration_of_the_node_wins_field_by_field():
    present = of(
        "n1",
        felix("default", vxlan_port=1, interface_prefix=("tap",), default_endpoint_to_host_action="Accept"),
        felix("chosen", node_selector=parse("all()"), vxlan_port=2, interface_prefix=("veth",)),
        felix("node.n1", vxlan_port=3, failsafe_inbound_host_ports=(Failsafe(TCP, 2222),)),
        felix("node.n2", vxlan_port=4),
    )

    assert present == HostSettings(
        workload_prefixes=("veth",),
        endpoint_to_host_action="Accept",
        failsafe_inbound=(Failsafe(TCP, 2222),),
        failsafe_outbound=DEFAULT_OUTBOUND,
        vxlan_port=3,
    )


def test_of_several_selected_configurations_the_oldest_applies_alone():
    every = parse("all()")
    old = felix("z", node_selector=every, vxlan_port=1, creation_timestamp="2026-01-01T00:00:00Z")
    new = felix(
        "a", node_selector=every, vxlan_port=2, disable_conntrack_invalid_check=True, creation_timestamp="2026-02"
    )

    assert of("n1", old, new).vxlan_port == 1
    assert not of("n1", old, new).disable_invalid_check


def test_a_selector_that_needs_labels_of_nodes_is_not_applied():
    assert of("n1", felix("x", node_selector=parse("!has(y)"), vxlan_port=1)).vxlan_port == 4789


def test_no_node_in_particular_has_the_cluster_wide_settings():
    assert of(None, felix("default", vxlan_port=1), felix("node.n1", vxlan_port=2)).vxlan_port == 1


@pytest.mark.parametrize(("written", "meant"), [("drop", "Drop"), ("RETURN", "Return"), ("Accept", "Accept")])
def test_the_case_of_the_host_action_does_not_matter(written: str, meant: str):
    assert of("n1", felix("default", default_endpoint_to_host_action=written)).endpoint_to_host_action == meant


def test_an_empty_prefix_is_no_prefix():
    assert of("n1", felix("default", interface_prefix=("", "tap"))).workload_prefixes == ("tap",)
    assert of("n1", felix("default", interface_prefix=("",))).workload_prefixes == ("cali",)


def test_every_switch_is_carried_over():
    present = of(
        "n1",
        felix(
            "default",
            disable_conntrack_invalid_check=True,
            allow_vxlan_packets_from_workloads=True,
            allow_ipip_packets_from_workloads=True,
        ),
    )

    assert (present.disable_invalid_check, present.allow_vxlan_from_workloads, present.allow_ipip_from_workloads) == (
        True,
        True,
        True,
    )


@pytest.mark.parametrize(("value", "allowed"), [("Any", True), ("Disabled", False), (None, False)])
def test_foreign_sources_are_allowed_only_by_any(value: str | None, allowed: bool):
    assert spoofing_allowed(in_force(snapshot([felix("default", workload_source_spoofing=value)]), "n1")) is allowed


LABELLED = Node(metadata=Metadata(name="n1", labels={"role": "edge"}))


@pytest.mark.parametrize(("selector", "port"), [("role == 'edge'", 1), ("!has(y)", 1), ("role == 'core'", 4789)])
def test_a_configuration_is_chosen_by_the_labels_of_a_node_that_is_known(selector: str, port: int):
    chosen = felix("x", node_selector=parse(selector), vxlan_port=1)

    assert settings(snapshot([LABELLED, chosen]), "n1").vxlan_port == port
    assert settings(snapshot([LABELLED, chosen]), "n2").vxlan_port == 4789


@pytest.mark.parametrize(
    ("given", "first"), [(None, "cali"), ((), "cali"), (("", "tap", "cali"), "tap"), (("z", "a"), "z")]
)
def test_pods_take_the_first_prefix_as_written(given, first: str):
    assert first_prefix(felix("default", interface_prefix=given)) == first
