"""The criteria of a compiled rule: what is tested on one packet.

Law: plain values; each attribute of `CompiledRule` but `action`, `index` and `place` belongs to exactly one field.
"""

import msgspec

from calicod.errors import NOWHERE, Place
from calicod.model.action import Action
from calicod.model.ports import PortRange

FAMILY_4 = 1
FAMILY_6 = 2
BOTH_FAMILIES = 3


class IPSet(msgspec.Struct, frozen=True):
    """Addresses, or (address, protocol, port) members for a named port.

    `v4`, `v6`: sorted, disjoint, merged ranges, packed first+last each (8 and 32 bytes a range, network order).
    `ports`: members of a named-port set; a set has either addresses or ports.
    `text`: what it stands for (`selector color == "blue"`, `nets 10.0.0.0/8`), for explain.
    """

    text: str
    v4: bytes = b""
    v6: bytes = b""
    ports: tuple[tuple[bytes, int, int], ...] = ()


class PortMatch(msgspec.Struct, frozen=True):
    """One ports list: a port in any range, or (address, protocol, port) of that side in any named set."""

    ranges: tuple[PortRange, ...] = ()
    named: tuple[int, ...] = ()


class CompiledRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule reduced to tests on one packet; all present criteria must hold (semantics 2.1).

    `families`: bit set of FAMILY_4, FAMILY_6 after the filtering of semantics 2.4 (0: never matches).
    `*_sets`: indexes of address IP sets; the address must be in every one of `source_sets` and in none of
    `not_source_sets`. `not_icmp_*` demands an ICMP packet of its family (D7).
    """

    action: Action
    index: int
    place: Place = NOWHERE
    families: int = BOTH_FAMILIES
    protocol: int | None = None
    not_protocol: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    not_icmp_type: int | None = None
    not_icmp_code: int | None = None
    source_sets: tuple[int, ...] = ()
    not_source_sets: tuple[int, ...] = ()
    destination_sets: tuple[int, ...] = ()
    not_destination_sets: tuple[int, ...] = ()
    source_ports: PortMatch | None = None
    not_source_ports: PortMatch | None = None
    destination_ports: PortMatch | None = None
    not_destination_ports: PortMatch | None = None
