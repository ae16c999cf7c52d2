"""A network interface."""

from calicod.model.interface import Interface, Link


def test_an_interface_is_a_value_that_is_up_and_without_addresses_unless_told():
    eth0 = Interface(2, "eth0")

    assert (eth0.addresses, eth0.up) == ((), True)
    assert eth0 != Interface(2, "eth0", (bytes(4),))
    assert {eth0, Interface(2, "eth0")} == {eth0}


def test_a_link_has_the_name_of_its_interface_and_stands_alone_unless_told():
    link = Link(Interface(2, "eth0"))

    assert (link.name, link.kind, link.master, link.below) == ("eth0", "", "", "")
