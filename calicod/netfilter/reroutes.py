"""Word that this host's routes changed, and for which destinations.

Law: a look, never a change. What the socket had no room for, and what changes more than one route (rules, next hops),
may concern every destination.
"""

import struct

import msgspec

from calicod.netfilter.flow import FAMILIES
from calicod.netfilter.netlink import HEADER, NETLINK_ROUTE, Netlink, attributes
from calicod.netfilter.routes import BITS, DESTINATION, INDEX, NEW_ROUTE, ROUTE

GROUP_IPV4_ROUTE, GROUP_IPV4_RULE, GROUP_IPV6_ROUTE, GROUP_IPV6_RULE, GROUP_NEXT_HOP = 7, 8, 11, 19, 32
DELETED_ROUTE = 25
TABLE = 15
MAIN, LOCAL = 254, 255
HEAD = struct.Struct("=IH")
BUFFER = 4 << 20


class Change(msgspec.Struct, frozen=True):
    """A route that came or went: a prefix of that family. `usual`: in the tables that every packet asks."""

    family: int
    prefix: bytes
    length: int
    usual: bool = True

    def concerns(self, address: bytes) -> bool:
        """The route is one to this address."""
        if len(address) * BITS != (32 if self.family == 4 else 128):  # noqa: PLR2004  the families' own numbers
            return False
        shift = len(address) * BITS - self.length
        return int.from_bytes(address) >> shift == int.from_bytes(self.prefix.ljust(len(address), b"\0")) >> shift


EVERYTHING = (Change(4, b"", 0), Change(6, b"", 0))


class Watcher:
    """Becomes readable when a route changes. Does not block; `fileno` is for an event loop."""

    def __init__(self) -> None:
        groups = (GROUP_IPV4_ROUTE, GROUP_IPV4_RULE, GROUP_IPV6_ROUTE, GROUP_IPV6_RULE, GROUP_NEXT_HOP)
        self._netlink = Netlink(NETLINK_ROUTE, groups=groups, buffer=BUFFER)

    def fileno(self) -> int:
        """For an event loop's `add_reader`."""
        return self._netlink.fileno()

    def changes(self) -> frozenset[Change]:
        """Takes what has come."""
        before = self._netlink.overruns
        found: set[Change] = set()
        while (data := self._netlink.receive()) is not None:
            found.update(read(data))
        if self._netlink.overruns > before:
            found.update(EVERYTHING)
        return frozenset(found)

    def close(self) -> None:
        """Ends it."""
        self._netlink.close()


def read(data: bytes) -> list[Change]:
    """The changes of one datagram."""
    found: list[Change] = []
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind = HEAD.unpack_from(data, offset)
        if length < HEADER.size:
            break
        body = data[offset + HEADER.size : offset + length]
        found += [_route(body)] if kind in {NEW_ROUTE, DELETED_ROUTE} and len(body) >= ROUTE.size else EVERYTHING
        offset += (length + 3) & ~3
    return found


def _route(body: bytes) -> Change:
    family, length, _, _, table, *_ = ROUTE.unpack_from(body)
    parts = attributes(body[ROUTE.size :])
    if TABLE in parts:
        table = INDEX.unpack(parts[TABLE])[0]
    return Change(FAMILIES.get(family, 0), parts.get(DESTINATION, b""), length, table in {MAIN, LOCAL})
