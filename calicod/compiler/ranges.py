"""Networks as packed address ranges, the form in which IP sets hold them.

Law: ranges are sorted, disjoint and merged also where they touch, so equal sets of addresses are equal bytes. A million
networks pass through here: integers in one flat list, no object per range.
"""

import struct
from collections.abc import Iterable

import msgspec

from calicod.model.network import V4_LENGTH, V6_LENGTH, Network

V4_BITS = 8 * V4_LENGTH
V6_BITS = 8 * V6_LENGTH
V4_RANGE = 2 * V4_LENGTH
V6_RANGE = 2 * V6_LENGTH

V4_HOST_MASKS = tuple((1 << (V4_BITS - length)) - 1 for length in range(V4_BITS + 1))
V6_HOST_MASKS = tuple((1 << (V6_BITS - length)) - 1 for length in range(V6_BITS + 1))


class Ranges(msgspec.Struct, frozen=True):
    """Both families; first and last address of each range, one after the other, in network order."""

    v4: bytes = b""
    v6: bytes = b""


def ranges_of(networks: Iterable[Network]) -> Ranges:
    """The addresses of all these networks."""
    v4: list[int] = []
    v6: list[int] = []
    for network in networks:
        address = network.address
        first = int.from_bytes(address)
        if len(address) == V4_LENGTH:
            v4.append(first << V4_BITS | first | V4_HOST_MASKS[network.length])
        else:
            v6.append(first << V6_BITS | first | V6_HOST_MASKS[network.length])
    return Ranges(packed_v4(merged(v4, V4_BITS)), packed_v6(merged(v6, V6_BITS)))


def ranges_of_addresses(addresses: Iterable[bytes]) -> Ranges:
    """Single addresses."""
    return ranges_of(Network(address, 8 * len(address)) for address in addresses)


def union(parts: Iterable[Ranges]) -> Ranges:
    """The addresses of any part."""
    members = [part for part in parts if part.v4 or part.v6]
    if len(members) == 1:
        return members[0]
    v4 = b"".join(part.v4 for part in members)
    v6 = b"".join(part.v6 for part in members)
    return Ranges(
        packed_v4(merged(list(struct.unpack(f">{len(v4) // V4_RANGE}Q", v4)), V4_BITS)),
        packed_v6(merged([int.from_bytes(v6[at : at + V6_RANGE]) for at in range(0, len(v6), V6_RANGE)], V6_BITS)),
    )


def merged(values: list[int], bits: int) -> list[int]:
    """Sorts the ranges (first << bits | last) in place, and joins those that overlap or touch."""
    values.sort()
    mask = (1 << bits) - 1
    joined: list[int] = []
    first, last = 0, -2
    for value in values:
        begin, end = value >> bits, value & mask
        if begin > last + 1:
            if last >= 0:
                joined.append(first << bits | last)
            first, last = begin, end
        elif end > last:
            last = end
    if last >= 0:
        joined.append(first << bits | last)
    return joined


def packed_v4(values: list[int]) -> bytes:
    """Eight bytes a range."""
    return struct.pack(f">{len(values)}Q", *values)


def packed_v6(values: list[int]) -> bytes:
    """Thirty-two bytes a range."""
    return b"".join([value.to_bytes(V6_RANGE) for value in values])
