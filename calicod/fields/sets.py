"""The IP sets of a RuleSet, ready to be asked.

Law: an address is in a set or not, whatever was asked before. Addresses that are in the same sets are of one class:
there are as many classes as the sets make necessary, whatever is sent.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct, iter_unpack

from calicod.fields.bounded import Bounded
from calicod.fields.criteria import IPSet
from calicod.fields.stretches import NOWHERE, Classes, stretches
from calicod.model.network import V4_LENGTH, V6_LENGTH

MAX_ADDRESSES = 32768
"""Addresses whose class is remembered."""
HALVES = Struct("!QQ")
HALF_BITS = 64
LOW_HALF = (1 << HALF_BITS) - 1


class Sets:
    """All sets of a RuleSet. What it takes to answer quickly is made when it is first needed."""

    def __init__(self, ip_sets: Sequence[IPSet]) -> None:
        self.ip_sets = tuple(ip_sets)
        self.known: Bounded[bytes, int] = Bounded(MAX_ADDRESSES)
        self._classes = Classes()
        self._tables: dict[int, Table] = {}
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
        table = self._tables.get(length)
        if table is None:
            ranges = ((first, last, i) for i, s in enumerate(self.ip_sets) for first, last in ranges_of(s, length))
            table = self._tables[length] = Table(length, stretches(ranges, self._classes))
        return self.known.keep(address, table.class_of(address))

    def port_class_of(self, address: bytes, protocol: int, port: int) -> int:
        """The class of an address's port by the named-port sets it is in."""
        if self._ports is None:
            self._ports = self._port_classes()
        return self._ports.get((address, protocol, port), NOWHERE)

    def membership(self, number: int) -> int:
        """The sets that a class is in: bit n for set n."""
        return self._classes.memberships[number]

    def _port_classes(self) -> dict[tuple[bytes, int, int], int]:
        memberships: dict[tuple[bytes, int, int], int] = {}
        for index, ip_set in enumerate(self.ip_sets):
            for member in ip_set.ports:
                memberships[member] = memberships.get(member, 0) | 1 << index
        return {member: self._classes.number(membership) for member, membership in memberships.items()}


class Table:
    """The classes of all addresses of one family: where each begins, and which it is.

    Bounds are machine words (half an IPv6 address each), not integers: millions of them take a quarter of the memory.
    """

    def __init__(self, length: int, bounds: Iterable[tuple[int, int]]) -> None:
        self._starts, self._low = array("I" if length == V4_LENGTH else "Q"), array("Q")
        self._numbers = array("I", [NOWHERE])
        for bound, number in bounds:
            if bound >> 8 * length:  # behind the last address there is nothing
                break
            self._numbers.append(number)
            if length == V4_LENGTH:
                self._starts.append(bound)
            else:
                self._starts.append(bound >> HALF_BITS)
                self._low.append(bound & LOW_HALF)

    def class_of(self, address: bytes) -> int:
        """The class of an address of this family."""
        starts = self._starts
        if len(address) == V4_LENGTH:
            return self._numbers[bisect_right(starts, int.from_bytes(address))]
        high, low = HALVES.unpack(address)
        begin = bisect_left(starts, high)
        return self._numbers[bisect_right(self._low, low, begin, bisect_right(starts, high, begin))]


def ranges_of(ip_set: IPSet, length: int) -> Iterator[tuple[int, int]]:
    """First and last address of each packed range as numbers; `length` of one address in bytes."""
    if length == V4_LENGTH:
        return iter_unpack("!II", ip_set.v4)
    pairs = iter_unpack(f"{V6_LENGTH}s{V6_LENGTH}s", ip_set.v6)
    return ((int.from_bytes(first), int.from_bytes(last)) for first, last in pairs)
