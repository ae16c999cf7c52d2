"""A connection as the kernel's connection tracking tells of it.

Law: addresses and ports as the kernel keeps them: the original direction before NAT, the reply direction as it comes
back. What the message does not carry is -1 (numbers of the protocol, counters) or 0 (mark, times).
"""

import msgspec


class Connection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One conntrack entry: began (`ended` false), is listed in a dump, or was destroyed (`ended` true).

    `sport`, `dport`: -1 for protocols without ports; ICMP has `icmp_type`, `icmp_code`, `icmp_id` of the original
    direction instead. Counters need `net.netfilter.nf_conntrack_acct`, times (wall clock, nanoseconds)
    `nf_conntrack_timestamp`; the kernel tells both only in dumps and when the connection ends.
    """

    ended: bool
    protocol: int
    src: bytes
    dst: bytes
    reply_src: bytes
    reply_dst: bytes
    sport: int = -1
    dport: int = -1
    reply_sport: int = -1
    reply_dport: int = -1
    icmp_type: int = -1
    icmp_code: int = -1
    icmp_id: int = -1
    mark: int = 0
    original_packets: int = -1
    original_bytes: int = -1
    reply_packets: int = -1
    reply_bytes: int = -1
    start_ns: int = 0
    stop_ns: int = 0
