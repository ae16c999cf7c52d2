"""The plug of the match fields: one criterion of a rule, tested on one packet.

Law: `test` alone says what a field means; `index` is the same for many rules at once, and a property test holds the two
equal. A rule that does not use a field matches every packet as far as that field goes.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from calicod.fields.criteria import CompiledRule
from calicod.fields.sets import Sets
from calicod.packet.value import Packet


class Index(msgspec.Struct, frozen=True):
    """Many rules at once, as far as one field goes.

    `classify`: the class of a packet. How many there are depends on the rules, never on what is sent.
    `mask`: the rules that the packets of a class match: bit n for rule n.
    """

    classify: Callable[[Packet], int]
    mask: Callable[[int], int]


class Field(Protocol):
    """One file each; the table of them is `calicod.fields.table`."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes of CompiledRule that it claims."""

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """Whether the packet satisfies the rule's criteria of this field."""

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """The criterion that failed, in words: what the packet has, what the rule wants."""

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Index | None:
        """The index of these rules; None when none of them uses the field."""


def mask_of(numbers: Iterable[int], size: int) -> int:
    """The integer with these bits set, all below `size`; in time linear in their count, unlike a sum of shifts.

    >>> bin(mask_of([0, 3], 10))
    '0b1001'
    """
    field = bytearray((size >> 3) + 1)
    for number in numbers:
        field[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(field, "little")


def bits(rules: Sequence[CompiledRule], wanted: Callable[[CompiledRule], bool]) -> int:
    """Bit n is set when rule n is wanted."""
    return mask_of((number for number, rule in enumerate(rules) if wanted(rule)), len(rules))


MAX_MASKS = 64


def remembered(mask: Callable[[int], int]) -> Callable[[int], int]:
    """The same function with a memory of a few answers: a mask is large, a class of packets comes in bursts."""
    known: dict[int, int] = {}

    def recall(number: int) -> int:
        found = known.get(number)
        if found is None:
            if len(known) >= MAX_MASKS:
                known.clear()
            found = known[number] = mask(number)
        return found

    return recall
