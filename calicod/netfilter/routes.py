"""Where the kernel would send a packet: one question to its routing tables.

Law: a look, never a change. What the kernel would not route has no answer; what is not for one host neither.
"""

import struct

import msgspec

from calicod.model.network import V4_LENGTH
from calicod.netfilter.flow import AF_NUMBERS
from calicod.netfilter.netlink import NETLINK_ROUTE, Netlink, attribute, attributes

GET_ROUTE, NEW_ROUTE = 26, 24
ROUTE = struct.Struct("=BBBBBBBBI")
"""Family, lengths of destination and source, tos, table, protocol, scope, type, flags."""
DESTINATION, SOURCE, INCOMING, OUTGOING = 1, 2, 3, 4
UNICAST, LOCAL = 1, 2
INDEX = struct.Struct("=I")
BITS = 8


class Route(msgspec.Struct, frozen=True):
    """To this host itself, or out by the interface of this index."""

    local: bool
    interface: int


class Routes:
    """A socket in the namespace of whoever makes it; answers are remembered for as long as this lives."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_ROUTE)
        self._known: dict[tuple[bytes, bytes, int], Route | None] = {}

    def find(self, destination: bytes, source: bytes, incoming: int = 0) -> Route | None:
        """The route of a packet that came by this interface, or (0) that this host itself sends."""
        key = (destination, source, incoming)
        if key not in self._known:
            self._known[key] = self._ask(*key)
        return self._known[key]

    def close(self) -> None:
        """Gives the socket back."""
        self._netlink.close()

    def _ask(self, destination: bytes, source: bytes, incoming: int) -> Route | None:
        family = AF_NUMBERS[4 if len(destination) == V4_LENGTH else 6]
        body = ROUTE.pack(family, len(destination) * BITS, len(source) * BITS, 0, 0, 0, 0, 0, 0)
        body += attribute(DESTINATION, destination)
        if source:
            body += attribute(SOURCE, source)
        if incoming:
            body += attribute(INCOMING, INDEX.pack(incoming))
        try:
            for kind, answer in self._netlink.request(GET_ROUTE, body, 0):
                if kind == NEW_ROUTE:
                    return _route(answer)
        except OSError:  # unreachable, prohibited, a spoofed source: no packet would be sent
            return None
        return None


def _route(answer: bytes) -> Route | None:
    kind = ROUTE.unpack_from(answer)[7]
    outgoing = attributes(answer[ROUTE.size :]).get(OUTGOING)
    if kind == LOCAL:
        return Route(local=True, interface=0)
    if kind == UNICAST and outgoing is not None:
        return Route(local=False, interface=INDEX.unpack(outgoing)[0])
    return None
