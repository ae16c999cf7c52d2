"""TCP connections that conntrack met without their SYN, and setting their direction right.

Law: conntrack takes whoever it hears first for the caller, and remembers of such a connection that it was picked up:
windows are checked liberally on both sides. A connection that is replaced loses its mark: it is judged as a new one.
"""

import errno
import struct
from collections.abc import Iterator

from calicod.model.network import family_of
from calicod.model.protocol import TCP
from calicod.netfilter.flow import (
    AF_NUMBERS,
    DELETE,
    DESTINATION_NAT,
    GET,
    NEW,
    NFGEN,
    SOURCE_NAT,
    TUPLE_ORIGINAL,
    TUPLE_REPLY,
    U32,
    Flow,
    FlowTuple,
    head,
    read,
    write_tuple,
)
from calicod.netfilter.netlink import (
    NETLINK_NETFILTER,
    NLA_F_NESTED,
    NLM_F_ACK,
    NLM_F_DUMP,
    Netlink,
    attribute,
    attributes,
)

NLM_F_CREATE_EXCLUSIVE = 0x400 | 0x200
PROTO_INFO, TIMEOUT = 4, 7
TCP_INFO = 1
STATE, FLAGS_ORIGINAL, FLAGS_REPLY = 1, 4, 5
ESTABLISHED = 3
BE_LIBERAL = 0x08
ROUNDS = 5
"""Between removal and new entry a packet may have come by: then it is tried again."""
FIRST_SECONDS = 60
"""How long an entry lives that no packet ever meets; the first one gives it the time of any connection."""
KNOWN_FAMILIES = frozenset(AF_NUMBERS.values())


def picked_up() -> Iterator[Flow]:
    """Every connection of TCP that conntrack met without its SYN, but those whose addresses are translated."""
    with Netlink(NETLINK_NETFILTER) as netlink:
        for _, body in netlink.request(GET, head(0), NLM_F_DUMP):
            if not body or body[0] not in KNOWN_FAMILIES:
                continue
            flow = read(body, NFGEN.size, len(body), body[0])
            if flow is None or flow.original.protocol != TCP or flow.status & (SOURCE_NAT | DESTINATION_NAT):
                continue
            if is_liberal(attributes(body[NFGEN.size :]).get(PROTO_INFO, b"")):
                yield flow


def is_liberal(info: bytes) -> bool:
    """Both sides' windows are checked liberally."""
    tcp = attributes(attributes(info).get(TCP_INFO, b""))
    flags = [tcp.get(kind, b"\0")[0] for kind in (FLAGS_ORIGINAL, FLAGS_REPLY)]
    return all(each & BE_LIBERAL for each in flags)


def establish(flow: FlowTuple) -> bool:
    """Enters a connection that is under way, with `flow` as its original direction; False: there is one already."""
    liberal = struct.pack("BB", BE_LIBERAL, BE_LIBERAL)
    tcp = attribute(STATE, bytes([ESTABLISHED])) + attribute(FLAGS_ORIGINAL, liberal) + attribute(FLAGS_REPLY, liberal)
    body = head(family_of(flow.src)) + write_tuple(TUPLE_ORIGINAL, flow) + write_tuple(TUPLE_REPLY, inverse(flow))
    body += attribute(TIMEOUT, U32.pack(FIRST_SECONDS))
    body += attribute(PROTO_INFO | NLA_F_NESTED, attribute(TCP_INFO | NLA_F_NESTED, tcp))
    return _done(NEW, body, NLM_F_CREATE_EXCLUSIVE, errno.EEXIST)


def forget(flow: FlowTuple) -> bool:
    """Removes the connection of which this is one direction; False: there is none."""
    return _done(DELETE, head(family_of(flow.src)) + write_tuple(TUPLE_ORIGINAL, flow), 0, errno.ENOENT)


def turn(flow: FlowTuple) -> bool:
    """Makes the reply direction of a connection its original one; False: packets came by each time."""
    return any(_replaced(flow) for _ in range(ROUNDS))


def inverse(flow: FlowTuple) -> FlowTuple:
    """The other direction, where nothing is translated."""
    return FlowTuple(flow.protocol, flow.dst, flow.src, flow.dport, flow.sport)


def _replaced(flow: FlowTuple) -> bool:
    forget(flow)
    return establish(inverse(flow))


def _done(kind: int, body: bytes, flags: int, harmless: int) -> bool:
    with Netlink(NETLINK_NETFILTER) as netlink:
        try:
            for _ in netlink.request(kind, body, flags | NLM_F_ACK):
                pass
        except OSError as error:
            if error.errno != harmless:
                raise
            return False
    return True
