"""More of them, and changed ones, in tests/netns/test_links.py."""

from calicod.netfilter.addresses import addresses
from calicod.netfilter.links import interfaces


def test_addresses_are_those_that_interfaces_have() -> None:
    assert addresses() == {nic.index: nic.addresses for nic in interfaces() if nic.addresses}
