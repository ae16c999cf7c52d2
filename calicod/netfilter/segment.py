"""A bare TCP reset as bytes, and a socket that sends it from whatever address.

Law: bytes in, bytes out; a reset carries neither options nor data (`exempt.answers` lets no other pass).
"""

import socket
import struct

from calicod.model.network import V4_LENGTH
from calicod.model.protocol import TCP
from calicod.netfilter.flow import FlowTuple

RESET = 0x04
HEADER = struct.Struct("!HHIIBBHHH")
"""Ports, sequence, acknowledgement, length of the header, flags, window, checksum, urgent pointer (RFC 9293)."""
WORDS = 0x50
V4 = struct.Struct("!BBHHHBBH")
V6 = struct.Struct("!IHBB")
HOPS = 64
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def reset(flow: FlowTuple, sequence: int) -> bytes:
    """The packet: a reset from the flow's source to its destination, at this sequence number."""
    head = HEADER.pack(flow.sport, flow.dport, sequence, 0, WORDS, RESET, 0, 0, 0)
    pseudo = flow.src + flow.dst + struct.pack("!II", TCP, len(head))
    head = HEADER.pack(flow.sport, flow.dport, sequence, 0, WORDS, RESET, 0, checksum(pseudo + head), 0)
    if len(flow.src) == V4_LENGTH:
        # the kernel fills in length, identifier and checksum (raw(7))
        return V4.pack(0x45, 0, V4.size + 8 + len(head), 0, 0, HOPS, TCP, 0) + flow.src + flow.dst + head
    return V6.pack(6 << 28, len(head), TCP, HOPS) + flow.src + flow.dst + head


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


class RawSender:
    """Sends whole packets, of both families, from the namespace of whoever makes it. Needs CAP_NET_RAW."""

    def __init__(self) -> None:
        self._sockets = {
            length: socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)
            for length, family in ((V4_LENGTH, socket.AF_INET), (16, socket.AF_INET6))
        }

    def send(self, packet: bytes, destination: bytes) -> None:
        """Raises OSError."""
        family = socket.AF_INET if len(destination) == V4_LENGTH else socket.AF_INET6
        self._sockets[len(destination)].sendto(packet, (socket.inet_ntop(family, destination), 0))

    def close(self) -> None:
        """Gives the sockets back."""
        for made in self._sockets.values():
            made.close()
