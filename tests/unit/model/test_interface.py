"""A network interface."""

import pytest

from calicod.model.interface import Interface, Link, is_nameable


@pytest.mark.parametrize("name", ["eth0", "eth0.100", "br-1a2b", "wg_0", "a:b", "e+x", "veth@0", "f" * 15])
def test_a_usual_name_can_be_written_in_a_rule(name: str):
    assert is_nameable(name)


@pytest.mark.parametrize("name", ["eth+", "!eth0", '"eth0"', "-i", "é0", "a\\b", "a'b", "", "$(id)", "a\n", "f" * 16])
def test_a_name_that_a_rule_would_read_otherwise_cannot(name: str):
    assert not is_nameable(name)


def test_an_interface_is_a_value_that_is_up_and_without_addresses_unless_told():
    eth0 = Interface(2, "eth0")

    assert (eth0.addresses, eth0.up) == ((), True)
    assert eth0 != Interface(2, "eth0", (bytes(4),))
    assert {eth0, Interface(2, "eth0")} == {eth0}


def test_a_link_has_the_name_of_its_interface_and_stands_alone_unless_told():
    link = Link(Interface(2, "eth0"))

    assert (link.name, link.kind, link.master, link.below) == ("eth0", "", "", "")
