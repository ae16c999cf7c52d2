"""A packet as the engine sees it.

Law: immutable, complete when made; addresses are wire bytes (their length is the family); what a packet has not is -1.
Final, so that the hot path may ask for the type itself: `isinstance` of a msgspec class takes three times as long.
"""

from typing import final

import msgspec


@final
class Packet(msgspec.Struct, frozen=True, gc=False):
    """Family 4 or 6, upper-layer protocol number, addresses, ports, ICMP type and code (-1: has none).

    `fragment`: a later fragment, or a first one too short for its header: no ports are known, ever (D22).
    `hop_limit`: of ICMPv6 only, where it tells messages of this link from others (RFC 4861); -1: not known.
    """

    family: int
    protocol: int
    src: bytes
    dst: bytes
    sport: int = -1
    dport: int = -1
    icmp_type: int = -1
    icmp_code: int = -1
    fragment: bool = False
    hop_limit: int = -1


@final
class Malformed(msgspec.Struct, frozen=True):
    """Bytes that are no packet. `why` is a constant word; addresses and protocol as far as they were read."""

    why: str
    family: int = 0
    protocol: int = -1
    src: bytes = b""
    dst: bytes = b""
