"""Networks and addresses: R12 and R13 of semantics 2.2, as 1.15 saw them, and D25."""

import pytest

from tests.unit.resources.reading import Finding, found, one, refused_rule, rule, text, warned

SUCH_AS = "such as 10.0.0.0/8 or 2001:db8::/32; names are not resolved"


def nets(entry, field="nets"):
    return f"{{action: Allow, source: {{{field}: [{entry}]}}}}"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/08", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.0.0.1/32", "10.0.0.1/32"),
        ("'2001:DB8::/32'", "2001:db8::/32"),
        ("'::/0'", "::/0"),
        ("'::ffff:10.0.0.0/104'", "10.0.0.0/8"),
        ("'::ffff:10.0.0.1/128'", "10.0.0.1/32"),
    ],
)
def test_a_network_of_a_rule_is_a_masked_cidr(written, read):
    assert [str(net) for net in rule(nets(written)).source.nets] == [read]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("10.1.2.3/8", "write 10.0.0.0/8 for the whole block, 10.1.2.3/32 for the one address"),
        ("'fd00::1/8'", "write fd00::/8 for the whole block, fd00::1/128 for the one address"),
        ("010.0.0.0/8", SUCH_AS),
        ("10.0.0.0/33", SUCH_AS),
        ("10.0.0.0/", SUCH_AS),
        ("10.0.0.0/-1", SUCH_AS),
        ("10.0.0.0/٨", SUCH_AS),
        ("host", SUCH_AS),
        ("''", SUCH_AS),
        ("10.0.0.0/255.0.0.0", "write the mask as a number of bits, such as /24"),
        ("'fe80::%eth0/64'", SUCH_AS),
    ],
)
@pytest.mark.parametrize("field", ["nets", "notNets"])
def test_another_network_refuses_the_policy(field, written, hint):
    told = Finding("R012", f"source.{field}[1]", hint)

    assert refused_rule(nets(f"10.0.0.0/8, «{written}", field)) == [told]


@pytest.mark.parametrize(("address", "network"), [("10.0.0.1", "10.0.0.1/32"), ("'fd00::1'", "fd00::1/128")])
def test_a_bare_address_in_a_rule_is_taken_and_told(address, network):
    told = warned("GlobalNetworkPolicy", f"ingress:\n- {nets(f'«{address}')}")

    assert told == [Finding("W003", "spec.ingress[0].source.nets[0]", f"write {network}")]


@pytest.mark.parametrize("written", ["0.0.0.0/0", "'::/0'", "'0::0/0'", "'0:0::/000'"])
def test_excluding_every_address_is_refused(written):
    assert refused_rule(nets(f"«{written}", "notNets")) == [Finding("R013", "source.notNets[0]")]


# Semantics 1.15: of IPv4 only the literal 0.0.0.0/0 counts.
@pytest.mark.parametrize("written", ["0.0.0.0/00", "'::ffff:0.0.0.0/96'"])
def test_other_spellings_of_every_ipv4_address_are_accepted(written):
    assert [net.length for net in rule(nets(written, "notNets")).source.not_nets] == [0]


def test_an_address_is_one_and_has_no_mask():
    host = one("HostEndpoint", "node: n\nexpectedIPs: [10.0.0.1, 'fd00::1', '::ffff:10.0.0.2']")

    assert [address.hex() for address in host.expected_ips] == ["0a000001", "fd" + 29 * "0" + "1", "0a000002"]


@pytest.mark.parametrize("written", ["10.0.0.1/32", "10.0.0", "fe80::1%lo", "host", "0x0a000001", "10.0.0.1 "])
def test_another_address_is_refused(written):
    told = found(text("HostEndpoint", f"node: n\nexpectedIPs: [«'{written}']"))

    assert [(finding.code, finding.path) for finding in told] == [("P025", "spec.expectedIPs[0]")]
