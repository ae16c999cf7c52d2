"""IP protocol numbers (IANA) and the names that Calico knows."""

from types import MappingProxyType

import msgspec

ICMP = 1
IPIP = 4
TCP = 6
UDP = 17
ICMPV6 = 58
SCTP = 132
UDPLITE = 136

NAMES = MappingProxyType({"TCP": TCP, "UDP": UDP, "ICMP": ICMP, "ICMPv6": ICMPV6, "SCTP": SCTP, "UDPLite": UDPLITE})
NUMBERS = MappingProxyType({number: name for name, number in NAMES.items()})
WITH_PORTS = frozenset({TCP, UDP, SCTP, UDPLITE})
RULE_PORTS = frozenset({TCP, UDP, SCTP})
"""Protocols for which a rule may give ports (semantics R6: not UDPLite)."""


class Protocol(msgspec.Struct, frozen=True):
    """A rule's protocol. `family` is set only where the *name* implies one: ICMP 4, ICMPv6 6 (semantics 2.3)."""

    number: int
    family: int | None = None


def protocol_name(number: int) -> str:
    """The lower-case name that events and decisions show; the number as text when it has none.

    >>> protocol_name(6), protocol_name(253)
    ('tcp', '253')
    """
    return NUMBERS[number].lower() if number in NUMBERS else str(number)
