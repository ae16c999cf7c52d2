"""Interface resolution of semantics 1.8, on values."""

import itertools

import pytest

from calicod.model.interface import Interface
from calicod.ruleset.program import HostSettings, LocalEndpoint, RuleSet
from calicod.ruleset.topology import Topology, host_endpoint, is_workload, resolve

ADDRESS = bytes([192, 0, 2, 1])
OTHER = bytes([192, 0, 2, 9])
ETH0 = Interface(1, "eth0", (ADDRESS,))
ETH1 = Interface(2, "eth1", (OTHER,))
LO = Interface(3, "lo", (bytes([127, 0, 0, 1]), ADDRESS))


def host(name: str, interface: str = "", *addresses: bytes) -> LocalEndpoint:
    return LocalEndpoint(
        type="HostEndpoint", namespace="", name=name, interface=interface, addresses=addresses, ingress=0, egress=0
    )


def workload(name: str, interface: str) -> LocalEndpoint:
    return LocalEndpoint(type="WorkloadEndpoint", namespace="a", name=name, interface=interface, ingress=0, egress=0)


def hosts(*endpoints: LocalEndpoint) -> RuleSet:
    return RuleSet(node="n", hosts=endpoints)


def test_the_smallest_name_wins_even_if_it_matched_by_address_and_the_other_by_name():
    ruleset = hosts(host("aaa", "", ADDRESS), host("bbb", "eth0"))

    assert resolve(ruleset, [ETH0]).hosts == {"eth0": 0}


def test_a_host_endpoint_that_names_another_interface_never_matches_by_address():
    assert resolve(hosts(host("aaa", "eth1", ADDRESS)), [ETH0]).hosts == {}


def test_one_host_endpoint_is_active_on_every_interface_that_bears_one_of_its_addresses():
    assert resolve(hosts(host("a", "", ADDRESS, OTHER)), [ETH0, ETH1]).hosts == {"eth0": 0, "eth1": 0}


def test_the_smallest_named_wildcard_is_chosen_and_its_addresses_match_nothing():
    ruleset = hosts(host("a", "*", ADDRESS), host("b", "*"))

    assert resolve(ruleset, [ETH0]) == Topology(wildcard=0)


def test_the_wildcard_covers_interfaces_without_their_own_but_never_lo():
    topology = resolve(hosts(host("a", "*"), host("b", "eth0")), [ETH0, ETH1, LO])

    assert [host_endpoint(topology, name) for name in ("eth0", "eth1", "lo", "unseen")] == [1, 0, None, 0]


def test_lo_has_a_host_endpoint_only_when_it_is_named():
    assert resolve(hosts(host("a", "", ADDRESS)), [LO]).hosts == {}
    assert resolve(hosts(host("a", "lo")), [LO]).hosts == {"lo": 0}


def test_a_workload_interface_is_never_a_candidate_for_a_host_endpoint():
    ruleset = hosts(host("a", "cali1"), host("b", "", ADDRESS))

    assert resolve(ruleset, [Interface(4, "cali1", (ADDRESS,))]).hosts == {}


def test_a_workload_endpoint_is_known_before_its_interface_exists():
    assert resolve(RuleSet(node="n", workloads=(workload("w", "cali1"),)), []).workloads == {"cali1": 0}


def test_the_first_of_two_workload_endpoints_with_one_interface_is_active():
    ruleset = RuleSet(node="n", workloads=(workload("w", "cali1"), workload("v", "cali1")))

    assert resolve(ruleset, []).workloads == {"cali1": 0}


def test_a_workload_endpoint_on_an_interface_without_the_prefix_is_not_active():
    ruleset = RuleSet(
        node="n",
        settings=HostSettings(workload_prefixes=("tap", "veth")),
        workloads=(workload("w", "cali1"), workload("v", "tap1")),
    )

    assert resolve(ruleset, []).workloads == {"tap1": 1}
    assert [is_workload(ruleset, name) for name in ("veth9", "cali1", "tap")] == [True, False, True]


@pytest.mark.parametrize("order", list(itertools.permutations([ETH0, ETH1, LO])))
def test_the_order_of_interfaces_does_not_matter(order: tuple[Interface, ...]):
    ruleset = hosts(host("a", "", ADDRESS, OTHER), host("b", "eth1"), host("c", "*"), host("d", "lo"))

    assert resolve(ruleset, order) == Topology(hosts={"eth0": 0, "eth1": 0, "lo": 3}, wildcard=2)
