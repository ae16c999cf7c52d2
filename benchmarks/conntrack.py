"""Reading conntrack's events: how long one takes. Goal: 6 µs. Run: python -m benchmarks.conntrack

The messages are those of kernel 6.18, as a router with accounting and timestamps sends them.
"""

import pyperf

from calicod.netfilter.endings import Reader
from calicod.netfilter.flow import (
    COUNTERS_ORIGINAL,
    COUNTERS_REPLY,
    DELETE,
    MARK,
    NEW,
    STATUS,
    TIMESTAMP,
    TUPLE_ORIGINAL,
    TUPLE_REPLY,
    U32,
    U64,
    FlowTuple,
    head,
    parse,
    write_tuple,
)
from calicod.netfilter.netlink import HEADER, NLA_F_NESTED, attribute

TIMEOUT, IDENTIFIER = 7, 12
TCP = 6
NLM_F_CREATE_EXCL = 0x600


def connection(family: int) -> bytes:
    """The attributes that NEW and DESTROY events share."""
    client, server = (bytes([10, 0, 0, n]) if family == 4 else bytes(15) + bytes([n]) for n in (1, 2))
    original = write_tuple(TUPLE_ORIGINAL, FlowTuple(TCP, client, server, 40000, 443))
    reply = write_tuple(TUPLE_REPLY, FlowTuple(TCP, server, client, 443, 40000))
    rest = attribute(IDENTIFIER, U32.pack(7)) + attribute(STATUS, U32.pack(0x18E)) + attribute(MARK, U32.pack(0x22300))
    return head(family) + original + reply + rest


def event(kind: int, body: bytes) -> bytes:
    """One datagram."""
    return HEADER.pack(HEADER.size + len(body), kind, NLM_F_CREATE_EXCL if kind == NEW else 0, 0, 0) + body


def ended(family: int) -> bytes:
    """The end of a connection, with everything that accounting and timestamps add."""
    counters = attribute(1, U64.pack(12)) + attribute(2, U64.pack(3456))
    times = attribute(1, U64.pack(1_790_000_000_000_000_000)) + attribute(2, U64.pack(1_790_000_001_000_000_000))
    body = connection(family)
    for nest, content in ((COUNTERS_ORIGINAL, counters), (COUNTERS_REPLY, counters), (TIMESTAMP, times)):
        body += attribute(nest | NLA_F_NESTED, content)
    return event(DELETE, body)


def main() -> None:
    """Times each kind of event."""
    runner = pyperf.Runner()
    for family in (4, 6):
        began = event(NEW, connection(family) + attribute(TIMEOUT, U32.pack(120)))
        runner.bench_func(f"conntrack event, new, ipv{family}", parse, began)
        runner.bench_func(f"conntrack event, destroyed, ipv{family}", parse, ended(family))
        runner.bench_func(
            f"conntrack event, destroyed, laid out as one before, ipv{family}", Reader().read, ended(family), [], []
        )


if __name__ == "__main__":
    main()
