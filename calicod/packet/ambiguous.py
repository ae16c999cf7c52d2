"""IPv6 packets to this host that Linux may deliver as something else than what conntrack and a queue's reader see.

When conntrack has put fragments together, or taken away the header of an atomic one, it leaves the stack's place in the
chain of extension headers at the first of them, but the data at what stood behind the fragment header (kernel 6.18,
net/ipv6/netfilter/nf_conntrack_reasm.c sets no `nhoff`). So the stack reads what follows as another header of the first
one's kind, and delivers whatever its bytes name next: a segment to port 22 behind one to port 80, seen by no firewall.

Law: total. Whatever Linux could read so is ambiguous; what it would throw away is not. A fragment header that was taken
away leaves no trace, so a packet that never had one is judged alike.
"""

from calicod.packet.decode import (
    EXTENSIONS,
    HOP_BY_HOP,
    IPV6,
    MAX_EXTENSIONS,
    OPTIONS,
    ROUTING,
    SMALLEST_EXTENSION,
    V6_HEADER,
    length_of,
)

NEXT_HEADER = 6
LEADING = frozenset({HOP_BY_HOP, ROUTING, OPTIONS})
"""The next headers behind which something may hide; hop-by-hop options themselves are read before conntrack."""
PAD1 = 0
HOME_ADDRESS = 0xC9
ACTION = 0xC0
"""Bits of an option's type: not 0, and a receiver that does not know it drops the packet (RFC 8200, 4.2)."""
SEGMENTS = frozenset({2, 3, 4})
"""Types of routing headers that Linux follows though segments are left: mobility, RPL, segments."""


def is_ambiguous(raw: bytes) -> bool:
    """Whether a packet that arrives at this host may be read in another way than header by header."""
    if len(raw) < V6_HEADER or raw[0] >> 4 != IPV6 or raw[NEXT_HEADER] not in LEADING:
        return False
    kind, start, end = raw[NEXT_HEADER], V6_HEADER, len(raw)
    if kind == HOP_BY_HOP:
        if start + SMALLEST_EXTENSION > end:
            return False
        kind, start = raw[start], start + length_of(kind, raw, start)
    if kind not in {ROUTING, OPTIONS}:
        return False
    following = kind
    for _ in range(MAX_EXTENSIONS):
        if following not in EXTENSIONS or start + SMALLEST_EXTENSION > end:
            return False
        following, start = raw[start], start + length_of(following, raw, start)
        if is_header(kind, raw, start):
            return True
    return True


def is_header(kind: int, raw: bytes, start: int) -> bool:
    """Whether Linux would go on behind the bytes from `start` on, taken for a header of this kind."""
    if start + SMALLEST_EXTENSION > len(raw):
        return False
    end = start + (raw[start + 1] + 1) * 8
    if end > len(raw):
        return False  # a queue copies twice the longest header, and a chain that is longer is malformed
    if kind == ROUTING:
        return raw[start + 3] == 0 or raw[start + 2] in SEGMENTS
    return are_options(raw[start + 2 : end])


def are_options(raw: bytes) -> bool:
    """Whether they fill the space exactly, and none of them makes a receiver drop the packet.

    >>> are_options(bytes([1, 4, 0, 0, 0, 0])), are_options(bytes([0x80, 4, 0, 0, 0, 0]))
    (True, False)
    """
    at = 0
    while at < len(raw):
        kind = raw[at]
        if kind == PAD1:
            at += 1
            continue
        if at + 1 == len(raw) or (kind & ACTION and kind != HOME_ADDRESS):
            return False
        at += raw[at + 1] + 2
    return at == len(raw)
