"""Labels and identity of endpoints and network sets (semantics 1.7 to 1.10)."""

import pytest

from calicod.compiler.endpoints import (
    endpoint_source,
    host_subject,
    inherited,
    is_ignored,
    known,
    on_interfaces,
    set_source,
    workload_key,
    workload_labels,
    workload_subject,
)
from calicod.compiler.ranges import ranges_of, ranges_of_addresses
from calicod.ruleset.program import KnownNetwork
from tests.unit.compiler.build import addr, host, net, network_set, port, workload


def test_a_workload_has_the_labels_that_calico_forces():
    labels = {"app": "x", "projectcalico.org/namespace": "lie", "projectcalico.org/orchestrator": "lie"}

    assert workload_labels(workload(labels=labels, service_account_name="sa")) == {
        "app": "x",
        "projectcalico.org/namespace": "a",
        "projectcalico.org/orchestrator": "k8s",
        "projectcalico.org/serviceaccount": "sa",
    }


@pytest.mark.parametrize(("length", "is_label"), [(62, True), (63, False)])
def test_a_long_service_account_is_no_label(length: int, is_label: bool):
    labels = workload_labels(workload(service_account_name="s" * length))

    assert ("projectcalico.org/serviceaccount" in labels) is is_label


def test_a_workload_cannot_give_itself_labels_of_namespace_or_service_account_but_a_host_can():
    lies = {"pcns.team": "root", "pcsa.role": "root", "app": "x"}

    assert not {"pcns.team", "pcsa.role"} & set(workload_labels(workload(labels=lies)))
    assert host_subject(host(labels=lies), {}).labels == lies


def test_own_labels_win_over_profiles_and_the_first_profile_over_the_second():
    applied = {"one": {"a": "1", "b": "1"}, "two": {"a": "2", "b": "2", "c": "2"}}

    assert inherited({"a": "own"}, ("missing", "one", "two"), applied) == {"a": "own", "b": "1", "c": "2"}


def test_subjects_inherit_labels():
    applied = {"kns.a": {"pcns.team": "red"}}

    assert workload_subject(workload(profiles=("kns.a",)), applied).labels["pcns.team"] == "red"
    assert host_subject(host(profiles=("kns.a",)), applied).labels == {"pcns.team": "red"}


@pytest.mark.parametrize(
    ("fields", "spoofing", "ignored"),
    [
        ({}, False, False),
        ({"addresses": ()}, False, True),
        ({"interface_name": ""}, False, True),
        ({"allow_spoofed_source_prefixes": (net("10.0.0.0/8"),)}, False, True),
        ({"allow_spoofed_source_prefixes": (net("10.0.0.0/8"),)}, True, False),
    ],
)
def test_which_workloads_are_ignored(fields: dict[str, object], spoofing: bool, ignored: bool):
    assert is_ignored(workload(**fields), spoofing=spoofing) is ignored


def test_a_host_is_matched_by_its_expected_addresses_only():
    assert endpoint_source(host(interface="eth0"), {}).ranges == ranges_of([])
    assert endpoint_source(host(addresses=("192.0.2.1", "fd00::1")), {}).ranges == ranges_of_addresses(
        [addr("192.0.2.1"), addr("fd00::1")]
    )


def test_endpoints_have_ports_and_network_sets_have_none():
    assert endpoint_source(workload(ports=(port("http", 80),)), {}).ports == (port("http", 80),)
    assert set_source(network_set("s", "a", ("10.0.0.0/8",)), ranges_of([net("10.0.0.0/8")]), {}).ports == ()


def test_a_network_set_inherits_the_labels_of_its_namespace_and_a_global_one_none():
    applied = {"kns.a": {"pcns.team": "red"}, "kns.": {"pcns.team": "never"}}

    assert set_source(network_set("s", "a", (), {"x": "1"}), ranges_of([]), applied).labels == {
        "x": "1",
        "projectcalico.org/namespace": "a",
        "pcns.team": "red",
    }
    assert set_source(network_set("s", "", (), {"x": "1"}), ranges_of([]), applied).labels == {"x": "1"}


def test_workloads_stand_in_the_order_of_orchestrator_workload_and_endpoint():
    one = workload("b", "a")
    two = workload("a", "b")
    three = workload("a", "a", orchestrator="cni")

    assert sorted([two, one, three], key=workload_key) == [three, one, two]


def test_everything_known_is_listed_by_kind_with_its_own_labels():
    listed = known(
        [workload(labels={"x": "1"}, profiles=("p",)), host(addresses=("192.0.2.1",))],
        [network_set("g", "", ("10.0.0.0/8",)), network_set("s", "a", ())],
    )

    labels = {"x": "1", "projectcalico.org/namespace": "a", "projectcalico.org/orchestrator": "k8s"}
    assert listed == (
        KnownNetwork("HostEndpoint", "", "h", {}, (net("192.0.2.1/32"),)),
        KnownNetwork("NetworkSet", "", "g", {}, (net("10.0.0.0/8"),)),
        KnownNetwork("NetworkSet", "a", "s", {"projectcalico.org/namespace": "a"}, ()),
        KnownNetwork("WorkloadEndpoint", "a", "n1-k8s-w-eth0", labels, (net("10.65.0.2/32"),)),
    )


def test_interfaces_of_pods_are_named_by_the_prefix_and_others_as_they_are_written():
    pod, other = workload("p", interface_name="cali0123", interface_hash="0123"), workload("o")

    assert [w.interface_name for w in on_interfaces((pod, other), "tap")] == ["tap0123", "calio"]
    assert on_interfaces((pod, other), "cali") == (pod, other)
