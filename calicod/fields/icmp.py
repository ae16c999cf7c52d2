"""`icmp` and `notICMP`: type and code (semantics 2.5, D7).

Law: a packet has an ICMP type exactly if it is ICMP of its own family; without one it matches neither criterion.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter

from calicod.fields.criteria import CompiledRule
from calicod.fields.field import Index, grouped, remembered
from calicod.fields.sets import Sets
from calicod.fields.stretches import mask_of
from calicod.packet.value import Packet

OTHER = -2
"""Stands for the types, and codes, that no rule names; -1 is a packet without."""
STEP = 1024
Criteria = tuple[int | None, int | None, int | None, int | None]
NO_CRITERIA: Criteria = (None, None, None, None)


class Icmp:
    """Both criteria demand an ICMP packet of its own family."""

    attributes = ("icmp_type", "icmp_code", "not_icmp_type", "not_icmp_code")
    _criteria: Callable[[CompiledRule], Criteria] = staticmethod(attrgetter(*attributes))

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """Type and, if given, code equal; for `notICMP` not both equal."""
        return fits(self._criteria(rule), packet.icmp_type, packet.icmp_code)

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
        groups = grouped(rules, self._criteria)
        if groups.keys() == {NO_CRITERIA}:
            return None
        types = {kind: kind for criteria in groups for kind in (*criteria[::2], -1) if kind is not None}
        codes = {code: code for criteria in groups for code in (*criteria[1::2], -1) if code is not None}

        def classify(packet: Packet) -> int:
            return types.get(packet.icmp_type, OTHER) * STEP + codes.get(packet.icmp_code, OTHER) - OTHER

        def mask(number: int) -> int:
            kind, code = divmod(number, STEP)
            fitting = (numbers for criteria, numbers in groups.items() if fits(criteria, kind, code + OTHER))
            return mask_of(chain.from_iterable(fitting), len(rules))

        return Index(classify, remembered(mask))


def fits(criteria: Criteria, kind: int, code: int) -> bool:
    """The criteria hold for this type and code."""
    wanted, wanted_code, unwanted, unwanted_code = criteria
    if wanted is not None and not same(kind, code, wanted, wanted_code):
        return False
    if unwanted is None:
        return True
    return kind != -1 and not same(kind, code, unwanted, unwanted_code)


def same(kind: int, code: int, wanted: int, wanted_code: int | None) -> bool:
    """The type and, if one is given, the code are those wanted."""
    return kind == wanted and wanted_code in (None, code)


def shown(kind: int | None, code: int | None) -> str:
    """`8` or `8/0`."""
    return str(kind) if code is None else f"{kind}/{code}"
