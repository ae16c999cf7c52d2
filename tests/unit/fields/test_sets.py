from calicod.fields import sets as module
from calicod.fields.criteria import IPSet
from calicod.fields.sets import Sets
from calicod.fields.stretches import NOWHERE, set_bits
from calicod.model.network import parse_address
from tests.build import W, ip_set, port_set

WHOLE = ip_set("0.0.0.0/0", "::/0")
EDGES = ip_set("0.0.0.0/32", "255.255.255.255/32", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")
MIDDLE = ip_set("10.0.0.0/8", "10.200.0.0/32", "192.0.2.0/24", "fd00::/64", "fd00:0:0:2::/64")
SETS = (WHOLE, EDGES, MIDDLE)
ADDRESSES = (
    *("0.0.0.0", "0.0.0.1", "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0", "192.0.2.7", "255.255.255.255"),
    *("::", "::1", "fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00::", "fd00::ffff:ffff:ffff:ffff", "fd00:0:0:1::"),
    *("fd00:0:0:2::5", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
)


def containing(sets: Sets, address: bytes) -> list[int]:
    return [index for index in range(len(sets.ip_sets)) if sets.contains(index, address)]


def test_an_address_is_in_a_set_up_to_both_bounds_of_its_ranges():
    sets = Sets(SETS)
    found = {text: containing(sets, parse_address(text)) for text in ADDRESSES}

    assert found["0.0.0.0"] == found["255.255.255.255"] == found["::"] == [0, 1]
    assert found["10.0.0.0"] == found["10.255.255.255"] == found["fd00::ffff:ffff:ffff:ffff"] == [0, 2]
    assert found["9.255.255.255"] == found["11.0.0.0"] == found["fd00:0:0:1::"] == [0]


def test_a_class_has_the_sets_that_contain_its_addresses():
    sets = Sets(SETS)

    for address in map(parse_address, ADDRESSES):
        assert list(set_bits(sets.membership(sets.class_of(address)))) == containing(sets, address)


def test_an_empty_set_contains_nothing():
    sets = Sets([IPSet("nobody")])

    assert not sets.contains(0, parse_address(W))
    assert sets.class_of(parse_address(W)) == NOWHERE


def test_addresses_of_the_same_sets_are_of_one_class_whatever_is_asked():
    sets = Sets(SETS)

    assert len({sets.class_of(bytes([10, n, 0, 1])) for n in range(256)}) == 1
    assert len({sets.class_of(number.to_bytes(4)) for number in range(1, 1 << 32, 9_999_991)}) == 2


def test_known_addresses_are_no_more_than_its_limit(monkeypatch):
    monkeypatch.setattr(module, "MAX_ADDRESSES", 8)
    sets = Sets(SETS)
    classes = [sets.class_of(bytes([10, 0, 0, n])) for n in range(100)]

    assert len(sets.known) <= 8
    assert set(classes) == {sets.class_of(bytes([10, 9, 9, 9]))}


def test_a_named_port_is_an_address_a_protocol_and_a_number():
    sets = Sets([port_set((W, 6, 80), (W, 17, 80)), port_set((W, 6, 80)), port_set()])
    address = parse_address(W)

    assert [sets.has_port(index, address, 6, 80) for index in range(3)] == [True, True, False]
    assert list(set_bits(sets.membership(sets.port_class_of(address, 6, 80)))) == [0, 1]
    assert list(set_bits(sets.membership(sets.port_class_of(address, 17, 80)))) == [0]
    assert sets.port_class_of(address, 6, 81) == NOWHERE


def test_many_sets_share_what_their_bounds_have_in_common():
    """Ten thousand sets of one address each: a class for each, and no more."""
    sets = Sets([ip_set(f"10.0.{n // 250}.{n % 250}/32") for n in range(10_000)])

    assert len({sets.class_of(bytes([10, 0, n // 250, n % 250])) for n in range(0, 10_000, 7)}) == 1429
    assert len(sets._classes.memberships) == 10_001
