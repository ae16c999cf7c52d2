"""Packed ranges against the addresses that they stand for."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from calicod.compiler.ranges import Ranges, ranges_of, ranges_of_addresses, union
from tests.unit.compiler.build import addr, net

SMALL = st.builds(
    lambda value, length: net(f"10.0.{value >> 8}.{value & 255}/{length}"), st.integers(0, 1023), st.integers(20, 32)
)


def pairs(packed: bytes, width: int) -> list[tuple[int, int]]:
    numbers = [int.from_bytes(packed[at : at + width]) for at in range(0, len(packed), width)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def addresses(packed: bytes, width: int) -> set[int]:
    return {n for first, last in pairs(packed, width) for n in range(first, last + 1)}


@given(st.lists(SMALL))
def test_ranges_hold_exactly_the_addresses_of_the_networks_in_canonical_form(networks):
    packed = pairs(ranges_of(networks).v4, 4)

    expected = {n for x in networks for n in range(int.from_bytes(x.first), int.from_bytes(x.last) + 1)}
    assert addresses(ranges_of(networks).v4, 4) == expected
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(packed))


@given(st.lists(st.lists(SMALL)))
def test_the_union_of_parts_is_the_ranges_of_all_networks(parts):
    whole = [network for part in parts for network in part]

    assert union(ranges_of(part) for part in parts) == ranges_of(whole)


def test_ranges_that_touch_become_one():
    assert ranges_of([net("10.0.0.0/25"), net("10.0.0.128/25")]) == ranges_of([net("10.0.0.0/24")])


def test_a_family_is_whole_from_first_to_last_address():
    assert ranges_of([net("0.0.0.0/0"), net("::/0"), net("10.0.0.0/8")]) == Ranges(
        bytes(4) + b"\xff" * 4, bytes(16) + b"\xff" * 16
    )


def test_ipv6_networks_are_merged_like_ipv4():
    assert ranges_of([net("fd00::/65"), net("fd00:0:0:0:8000::/65"), net("fd00::1/128")]) == ranges_of(
        [net("fd00::/64")]
    )
    assert union([ranges_of([net("fd00::/65")]), ranges_of([net("fd00:0:0:0:8000::/65")])]) == ranges_of(
        [net("fd00::/64")]
    )


def test_single_addresses_are_ranges_of_one():
    assert ranges_of_addresses([addr("10.0.0.1"), addr("fd00::1")]) == ranges_of(
        [net("10.0.0.1/32"), net("fd00::1/128")]
    )
