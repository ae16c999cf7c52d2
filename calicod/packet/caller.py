"""Who called whom, of a TCP segment in the middle of a connection whose beginning nobody saw.

Law: only ports tell, and only where one of them is from the range that systems call from. What they leave open stays
open: whoever asks must then judge both.
"""

from enum import Enum

from calicod.packet.value import Packet

CALLING_PORTS = 32768
"""From here on Linux (net.ipv4.ip_local_port_range), and other systems from 49152 on (RFC 6335), choose the ports that
they call from; Kubernetes' node ports and nearly every service are below."""


class Caller(Enum):
    """The end of the packet that called."""

    SENDER = "sender"
    RECEIVER = "receiver"
    OPEN = "open"


def caller(packet: Packet) -> Caller:
    """Which end of the packet called, as far as its ports tell.

    >>> caller(Packet(4, 6, b"", b"", 443, 50000))
    <Caller.RECEIVER: 'receiver'>
    """
    if packet.sport >= CALLING_PORTS > packet.dport >= 0:
        return Caller.SENDER
    if packet.dport >= CALLING_PORTS > packet.sport >= 0:
        return Caller.RECEIVER
    return Caller.OPEN
