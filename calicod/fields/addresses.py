"""`nets`, `notNets`, `selector` and `notSelector` of one side: all are IP sets by now."""

from collections.abc import Callable, Sequence
from operator import attrgetter

from calicod.fields.criteria import CompiledRule
from calicod.fields.field import Index, grouped, remembered
from calicod.fields.sets import Sets
from calicod.fields.stretches import mask_of, set_bits
from calicod.model.network import format_address
from calicod.packet.value import Packet

Indexes = tuple[int, ...]


class Addresses:
    """The address of one side (`source`, `destination`) is in every one of some sets and in none of others."""

    def __init__(self, side: str, address: str) -> None:
        self.side = side
        self.attributes = (f"{side}_sets", f"not_{side}_sets")
        self._sets: Callable[[CompiledRule], tuple[Indexes, Indexes]] = attrgetter(*self.attributes)
        self._address: Callable[[Packet], bytes] = attrgetter(address)

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """In all positive sets, in no negative one."""
        address = self._address(packet)
        wanted, unwanted = self._sets(rule)
        return all(sets.contains(s, address) for s in wanted) and not any(sets.contains(s, address) for s in unwanted)

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """The address and the first set that it should be in, or should not."""
        address = self._address(packet)
        wanted, unwanted = self._sets(rule)
        missed = [s for s in wanted if not sets.contains(s, address)]
        if missed:
            return f"{self.side} {format_address(address)} is not in {sets.ip_sets[missed[0]].text}"
        found = next(s for s in unwanted if sets.contains(s, address))
        return f"{self.side} {format_address(address)} is in {sets.ip_sets[found].text}, which the rule excludes"

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Index | None:
        """The classes of addresses that all sets of the RuleSet make; a mask is gathered from the sets of a class."""
        groups = grouped(rules, self._sets)
        free = mask_of(groups.pop(((), ()), ()), len(rules))
        if not groups:
            return None
        by_set: dict[int, list[tuple[frozenset[int], frozenset[int], list[int]]]] = {}
        without: list[tuple[frozenset[int], list[int]]] = []
        for (wanted, unwanted), numbers in groups.items():
            if wanted:
                by_set.setdefault(wanted[0], []).append((frozenset(wanted), frozenset(unwanted), numbers))
            else:
                without.append((frozenset(unwanted), numbers))
        used = mask_of({index for lists in groups for indexes in lists for index in indexes}, len(sets.ip_sets))

        def of_members(membership: int) -> int:
            members = frozenset(set_bits(membership))
            matching: list[int] = []
            for member in members.intersection(by_set):
                for wanted, unwanted, numbers in by_set[member]:
                    if wanted <= members and unwanted.isdisjoint(members):
                        matching += numbers
            for unwanted, numbers in without:
                if unwanted.isdisjoint(members):
                    matching += numbers
            return free | mask_of(matching, len(rules))

        mask = remembered(of_members)  # classes that differ only in sets that no rule here uses have one mask
        return Index(self._classifier(sets), lambda number: mask(sets.membership(number) & used))

    def _classifier(self, sets: Sets) -> Callable[[Packet], int]:
        known, class_of = sets.known.get, sets.class_of

        def source(packet: Packet) -> int:
            number = known(packet.src)
            return class_of(packet.src) if number is None else number

        def destination(packet: Packet) -> int:
            number = known(packet.dst)
            return class_of(packet.dst) if number is None else number

        return source if self.side == "source" else destination
