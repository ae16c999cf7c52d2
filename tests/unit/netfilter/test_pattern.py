"""Interfaces as rules select them."""

import pytest

from calicod.errors import CalicodError
from calicod.model.marks import UNMANAGED_ID, WORKLOAD_ID
from calicod.model.steering import ForwardingWorkload, Nic, Steering
from calicod.netfilter.pattern import (
    Pattern,
    host_patterns,
    ordered,
    prefix_match,
    rest,
    workload_cover,
    workload_patterns,
)


def steering(*nics: Nic, workloads: tuple[str, ...] = (), **changes: object) -> Steering:
    forwarding = tuple(ForwardingWorkload(name, 20 + n, ()) for n, name in enumerate(workloads))
    return Steering(generation=1, nics=nics, workload_prefixes=("cali",), forwarding_workloads=forwarding, **changes)


def test_host_interfaces_named_like_workloads_come_first_and_the_rest_last() -> None:
    given = steering(Nic("eth0", 3, managed=True), Nic("cali-host", 4, managed=True), workloads=("caliw",))

    assert ordered(given, host_patterns(given)) == (
        Pattern("cali-host", 4, workload=False),
        Pattern("caliw", 20, workload=True),
        Pattern("cali+", WORKLOAD_ID, workload=True),
        Pattern("eth0", 3, workload=False),
        Pattern("", UNMANAGED_ID, workload=False, managed=False),
    )


def test_an_unmanaged_interface_named_like_a_workload_is_one() -> None:
    assert host_patterns(steering(Nic("cali9", 5, managed=False))) == ()


def test_the_cover_names_a_workload_only_when_no_prefix_does() -> None:
    given = steering(workloads=("caliw", "veth7"))

    assert [pattern.match for pattern in workload_cover(given)] == ["veth7", "cali+"]
    assert [pattern.match for pattern in workload_patterns(given)] == ["caliw", "veth7", "cali+"]


def test_the_rest_is_managed_by_a_wildcard_host() -> None:
    assert rest(steering(wildcard_host=True)).managed
    assert not rest(steering()).managed


def test_a_prefix_as_long_as_a_name_may_be_is_a_name() -> None:
    assert prefix_match("a" * 14) == "a" * 14 + "+"
    assert prefix_match("a" * 15) == "a" * 15


@pytest.mark.parametrize("name", ["eth+", "!eth0", '"eth0"', "-i", "é0", "a\\b", "a'b", ""])
def test_a_managed_interface_that_no_rule_can_name_is_refused(name: str) -> None:
    with pytest.raises(CalicodError) as raised:
        host_patterns(steering(Nic(name, 3, managed=True)))

    assert (raised.value.code, raised.value.exit_code) == ("K016", 4)
    assert repr(name) in str(raised.value)


def test_an_unmanaged_interface_that_no_rule_can_name_counts_as_any_other() -> None:
    assert host_patterns(steering(Nic("eth+", 3, managed=False))) == ()


@pytest.mark.parametrize("name", ["eth0", "eth0.100", "br-1a2b", "wg_0", "a:b", "e+x", "veth@0"])
def test_usual_names_are_taken_as_they_are(name: str) -> None:
    assert host_patterns(steering(Nic(name, 3, managed=True))) == (Pattern(name, 3, workload=False),)
