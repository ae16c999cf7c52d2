"""`ipVersion`, and the family filtering of nets (semantics 2.4), as one bit set."""

from collections.abc import Sequence

from calicod.fields.criteria import BOTH_FAMILIES, FAMILY_4, FAMILY_6, CompiledRule
from calicod.fields.field import Lookup, bits
from calicod.fields.sets import Sets
from calicod.packet.value import Packet

NAMES = {0: "no packet", FAMILY_4: "IPv4", FAMILY_6: "IPv6"}


class Family:
    """The rule is for the packet's family."""

    name = "ipVersion"
    attributes = ("families",)

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """The packet's family is among the rule's."""
        return bool(rule.families & (FAMILY_4 if packet.family == 4 else FAMILY_6))

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """What family it is, and which the rule is for."""
        return f"ipVersion is {packet.family}, the rule is for {NAMES[rule.families]} only"

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Lookup | None:
        """Two masks."""
        if all(rule.families == BOTH_FAMILIES for rule in rules):
            return None
        v4 = bits(rules, lambda rule: bool(rule.families & FAMILY_4))
        v6 = bits(rules, lambda rule: bool(rule.families & FAMILY_6))
        return lambda packet: v4 if packet.family == 4 else v6
