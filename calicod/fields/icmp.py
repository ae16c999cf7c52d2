"""`icmp` and `notICMP`: type and code (semantics 2.5, D7).

Law: a packet has an ICMP type exactly if it is ICMP of its own family; without one it matches neither criterion.
"""

from collections.abc import Sequence

from calicod.fields.criteria import CompiledRule
from calicod.fields.field import Index, bits, remembered
from calicod.fields.sets import Sets
from calicod.packet.value import Packet

OTHER = -2
"""Stands for the types, and codes, that no rule names; -1 is a packet without."""
STEP = 1024


class Icmp:
    """Both criteria demand an ICMP packet of its own family."""

    attributes = ("icmp_type", "icmp_code", "not_icmp_type", "not_icmp_code")

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """Type and, if given, code equal; for `notICMP` not both equal."""
        return fits(rule, packet.icmp_type, packet.icmp_code)

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """Type and code of the packet and of the rule."""
        wanted = rule.icmp_type
        if packet.icmp_type < 0:
            return f"{'icmp' if wanted is not None else 'notICMP'} wants an ICMP packet"
        has = f"{packet.icmp_type}/{packet.icmp_code}"
        if wanted is not None and not same(packet.icmp_type, packet.icmp_code, wanted, rule.icmp_code):
            return f"icmp {has} is not {shown(wanted, rule.icmp_code)}"
        return f"notICMP {shown(rule.not_icmp_type, rule.not_icmp_code)} excludes {has}"

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Index | None:
        """A class for each type and code that rules name, together with one for all others."""
        if all(rule.icmp_type is None and rule.not_icmp_type is None for rule in rules):
            return None
        types = {kind: kind for rule in rules for kind in (rule.icmp_type, rule.not_icmp_type, -1) if kind is not None}
        codes = {code: code for rule in rules for code in (rule.icmp_code, rule.not_icmp_code, -1) if code is not None}

        def classify(packet: Packet) -> int:
            return types.get(packet.icmp_type, OTHER) * STEP + codes.get(packet.icmp_code, OTHER) - OTHER

        def mask(number: int) -> int:
            kind, code = divmod(number, STEP)
            return bits(rules, lambda rule: fits(rule, kind, code + OTHER))

        return Index(classify, remembered(mask))


def fits(rule: CompiledRule, kind: int, code: int) -> bool:
    """The rule's criteria hold for this type and code."""
    if rule.icmp_type is not None and not same(kind, code, rule.icmp_type, rule.icmp_code):
        return False
    if rule.not_icmp_type is None:
        return True
    return kind != -1 and not same(kind, code, rule.not_icmp_type, rule.not_icmp_code)


def same(kind: int, code: int, wanted: int, wanted_code: int | None) -> bool:
    """The type and, if one is given, the code are those wanted."""
    return kind == wanted and wanted_code in (None, code)


def shown(kind: int | None, code: int | None) -> str:
    """`8` or `8/0`."""
    return str(kind) if code is None else f"{kind}/{code}"
