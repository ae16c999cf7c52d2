"""The plug of the match fields: one criterion of a rule, tested on one packet.

Law: `test` alone says what a field means; `index` is the same for many rules at once, and a property test holds the two
equal. A rule that does not use a field matches every packet as far as that field goes.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from calicod.fields.criteria import CompiledRule
from calicod.fields.sets import Sets
from calicod.packet.value import Packet

Lookup = Callable[[Packet], int]
"""The rules that match a packet as far as one field goes: bit n for rule n."""
MEMO_SIZE = 16384
"""Values remembered by one index; it is emptied when full, so that no sender can make it grow."""


class Field(Protocol):
    """One file each; the table of them is `calicod.fields.table`."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes of CompiledRule that it claims."""

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """Whether the packet satisfies the rule's criteria of this field."""

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """The failed criterion in words: what the packet has, what the rule wants."""

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Lookup | None:
        """The lookup for these rules; None when none of them uses the field."""


def bits(rules: Sequence[CompiledRule], wanted: Callable[[CompiledRule], bool]) -> int:
    """Bit n is set when rule n is wanted."""
    return sum(1 << number for number, rule in enumerate(rules) if wanted(rule))
