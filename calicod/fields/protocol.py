"""`protocol` and `notProtocol`, by number."""

from collections.abc import Sequence

from calicod.fields.criteria import CompiledRule
from calicod.fields.field import Index, bits
from calicod.fields.sets import Sets
from calicod.model.protocol import protocol_name
from calicod.packet.value import Packet

OTHER = -1
"""The class of the protocols that no rule names."""


class Protocol:
    """The upper-layer protocol, behind all IPv6 extension headers."""

    attributes = ("protocol", "not_protocol")

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """Equal to `protocol`, different from `notProtocol`."""
        return rule.protocol in (None, packet.protocol) and rule.not_protocol != packet.protocol

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """The protocol it has, and the one it should or should not have."""
        if rule.protocol is not None and rule.protocol != packet.protocol:
            return f"protocol {protocol_name(packet.protocol)} is not {protocol_name(rule.protocol)}"
        return f"notProtocol {protocol_name(packet.protocol)} excludes it"

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Index | None:
        """One mask for each protocol that a rule names, one for all others."""
        named = {rule.protocol for rule in rules} | {rule.not_protocol for rule in rules}
        if named == {None}:
            return None
        classes = {number: number for number in named if number is not None}
        masks = {
            number: bits(rules, lambda rule, n=number: rule.protocol in (None, n) and rule.not_protocol != n)  # type: ignore[misc]  # a default binds the loop variable
            for number in (*classes, OTHER)
        }
        get = classes.get
        return Index(lambda packet: get(packet.protocol, OTHER), masks.__getitem__)
