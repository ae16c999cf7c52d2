"""The IP sets of a RuleSet, ready to be asked.

Law: an address is in a set or not, whatever asked before; classes of addresses are numbered by the sets they are in.
"""

from bisect import bisect_right
from collections.abc import Sequence

from calicod.fields.criteria import IPSet

Range = tuple[bytes, bytes]


def ranges(packed: bytes, length: int) -> list[Range]:
    """First and last address of each packed range; `length` of one address in bytes."""
    step = 2 * length
    return [(packed[i : i + length], packed[i + length : i + step]) for i in range(0, len(packed), step)]


class Sets:
    """All sets of a RuleSet. `classes` sorts addresses by the sets they are in: one number for each combination."""

    def __init__(self, ip_sets: Sequence[IPSet]) -> None:
        self.ip_sets = tuple(ip_sets)
        self._ports = [frozenset(s.ports) for s in ip_sets]
        self._members: list[int] = [0]
        self._v4 = self._sweep(4)
        self._v6 = self._sweep(16)

    def contains(self, index: int, address: bytes) -> bool:
        """The address is in the set."""
        ip_set = self.ip_sets[index]
        length = len(address)
        packed = ip_set.v4 if length == 4 else ip_set.v6
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
        return (address, protocol, port) in self._ports[index]

    def members_of(self, number: int) -> int:
        """The sets that addresses of this class are in, as a bit set of their indexes."""
        return self._members[number]

    def class_of(self, address: bytes) -> int:
        """The class of an address; 0: in no set."""
        starts, numbers = self._v4 if len(address) == 4 else self._v6
        return numbers[bisect_right(starts, address)]

    def _sweep(self, length: int) -> tuple[list[bytes], list[int]]:
        """Boundaries in order, and the class of what lies behind each (one more: what lies before the first)."""
        changes: dict[bytes, list[int]] = {}
        for index, ip_set in enumerate(self.ip_sets):
            for first, last in ranges(ip_set.v4 if length == 4 else ip_set.v6, length):
                changes.setdefault(first, []).append(index)
                after = int.from_bytes(last) + 1
                if after >> (8 * length) == 0:
                    changes.setdefault(after.to_bytes(length), []).append(~index)
        starts = sorted(changes)
        numbers, inside = [0], 0
        known = {members: number for number, members in enumerate(self._members)}
        for start in starts:
            for change in changes[start]:
                inside = inside & ~(1 << ~change) if change < 0 else inside
            for change in changes[start]:
                inside = inside | 1 << change if change >= 0 else inside
            if inside not in known:
                known[inside] = len(self._members)
                self._members.append(inside)
            numbers.append(known[inside])
        return starts, numbers
