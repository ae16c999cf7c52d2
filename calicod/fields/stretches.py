"""Numbers that no range tells apart are of one class: ports between bounds of ranges, addresses between those of sets.

Law: how many classes there are depends on the ranges alone, never on what is asked.
"""

from collections.abc import Iterable, Iterator, Sequence

NOWHERE = 0
"""The class of what is in no range."""
FEW = 16
"""So many bits are found faster one by one, each in time linear in the whole integer."""
INDEX_BITS = 32
INDEX = (1 << INDEX_BITS) - 1


class Classes:
    """Memberships, numbered as they turn up: a class is told from another by what its members are in."""

    def __init__(self) -> None:
        self.memberships: list[int] = [0]
        self._numbers: dict[int, int] = {0: NOWHERE}

    def number(self, membership: int) -> int:
        """The class of what is in these: bit n for range or set n."""
        found = self._numbers.setdefault(membership, len(self.memberships))
        if found == len(self.memberships):
            self.memberships.append(membership)
        return found

    def toggled(self, number: int, indexes: Iterable[int]) -> int:
        """The class behind a bound where some ranges end and others begin."""
        membership = self.memberships[number]
        for index in indexes:
            membership ^= 1 << index
        return self.number(membership)


def stretches(ranges: Iterable[tuple[int, int, int]], classes: Classes) -> Iterator[tuple[int, int]]:
    """Where the class changes, in order, and the class from there on; before all that it is NOWHERE.

    `ranges`: first, last, index; those of one index must not overlap.

    >>> list(stretches([(10, 19, 0), (15, 29, 1)], Classes()))
    [(10, 1), (15, 2), (20, 3), (30, 0)]
    """
    # One integer for each bound: a million ranges take 80 MB less than as tuples, and are sorted in half the time.
    events = sorted(bound << INDEX_BITS | index for first, last, index in ranges for bound in (first, last + 1))
    if not events:
        return
    events.append((events[-1] >> INDEX_BITS) + 1 << INDEX_BITS)
    # Memberships are large where there are many sets; most bounds only repeat a step that was taken before.
    steps: dict[tuple[int, ...], int] = {}
    number, at = NOWHERE, events[0] >> INDEX_BITS
    changed: list[int] = []
    for event in events:
        bound = event >> INDEX_BITS
        if bound != at:
            step = (number, *changed)
            found = steps.get(step)
            if found is None:
                found = steps[step] = classes.toggled(number, changed)
            if found != number:
                yield at, found
            number, at = found, bound
            changed.clear()
        changed.append(event & INDEX)


def set_bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, in order.

    >>> list(set_bits(0b1001))
    [0, 3]
    """
    if mask.bit_count() <= FEW:
        while mask:
            lowest = mask & -mask
            yield lowest.bit_length() - 1
            mask ^= lowest
        return
    text = bin(mask)[:1:-1]
    position = text.find("1")
    while position >= 0:
        yield position
        position = text.find("1", position + 1)


def mask_of(numbers: Iterable[int], size: int) -> int:
    """The integer with these bits set, all below `size`; in time linear in their count, unlike a sum of shifts.

    >>> bin(mask_of([0, 3], 10))
    '0b1001'
    """
    field = bytearray((size >> 3) + 1)
    for number in numbers:
        field[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(field, "little")


def merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in ranges that neither overlap nor touch, in order.

    >>> merged([(80, 90), (85, 95), (96, 96), (443, 443)])
    [(80, 96), (443, 443)]
    """
    result: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return result
