"""Protocol numbers and names."""

import pytest

from calicod.model.protocol import NAMES, NUMBERS, RULE_PORTS, WITH_PORTS, Protocol, protocol_name


def test_calico_knows_six_names():
    assert dict(NAMES) == {"TCP": 6, "UDP": 17, "ICMP": 1, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}
    assert all(NUMBERS[number] == name for name, number in NAMES.items())


@pytest.mark.parametrize(("number", "name"), [(6, "tcp"), (58, "icmpv6"), (136, "udplite"), (0, "0"), (253, "253")])
def test_events_show_a_name_or_else_the_number(number, name):
    assert protocol_name(number) == name


def test_udplite_has_ports_that_rules_cannot_name():
    assert {136} == WITH_PORTS - RULE_PORTS


def test_a_number_implies_no_family():
    assert Protocol(1) != Protocol(1, family=4)
    assert Protocol(1).family is None
