"""`protocol` and `notProtocol`, by number."""

from collections.abc import Sequence

from calicod.fields.criteria import CompiledRule
from calicod.fields.field import Lookup, bits
from calicod.fields.sets import Sets
from calicod.model.protocol import protocol_name
from calicod.packet.value import Packet


class Protocol:
    """The upper-layer protocol, behind all IPv6 extension headers."""

    name = "protocol"
    attributes = ("protocol", "not_protocol")

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """Equal to `protocol`, different from `notProtocol`."""
        return rule.protocol in (None, packet.protocol) and rule.not_protocol != packet.protocol

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """The protocol it has, and the one it should or should not have."""
        if rule.protocol not in (None, packet.protocol):
            return f"protocol is {protocol_name(packet.protocol)}, not {protocol_name(rule.protocol or 0)}"
        return f"notProtocol: it is {protocol_name(packet.protocol)}"

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Lookup | None:
        """One mask for each protocol that a rule names, one for all others."""
        named = {rule.protocol for rule in rules} | {rule.not_protocol for rule in rules}
        if named == {None}:
            return None
        masks = {
            number: bits(rules, lambda rule, n=number: rule.protocol in (None, n) and rule.not_protocol != n)  # type: ignore[misc]  # a default binds the loop variable
            for number in named
        }
        other = bits(rules, lambda rule: rule.protocol is None)
        get = masks.get
        return lambda packet: get(packet.protocol, other)
