"""Protocols and ports of rules: semantics 2.3, 2.7, R4 and D26."""

import pytest

from calicod.model.ports import PortRange
from calicod.model.protocol import Protocol
from calicod.resources.ports import implied_family
from tests.unit.resources.reading import Finding, refused_rule, rule


@pytest.mark.parametrize(
    ("written", "protocol"),
    [
        ("TCP", Protocol(6)),
        ("UDP", Protocol(17)),
        ("SCTP", Protocol(132)),
        ("UDPLite", Protocol(136)),
        ("ICMP", Protocol(1, 4)),
        ("ICMPv6", Protocol(58, 6)),
        ("1", Protocol(1)),
        ("255", Protocol(255)),
        ("'17'", Protocol(17)),
        ("6.0", Protocol(6)),
    ],
)
def test_a_protocol_is_a_name_that_may_imply_a_family_or_a_number(written, protocol):
    assert rule(f"{{action: Allow, protocol: {written}}}").protocol == protocol


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("tcp", "write TCP"),
        ("Tcp", "write TCP"),
        ("ICMPV6", "write ICMPv6"),
        ("IGMP", None),
        ("''", None),
        ("0", None),
        ("256", None),
        ("-1", None),
        ("6.5", None),
        ("0x6", None),
        ("[TCP]", None),
    ],
)
@pytest.mark.parametrize("field", ["protocol", "notProtocol"])
def test_another_protocol_is_refused(field, written, hint):
    assert refused_rule(f"{{action: Allow, {field}: «{written}}}") == [Finding("R004", field, hint)]


@pytest.mark.parametrize(
    ("written", "port"),
    [
        ("80", PortRange(80, 80)),
        ("'80'", PortRange(80, 80)),
        ("80.0", PortRange(80, 80)),
        ("1", PortRange(1, 1)),
        ("65535", PortRange(65535, 65535)),
        ("80:90", PortRange(80, 90)),
        ("'80:80'", PortRange(80, 80)),
        ("1:10", PortRange(1, 10)),
        ("http", "http"),
        ("'no'", "no"),
        ("no", "no"),
        ("a-1", "a-1"),
        ("8a", "8a"),
        ("abcdefghijklmno", "abcdefghijklmno"),
    ],
)
def test_a_port_is_a_number_a_range_or_a_name(written, port):
    assert rule(f"{{action: Allow, protocol: TCP, source: {{ports: [{written}]}}}}").source.ports == (port,)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("0", None),
        ("65536", None),
        ("-1", None),
        ("'65536'", None),
        ("'0:5'", None),
        ("'1:65536'", None),
        ("99999999999999999999999", None),
        ("'90:80'", "write 80:90"),
        ("80-90", "write 80:90"),
        ("80..90", "write 80:90"),
        ("'80: 90'", "write 80:90"),
        ("'80,90'", "write 80:90 for the range, [80, 90] for both ports"),
        ("' 80'", "write 80"),
        ("'80.'", None),
        ("80.5", None),
        ("HTTP", "write http"),
        ("a_b", "write a-b"),
        ("a.b", None),
        ("'a b'", None),
        ("a--b", None),
        ("abcdefghijklmnop", None),
        ("''", None),
        ("null", None),
        ("{}", None),
        ("'٣'", None),
    ],
)
@pytest.mark.parametrize("field", ["ports", "notPorts"])
def test_another_port_is_refused_with_what_was_probably_meant(field, written, hint):
    flow = f"{{action: Allow, protocol: TCP, destination: {{{field}: [1, «{written}]}}}}"

    assert refused_rule(flow) == [Finding("R029", f"destination.{field}[1]", hint)]


def test_a_number_implies_the_family_that_alone_has_it():
    assert [implied_family(Protocol(number)) for number in (1, 58, 6)] == [4, 6, None]
