"""The plug of the match fields: one criterion of a rule, tested on one packet.

Law: `test` alone says what a field means; `index` is the same for many rules at once, and a property test holds the two
equal. A rule that does not use a field matches every packet as far as that field goes.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from calicod.fields.bounded import Bounded
from calicod.fields.criteria import CompiledRule
from calicod.fields.sets import Sets
from calicod.fields.stretches import mask_of
from calicod.packet.value import Packet

Criteria = TypeVar("Criteria")
MAX_MASKS = 64
"""Masks remembered by each index of a field."""


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


def bits(rules: Sequence[CompiledRule], wanted: Callable[[CompiledRule], bool]) -> int:
    """Bit n is set when rule n is wanted."""
    return mask_of((number for number, rule in enumerate(rules) if wanted(rule)), len(rules))


def grouped(rules: Sequence[CompiledRule], criteria: Callable[[CompiledRule], Criteria]) -> dict[Criteria, list[int]]:
    """The numbers of the rules, by their criteria: what holds for one rule of a group holds for all."""
    groups: dict[Criteria, list[int]] = {}
    for number, rule in enumerate(rules):
        groups.setdefault(criteria(rule), []).append(number)
    return groups


def remembered(mask: Callable[[int], int]) -> Callable[[int], int]:
    """The same function with a memory of a few answers: a mask is large, a class of packets comes in bursts."""
    known: Bounded[int, int] = Bounded(MAX_MASKS)

    def recall(number: int) -> int:
        found = known.get(number)
        return found if found is not None else known.keep(number, mask(number))

    return recall
