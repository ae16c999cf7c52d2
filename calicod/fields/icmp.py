"""`icmp` and `notICMP`: type and code (semantics 2.5, D7)."""

from collections.abc import Sequence

from calicod.fields.criteria import CompiledRule
from calicod.fields.field import MEMO_SIZE, Lookup
from calicod.fields.sets import Sets
from calicod.model.protocol import ICMP, ICMPV6
from calicod.packet.value import Packet


class Icmp:
    """Both criteria demand an ICMP packet of its own family."""

    name = "icmp"
    attributes = ("icmp_type", "icmp_code", "not_icmp_type", "not_icmp_code")

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """Type and, if given, code equal; for `notICMP` not both equal."""
        if rule.icmp_type is None and rule.not_icmp_type is None:
            return True
        if packet.protocol != (ICMP if packet.family == 4 else ICMPV6) or packet.fragment:
            return False
        if rule.icmp_type is not None and not same(packet, rule.icmp_type, rule.icmp_code):
            return False
        return rule.not_icmp_type is None or not same(packet, rule.not_icmp_type, rule.not_icmp_code)

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """Type and code of the packet and of the rule."""
        has = f"{packet.icmp_type}/{packet.icmp_code}" if packet.icmp_type >= 0 else "no ICMP of its family"
        if rule.icmp_type is not None and (packet.icmp_type < 0 or not same(packet, rule.icmp_type, rule.icmp_code)):
            return f"icmp is {has}, not {shown(rule.icmp_type, rule.icmp_code)}"
        return f"notICMP {shown(rule.not_icmp_type or 0, rule.not_icmp_code)}: it is {has}"

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Lookup | None:
        """Computed by `test` for each kind of packet, and remembered."""
        if all(rule.icmp_type is None and rule.not_icmp_type is None for rule in rules):
            return None
        memo: dict[tuple[int, int, int, int], int] = {}

        def lookup(packet: Packet) -> int:
            key = (packet.family, packet.protocol, packet.icmp_type, packet.icmp_code)
            mask = memo.get(key)
            if mask is None:
                if len(memo) >= MEMO_SIZE:
                    memo.clear()
                mask = memo[key] = sum(1 << n for n, rule in enumerate(rules) if self.test(rule, packet, sets))
            return mask

        return lookup


def same(packet: Packet, kind: int, code: int | None) -> bool:
    """Type and, if given, code are the packet's."""
    return packet.icmp_type == kind and code in (None, packet.icmp_code)


def shown(kind: int, code: int | None) -> str:
    """`8` or `8/0`."""
    return str(kind) if code is None else f"{kind}/{code}"
