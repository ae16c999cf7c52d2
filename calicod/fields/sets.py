"""The IP sets of a RuleSet, ready to be asked.

Law: an address is in a set or not, whatever was asked before. Addresses that are in the same sets are of one class:
there are as many classes as the sets make necessary, whatever is sent.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from struct import iter_unpack

from calicod.fields.criteria import IPSet
from calicod.model.network import V4_LENGTH, V6_LENGTH

MAX_ADDRESSES = 32768
"""Addresses whose class is remembered; all are forgotten when it is full, so that no sender can make it grow."""
NOWHERE = 0
"""The class of an address, or port, that is in no set."""


class Sets:
    """All sets of a RuleSet. What it takes to answer quickly is made when it is first needed."""

    def __init__(self, ip_sets: Sequence[IPSet]) -> None:
        self.ip_sets = tuple(ip_sets)
        self.known: dict[bytes, int] = {}
        self._boundaries: dict[int, tuple[list[int], list[int]]] = {}
        self._memberships: list[int] = [0]
        self._classes: dict[int, int] = {0: NOWHERE}
        self._ports: dict[tuple[bytes, int, int], int] | None = None

    def contains(self, index: int, address: bytes) -> bool:
        """The address is in the set: a search in its packed ranges."""
        ip_set, length = self.ip_sets[index], len(address)
        packed = ip_set.v4 if length == V4_LENGTH else ip_set.v6
        low, high = 0, len(packed) // (2 * length)
        while low < high:
            middle = (low + high) // 2
            start = middle * 2 * length
            if address < packed[start : start + length]:
                high = middle
            elif address > packed[start + length : start + 2 * length]:
                low = middle + 1
            else:
                return True
        return False

    def has_port(self, index: int, address: bytes, protocol: int, port: int) -> bool:
        """(address, protocol, port) is a member of a named-port set."""
        return (address, protocol, port) in self.ip_sets[index].ports

    def class_of(self, address: bytes) -> int:
        """The class of an address, found and noted in `known`, where those who are in a hurry look first."""
        length = len(address)
        if length not in self._boundaries:
            self._boundaries[length] = self._sweep(length)
        starts, classes = self._boundaries[length]
        if len(self.known) >= MAX_ADDRESSES:
            self.known.clear()
        number = self.known[address] = classes[bisect_right(starts, int.from_bytes(address))]
        return number

    def port_class_of(self, address: bytes, protocol: int, port: int) -> int:
        """The class of an address's port by the named-port sets it is in."""
        if self._ports is None:
            self._ports = self._port_classes()
        return self._ports.get((address, protocol, port), NOWHERE)

    def members(self, number: int) -> frozenset[int]:
        """The indexes of the sets that a class is in."""
        return frozenset(set_bits(self._memberships[number]))

    def _class_for(self, membership: int) -> int:
        number = self._classes.setdefault(membership, len(self._memberships))
        if number == len(self._memberships):
            self._memberships.append(membership)
        return number

    def _sweep(self, length: int) -> tuple[list[int], list[int]]:
        """The addresses at which membership changes, in order; the class before the first and behind each."""
        changes: dict[int, int] = {}
        for index, ip_set in enumerate(self.ip_sets):
            bit = 1 << index
            for first, last in ranges(ip_set, length):
                changes[first] = changes.get(first, 0) ^ bit
                changes[last + 1] = changes.get(last + 1, 0) ^ bit
        starts = sorted(changes)
        classes, inside = [NOWHERE], 0
        for start in starts:
            inside ^= changes[start]
            classes.append(self._class_for(inside))
        return starts, classes

    def _port_classes(self) -> dict[tuple[bytes, int, int], int]:
        memberships: dict[tuple[bytes, int, int], int] = {}
        for index, ip_set in enumerate(self.ip_sets):
            for member in set(ip_set.ports):
                memberships[member] = memberships.get(member, 0) | 1 << index
        return {member: self._class_for(membership) for member, membership in memberships.items()}


def ranges(ip_set: IPSet, length: int) -> Iterator[tuple[int, int]]:
    """First and last address of each packed range as numbers; `length` of one address in bytes."""
    if length == V4_LENGTH:
        return iter_unpack("!II", ip_set.v4)
    pairs = iter_unpack(f"{V6_LENGTH}s{V6_LENGTH}s", ip_set.v6)
    return ((int.from_bytes(first), int.from_bytes(last)) for first, last in pairs)


def set_bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, in order.

    >>> list(set_bits(0b1001))
    [0, 3]
    """
    for base, byte in enumerate(mask.to_bytes((mask.bit_length() + 7) // 8, "little")):
        if byte:
            yield from (base * 8 + bit for bit in range(8) if byte >> bit & 1)
