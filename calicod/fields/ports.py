"""`ports` and `notPorts` of one side: numbers, ranges and named ports (semantics 2.7, 2.8).

Law: a packet without ports matches no list with numbers in it, positive or negative; a named port that does not fit
never matches, and its negation then always does, but for fragments, whose ports are unknown (D22).
"""

from collections.abc import Sequence

from calicod.fields.criteria import CompiledRule, PortMatch
from calicod.fields.field import MEMO_SIZE, Lookup
from calicod.fields.sets import Sets
from calicod.model.network import format_address
from calicod.packet.value import Packet


class Ports:
    """The port of one side (`source`, `destination`) is in a list and not in another."""

    def __init__(self, side: str, port: str, address: str) -> None:
        self.name = f"{side} port"
        self.side = side
        self.attributes = (f"{side}_ports", f"not_{side}_ports")
        self._port, self._address = port, address

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """In `ports`, not in `notPorts`."""
        wanted, unwanted = self._lists(rule)
        if wanted is not None and not self._inside(wanted, packet, sets):
            return False
        return unwanted is None or self._outside(unwanted, packet, sets)

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """The port and the list."""
        wanted, unwanted = self._lists(rule)
        port = getattr(packet, self._port)
        shown = str(port) if port >= 0 else "unknown"
        if wanted is not None and not self._inside(wanted, packet, sets):
            return f"{self.side} port {shown} is not in {text(wanted, sets)}"
        where = format_address(getattr(packet, self._address))
        return (
            f"{self.side} port {shown} of {where} is in {text(unwanted or PortMatch(), sets)}, which the rule excludes"
        )

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Lookup | None:
        """Computed by `test` once for each port, or each (address, protocol, port) where a named port is in play."""
        users = [(n, rule) for n, rule in enumerate(rules) if self._lists(rule) != (None, None)]
        if not users:
            return None
        free = (1 << len(rules)) - 1 - sum(1 << n for n, _ in users)
        named = any(m is not None and m.named for _, rule in users for m in self._lists(rule))
        memo: dict[object, int] = {}
        source = self._port == "sport"

        def compute(key: object, packet: Packet) -> int:
            if len(memo) >= MEMO_SIZE:
                memo.clear()
            mask = memo[key] = free + sum(1 << n for n, rule in users if self.test(rule, packet, sets))
            return mask

        def by_number(packet: Packet) -> int:
            port = packet.sport if source else packet.dport
            mask = memo.get(port)
            return compute(port, packet) if mask is None else mask

        def by_name(packet: Packet) -> int:
            if source:
                key = (packet.src, packet.protocol, packet.sport, packet.fragment)
            else:
                key = (packet.dst, packet.protocol, packet.dport, packet.fragment)
            mask = memo.get(key)
            return compute(key, packet) if mask is None else mask

        return by_name if named else by_number

    def _lists(self, rule: CompiledRule) -> tuple[PortMatch | None, PortMatch | None]:
        if self.side == "source":
            return rule.source_ports, rule.not_source_ports
        return rule.destination_ports, rule.not_destination_ports

    def _inside(self, match: PortMatch, packet: Packet, sets: Sets) -> bool:
        port = getattr(packet, self._port)
        if port < 0:
            return False
        if any(port in r for r in match.ranges):
            return True
        address = getattr(packet, self._address)
        return any(sets.has_port(s, address, packet.protocol, port) for s in match.named)

    def _outside(self, match: PortMatch, packet: Packet, sets: Sets) -> bool:
        if getattr(packet, self._port) < 0:
            return not match.ranges and not packet.fragment
        return not self._inside(match, packet, sets)


def text(match: PortMatch, sets: Sets) -> str:
    """The list as it was meant."""
    return ", ".join([str(r) for r in match.ranges] + [sets.ip_sets[s].text for s in match.named])
