"""`nets`, `notNets`, `selector` and `notSelector` of one side: all are IP sets by now."""

from collections.abc import Sequence

from calicod.fields.criteria import CompiledRule
from calicod.fields.field import MEMO_SIZE, Lookup
from calicod.fields.sets import Sets
from calicod.model.network import format_address
from calicod.packet.value import Packet


class Addresses:
    """The address of one side (`source`, `destination`) is in every one of some sets and in none of others."""

    def __init__(self, side: str, attribute: str) -> None:
        self.name = f"{side} address"
        self.side = side
        self.attributes = (f"{side}_sets", f"not_{side}_sets")
        self._address = attribute

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """In all positive sets, in no negative one."""
        address = getattr(packet, self._address)
        wanted, unwanted = self._sets(rule)
        return all(sets.contains(s, address) for s in wanted) and not any(sets.contains(s, address) for s in unwanted)

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """The address and the first set that it should be in, or should not."""
        address = getattr(packet, self._address)
        wanted, unwanted = self._sets(rule)
        shown = format_address(address)
        for index in wanted:
            if not sets.contains(index, address):
                return f"{self.side} {shown} is not in {sets.ip_sets[index].text}"
        found = next(index for index in unwanted if sets.contains(index, address))
        return f"{self.side} {shown} is in {sets.ip_sets[found].text}, which the rule excludes"

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Lookup | None:
        """One mask for each class of addresses, made when it first comes up."""
        criteria = [(number, *self._sets(rule)) for number, rule in enumerate(rules)]
        criteria = [entry for entry in criteria if entry[1] or entry[2]]
        if not criteria:
            return None
        free = (1 << len(rules)) - 1 - sum(1 << number for number, _, _ in criteria)
        tests = [(1 << number, mask_of(wanted), mask_of(unwanted)) for number, wanted, unwanted in criteria]
        by_class: dict[int, int] = {}
        by_address: dict[bytes, int] = {}
        source = self._address == "src"

        def lookup(packet: Packet) -> int:
            address = packet.src if source else packet.dst
            mask = by_address.get(address)
            if mask is None:
                mask = remember(address)
            return mask

        def remember(address: bytes) -> int:
            number = sets.class_of(address)
            mask = by_class.get(number)
            if mask is None:
                members = sets.members_of(number)
                mask = free + sum(b for b, want, ban in tests if want & members == want and not ban & members)
                by_class[number] = mask
            if len(by_address) >= MEMO_SIZE:
                by_address.clear()
            by_address[address] = mask
            return mask

        return lookup

    def _sets(self, rule: CompiledRule) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if self.side == "source":
            return rule.source_sets, rule.not_source_sets
        return rule.destination_sets, rule.not_destination_sets


def mask_of(indexes: Sequence[int]) -> int:
    """The bit set of some set indexes."""
    return sum(1 << index for index in set(indexes))
