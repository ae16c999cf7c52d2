"""Messages to and from nfnetlink_queue that the binding has no call for.

Law: bytes in, bytes out; sending and receiving is the caller's. Numbers are those of linux/netfilter/nfnetlink_queue.h.
"""

from struct import Struct

SUBSYSTEM = 3 << 8
PACKET, VERDICT, CONFIG, VERDICT_BATCH = SUBSYSTEM | 0, SUBSYSTEM | 1, SUBSYSTEM | 2, SUBSYSTEM | 3
REQUEST = 1
PACKET_HEADER, VERDICT_HEADER, PACKET_MARK = 1, 2, 3
CONFIG_MASK, CONFIG_FLAGS = 4, 5
FAIL_OPEN, GSO = 1, 4
DROP, REPEAT = 0, 4
ATTRIBUTE_TYPE = 0x3FFF
"""Without NLA_F_NESTED and NLA_F_NET_BYTEORDER."""

HEADER = Struct("=IHHII")
"""Length, type, flags, sequence, port: in the host's order."""
GENERAL = Struct("!BBH")
"""Family, version, queue number."""
ATTRIBUTE = Struct("=HH")
WORD = Struct("!I")
TWO_WORDS = Struct("!II")
ATTRIBUTES_AT = HEADER.size + GENERAL.size

VERDICT_HEAD = ATTRIBUTES_AT + ATTRIBUTE.size + WORD.size
"""Bytes of a verdict's message that are equal for all packets of a queue: they end before the packet's id."""
DROPPED = Struct(f"!{VERDICT_HEAD}sI")
REPEATED = Struct(f"!{VERDICT_HEAD}sI{ATTRIBUTE.size}sI")
MARK_HEAD = ATTRIBUTE.pack(ATTRIBUTE.size + WORD.size, PACKET_MARK)


def flags_message(queue: int, flags: int, mask: int) -> bytes:
    """Sets those flags of the queue that are in `mask`."""
    return message(CONFIG, queue, attribute(CONFIG_MASK, WORD.pack(mask)), attribute(CONFIG_FLAGS, WORD.pack(flags)))


def drop_message(queue: int, last: int) -> bytes:
    """One verdict, drop, for every packet that was read and has an id up to `last`."""
    return message(VERDICT_BATCH, queue, attribute(VERDICT_HEADER, TWO_WORDS.pack(DROP, last)))


class Answers:
    """Makes the verdicts on single packets of a queue, each a message; several go to the kernel in one write."""

    def __init__(self, queue: int) -> None:
        self._dropped, self._repeated = (
            HEADER.pack(form.size, VERDICT, REQUEST, 0, 0)
            + GENERAL.pack(0, 0, queue)
            + ATTRIBUTE.pack(ATTRIBUTE.size + TWO_WORDS.size, VERDICT_HEADER)
            + WORD.pack(verdict)
            for form, verdict in ((DROPPED, DROP), (REPEATED, REPEAT))
        )

    def drop(self, packet: int) -> bytes:
        """It does not go on."""
        return DROPPED.pack(self._dropped, packet)

    def repeat(self, packet: int, mark: int) -> bytes:
        """It runs through the chain again, with this mark."""
        return REPEATED.pack(self._repeated, packet, MARK_HEAD, mark)


def message(kind: int, queue: int, *attributes: bytes) -> bytes:
    """A request to the queue. No acknowledgement is asked for: it would come up between the packets."""
    body = GENERAL.pack(0, 0, queue) + b"".join(attributes)
    return HEADER.pack(HEADER.size + len(body), kind, REQUEST, 0, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def packet_id(data: bytes) -> int | None:
    """The id of the packet in a message from the kernel; None when the message holds none (an error report)."""
    if len(data) < ATTRIBUTES_AT or HEADER.unpack_from(data)[1] != PACKET:
        return None
    at = ATTRIBUTES_AT
    while at + ATTRIBUTE.size + WORD.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if kind & ATTRIBUTE_TYPE == PACKET_HEADER:
            number: int = WORD.unpack_from(data, at + ATTRIBUTE.size)[0]
            return number
        if length < ATTRIBUTE.size:
            return None
        at += (length + 3) & ~3
    return None
