"""Interfaces that policy does not reach, or closes too much."""

import pytest
from msgspec.structs import replace

from calicod.daemon.cautions import covered, notices, unprotected
from calicod.model.interface import Interface, Link
from calicod.model.marks import UNMANAGED_ID
from calicod.model.steering import Nic, Steering
from tests.unit.compiler.build import addr, host, ruleset, workload

MANAGED = Steering(generation=1, nics=(Nic("eth0", 3, managed=True), Nic("br0", 4, managed=False)))
WORKLOADS = Steering(generation=1, workload_prefixes=("e", "cali"))
PUBLIC = addr("192.0.2.1")


def link(name: str, kind: str = "", **fields: object) -> Link:
    addresses = fields.pop("addresses", ())
    return Link(Interface(1, name, addresses), kind, **fields)


def test_a_managed_nic_that_is_a_port_of_an_unmanaged_bridge_is_told_with_both_names() -> None:
    (told,) = unprotected(MANAGED, [link("eth0", master="br0"), link("br0", "bridge")])

    assert "interface eth0 belongs to br0 (bridge)" in told


def test_a_macvlan_on_a_managed_nic_is_told() -> None:
    (told,) = unprotected(MANAGED, [link("eth0"), link("m0", "macvlan", below="eth0")])

    assert "m0 (macvlan) sits on eth0" in told


@pytest.mark.parametrize(
    "links",
    [
        [link("eth0")],
        [link("eth1", master="br0"), link("br0", "bridge")],
        [link("eth0"), link("eth0.5", "vlan", below="eth0")],
        [link("eth0", "veth", below="other")],
        [link("lo")],
    ],
)
def test_what_comes_by_its_own_name_is_protected(links: list[Link]) -> None:
    assert unprotected(MANAGED, links) == ()


def test_with_a_wildcard_host_bridge_and_macvlan_are_managed_too() -> None:
    steering = replace(MANAGED, wildcard_host=True)
    links = [link("eth0", master="br0"), link("br0", "bridge"), link("m0", "macvlan", below="eth0")]

    assert unprotected(steering, links) == ()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (link("eth0"), ("eth0",)),
        (link("eth0", "bond"), ("eth0",)),
        (link("eth0", "veth", addresses=(PUBLIC,)), ("eth0",)),
        (link("eth0", "veth", addresses=(addr("fe80::1"), addr("169.254.1.1"))), ()),
        (link("cali7", "tun"), ()),
        (link("calim", "veth", addresses=(PUBLIC,)), ()),
        (link("wlan0"), ()),
    ],
)
def test_a_nic_with_a_workloads_prefix_is_told_from_a_workload(found: Link, expected: tuple[str, ...]) -> None:
    assert covered(ruleset(workload(interface_name="calim")), WORKLOADS, [found, link("lo")]) == expected


def test_a_prefix_covers_nothing_while_no_workload_is_judged() -> None:
    assert covered(ruleset(host("h", "*")), MANAGED, [link("eth0")]) == ()


def test_a_covered_nic_is_told_with_the_consequence() -> None:
    (told,) = notices(ruleset(), WORKLOADS, [link("eth0")])

    assert "interface eth0 has a workload's prefix (interfacePrefix e, cali)" in told
    assert "SSH" in told


def test_interfaces_that_share_an_id_are_named() -> None:
    steering = Steering(generation=1, nics=(Nic("eth8", UNMANAGED_ID, True), Nic("eth9", UNMANAGED_ID, True)))

    (told,) = notices(ruleset(), steering, [])

    assert told.startswith("2 interfaces share one id in the connection mark (eth8, eth9)")
