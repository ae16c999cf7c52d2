"""Addresses and networks as the bytes on the wire (semantics 1.15)."""

from ipaddress import ip_address

import pytest

from calicod.model.network import Network, family_of, format_address, parse_address, parse_network


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("192.0.2.1", "c0000201"),
        ("::1", 31 * "0" + "1"),
        ("2001:DB8::A", "20010db800000000000000000000000a"),
        ("::ffff:192.0.2.1", "c0000201"),
        ("::ffff:c000:201", "c0000201"),
    ],
)
def test_an_address_is_its_bytes_and_a_mapped_one_is_ipv4(text, data):
    assert parse_address(text).hex() == data


@pytest.mark.parametrize(
    "text", ["", "192.0.2", "192.0.2.256", "010.0.0.1", "fe80::1%eth0", "::1/128", "host", "1", "1::2::3"]
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=r"address|zone|IPv"):
        parse_address(text)


@pytest.mark.parametrize("text", ["192.0.2.1", "0.0.0.0", "::", "::1", "2001:db8::a", "fe80::"])
def test_an_address_comes_back_as_it_is_usually_written(text):
    assert format_address(parse_address(text)) == text


@pytest.mark.parametrize(
    ("text", "network", "masked"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", True),
        ("10.1.2.3/8", "10.0.0.0/8", False),
        ("10.0.0.1", "10.0.0.1/32", True),
        ("::1", "::1/128", True),
        ("0.0.0.0/0", "0.0.0.0/0", True),
        ("1.0.0.0/0", "0.0.0.0/0", False),
        ("10.0.0.0/008", "10.0.0.0/8", True),
        ("2001:db8::1/32", "2001:db8::/32", False),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8", True),
        ("::ffff:10.1.0.0/104", "10.0.0.0/8", False),
        ("::ffff:0.0.0.0/95", "::fffe:0:0/95", False),
    ],
)
def test_a_network_is_masked_and_says_whether_it_was(text, network, masked):
    parsed, was_masked = parse_network(text)

    assert (str(parsed), was_masked) == (network, masked)


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0.0/٨",
        "10.0.0.0/255.0.0.0",
        "fe80::%e/64",
        "x/8",
    ],
)
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match=r"mask|address|zone|IPv"):
        parse_network(text)


@pytest.mark.parametrize(
    ("network", "first", "last"),
    [
        ("10.0.0.0/8", "10.0.0.0", "10.255.255.255"),
        ("192.0.2.1/32", "192.0.2.1", "192.0.2.1"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
        ("2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_a_network_knows_its_ends_and_what_lies_between(network, first, last):
    block = parse_network(network)[0]

    assert (format_address(block.first), format_address(block.last)) == (first, last)
    assert block.first in block
    assert block.last in block


@pytest.mark.parametrize("outside", ["9.255.255.255", "11.0.0.0", "::", "::a00:1"])
def test_nothing_else_lies_in_a_network_least_of_all_the_other_family(outside):
    assert parse_address(outside) not in parse_network("10.0.0.0/8")[0]


def test_the_number_of_bytes_is_the_family():
    assert [family_of(bytes(4)), family_of(bytes(16))] == [4, 6]
    assert [Network(bytes(4), 0).family, Network(bytes(16), 0).family] == [4, 6]


@pytest.mark.parametrize(
    "text",
    [
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.+4",
        "1.2.3.\u0664",
        " 1.2.3.4",
        "1.2.3.4\n",
        "1..3.4",
        "-1.2.3.4",
    ],
)
def test_what_only_looks_like_ipv4_is_no_network_either(text):
    """The usual spelling is read without `ipaddress`; whatever else goes through it."""
    with pytest.raises(ValueError, match="address"):
        parse_network(f"{text}/8")


def test_the_usual_spelling_means_what_ipaddress_says():
    for text in ("0.0.0.0", "255.255.255.255", "10.0.0.9", "192.168.1.100"):
        packed = ip_address(text).packed
        assert parse_address(text) == packed
        assert parse_network(text) == (Network(packed, 32), True)
