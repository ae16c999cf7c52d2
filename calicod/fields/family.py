"""`ipVersion`, and the family filtering of nets (semantics 2.4), as one bit set."""

from collections.abc import Sequence
from operator import attrgetter

from calicod.fields.criteria import BOTH_FAMILIES, FAMILY_4, FAMILY_6, CompiledRule
from calicod.fields.field import Index, bits
from calicod.fields.sets import Sets
from calicod.packet.value import Packet

BITS = {4: FAMILY_4, 6: FAMILY_6}
NAMES = {0: "no packet at all", FAMILY_4: "IPv4 only", FAMILY_6: "IPv6 only"}


class Family:
    """The rule is for the packet's family."""

    attributes = ("families",)

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """The packet's family is among the rule's."""
        return bool(rule.families & BITS[packet.family])

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """What family it is, and which the rule is for."""
        return f"ipVersion {packet.family}: the rule is for {NAMES[rule.families]}"

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Index | None:
        """Two masks, by family."""
        if all(rule.families == BOTH_FAMILIES for rule in rules):
            return None
        masks = {family: bits(rules, lambda rule, bit=bit: bool(rule.families & bit)) for family, bit in BITS.items()}  # type: ignore[misc]  # a default binds the loop variable
        return Index(attrgetter("family"), masks.__getitem__)
