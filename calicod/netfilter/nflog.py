"""What rules of ours log (NFLOG, nfnetlink_log): the first packet of a connection that the kernel lets pass by itself.

Law: any bytes give an answer; what cannot be read is counted as lost, as is each packet that the kernel had no room
for: it numbers them. Packets come many at a time, so that telling of a connection costs less than making it. A message
laid out like one before is read at once, to the same value as attribute by attribute (benchmarks/nflog.py).
"""

import struct
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

import msgspec

from calicod.errors import CalicodError
from calicod.model.hook import Hook
from calicod.model.network import V4_LENGTH
from calicod.model.protocol import TCP, UDP
from calicod.netfilter.netlink import (
    ATTRIBUTE,
    HEADER,
    NETLINK_NETFILTER,
    NLA_TYPE_MASK,
    NLM_F_ACK,
    Netlink,
    attribute,
    attributes,
)
from calicod.packet.decode import decode
from calicod.packet.value import Packet

SUBSYSTEM = 4 << 8
PACKET, CONFIG = SUBSYSTEM, SUBSYSTEM | 1
"""NFULNL_MSG_*."""
COMMAND, MODE, BUFFER, FLUSH, THRESHOLD, FLAGS = 1, 2, 3, 4, 5, 6
"""NFULA_CFG_*."""
BIND, COPY_PACKET, NUMBERED = 1, 2, 1
PACKET_HEADER, PAYLOAD, PREFIX, SEQUENCE = 1, 9, 10, 12
"""NFULA_*."""
AT_ONCE = 32
"""Packets in one datagram of the kernel's: of the longest that are not bridged (IPv6, forwarded, with hardware header)
as many have room. What comes otherwise is read a little more slowly."""
SNAP_BYTES = 80
"""Of each packet: its headers."""
MESSAGE_BYTES = 7_600
RECEIVE_BYTES = 1 << 16
FLUSH_HUNDREDTHS = 2
"""After so long the kernel gives what it has, in hundredths of a second."""
ROOM_BYTES = 32 << 20
FAILSAFE_PREFIX = "failsafe"
HOOKS = {b"\1": Hook.INPUT, b"\2": Hook.FORWARD, b"\3": Hook.OUTPUT}
"""NF_INET_*."""
NFGEN = struct.Struct(">BBH")
U32 = struct.Struct(">I")
U16 = struct.Struct(">H")
MODE_FORM = struct.Struct(">IBx")
U32_MASK, U16_MASK = 0xFFFFFFFF, 0xFFFF
LEAST_BYTES = HEADER.size + NFGEN.size
MAX_SHAPES, MAX_LENGTHS, MAX_KINDS = 16, 64, 32
"""Learned: of messages of one length, how many lengths, and kinds of all layouts (14 KB each). Who sends chooses."""
FIXED = b"\xff"


class Headers(msgspec.Struct, frozen=True):
    """TCP that is read at once: the bytes under `mask` are `value`; how `struct` reads addresses and ports.

    Under `fixed` they are as in the message it was learned from: how long the packet says it is decides what is read.
    """

    mask: bytes
    value: bytes
    fixed: bytes
    form: str

    def fit(self, payload: bytes) -> bool:
        """It is such a packet."""
        head = payload[: len(self.mask)]
        same = int.from_bytes(head) & int.from_bytes(self.mask) == int.from_bytes(self.value)
        return same and len(head) == len(self.mask)


PLAIN = {
    4: Headers(
        b"\xff" + bytes(5) + b"\x3f\xff\0\xff" + bytes(14),
        b"\x45" + bytes(8) + bytes([TCP]) + bytes(14),
        b"\xff\0\xff\xff\0\0\x3f\xff\0\xff" + bytes(14),
        "12x4s4sHH",
    ),
    6: Headers(
        b"\xf0" + bytes(5) + b"\xff" + bytes(37),
        b"\x60" + bytes(5) + bytes([TCP]) + bytes(37),
        b"\xf0\0\0\0" + b"\xff" * 3 + bytes(37),
        "8x16s16sHH",
    ),
}
"""By family: without options, or extension headers, and no fragment."""


Logged = tuple[int, bytes, bytes, int, int]
"""A packet that a rule of ours has logged: its number, source, destination, and their ports. A bare tuple: nothing
costs less."""
Run = tuple[Hook, bool, int, list[Logged]]
"""Packets that were logged one after the other: hook, whether a failsafe let them pass (else a memory of policy),
protocol."""
ABOUT = itemgetter(1, 2, 4)
"""Of a packet that was logged all but number and source port."""
NUMBERS, PORTS = struct.Struct(f">{AT_ONCE}I"), struct.Struct(f">{AT_ONCE}H")


class Alike(NamedTuple):
    """A run of packets that differ in their source ports alone."""

    hook: Hook
    failsafe: bool
    protocol: int
    src: bytes
    dst: bytes
    dport: int
    sports: Sequence[int]

    def one_by_one(self) -> Run:
        """The same as any run; the numbers, which nobody asks for any more, are 0."""
        packets = [(0, self.src, self.dst, sport, self.dport) for sport in self.sports]
        return self.hook, self.failsafe, self.protocol, packets


class Kind:
    """`AT_ONCE` messages of one layout with the same addresses and destination port, as those of `message`."""

    def __init__(self, mask: bytes, content: struct.Struct, message: bytes) -> None:
        address = FIXED * len(content.unpack(message)[1])
        fixed = content.pack(0, address, address, 0, U16_MASK)
        several = bytes(one | other for one, other in zip(mask, fixed, strict=True)) * AT_ONCE
        self._mask = int.from_bytes(several)
        self._value = int.from_bytes(message * AT_ONCE) & self._mask
        self._number_at = content.pack(U32_MASK, b"", b"", 0, 0).index(FIXED)
        self._sport_at = content.pack(0, b"", b"", U16_MASK, 0).index(FIXED)
        self._stride = len(message)

    def read(self, data: bytes, bits: int) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Numbers and source ports, if all are of this kind. `bits`: the same as an integer."""
        if bits & self._mask != self._value:
            return None
        seen = memoryview(data)
        numbers = seen.cast("I")[self._number_at // 4 :: self._stride // 4].tobytes()
        sports = seen.cast("H")[self._sport_at // 2 :: self._stride // 2].tobytes()
        return NUMBERS.unpack(numbers), PORTS.unpack(sports)


class Shape:
    """Messages whose bytes under `mask` are `value`; `content` reads number, addresses and ports. Headers included."""

    def __init__(self, mask: bytes, message: bytes, content: struct.Struct, hook: Hook, *, failsafe: bool) -> None:
        self._content = content
        self._hook = hook
        self._failsafe = failsafe
        self._mask = mask
        self._value = (int.from_bytes(message) & int.from_bytes(mask)).to_bytes(len(mask))
        self._several: dict[int, tuple[int, int]] = {}

    def read(self, data: bytes, count: int, kinds: "Kinds") -> tuple[tuple[int, ...], Run | Alike] | None:
        """Numbers and packets of so many messages; None: not all of them, or something else, are laid out so.

        `kinds`: what was learned, and is, of those of all layouts.
        """
        bits = int.from_bytes(data)
        about = src, dst, dport = ABOUT(self._content.unpack_from(data))
        kind = kinds.get((self, *about)) if count == AT_ONCE else None
        read = None if kind is None else kind.read(data, bits)
        if read is not None:
            return read[0], Alike(self._hook, self._failsafe, TCP, src, dst, dport, read[1])
        mask, value = self._several.get(count) or self._times(count)
        if bits & mask != value:
            return None
        packets: list[Logged] = list(self._content.iter_unpack(data))
        numbers = tuple([packet[0] for packet in packets])
        if ABOUT(packets[-1]) != about or len(set(map(ABOUT, packets))) > 1:
            return numbers, (self._hook, self._failsafe, TCP, packets)
        if count == AT_ONCE:
            if len(kinds) >= MAX_KINDS:
                kinds.clear()
            kinds[self, *about] = Kind(self._mask, self._content, data[: len(self._mask)])
        return numbers, Alike(self._hook, self._failsafe, TCP, src, dst, dport, [packet[3] for packet in packets])

    def _times(self, count: int) -> tuple[int, int]:
        """Mask and value of so many messages."""
        several = int.from_bytes(self._mask * count), int.from_bytes(self._value * count)
        if count in {1, AT_ONCE}:  # nearly all; each has its bytes twice
            self._several[count] = several
        return several


Kinds = dict[tuple[Shape, bytes, bytes, int], Kind]


class Reader:
    """Datagrams of one group, in order. `lost`: packets that were logged and are not in them, or cannot be read.

    `lengths`: of so many different lengths of messages it learns layouts; 0: it reads all attribute by attribute.
    """

    def __init__(self, lengths: int = MAX_LENGTHS) -> None:
        self.lost = 0
        self._lengths = lengths
        self._next: int | None = None
        self._shapes: dict[int, list[Shape]] = {}
        self._kinds: Kinds = {}

    @property
    def learned(self) -> int:
        """Layouts."""
        return sum(map(len, self._shapes.values()))

    def parse(self, data: bytes, found: list[Run | Alike]) -> None:
        """Adds the packets of one datagram. Most hold packets of one rule only, whose messages are alike."""
        if len(data) < LEAST_BYTES:
            return
        stride = (HEADER.unpack_from(data)[0] + 3) & ~3
        count = len(data) // max(stride, LEAST_BYTES)
        alike = data[: count * stride]
        if count == 0 or not self._at_once(alike, stride, count, found):
            self._one_by_one(data, found)
        elif len(data) > len(alike):  # the message that ends a series, or more
            self._one_by_one(data[len(alike) :], found)

    def _at_once(self, data: bytes, stride: int, count: int, found: list[Run | Alike]) -> bool:
        for shape in self._shapes.get(stride, ()):
            read = shape.read(data, count, self._kinds)
            if read is not None:
                self._count(read[0])
                found.append(read[1])
                return True
        return False

    def _one_by_one(self, data: bytes, found: list[Run | Alike]) -> None:
        offset, end = 0, len(data)
        while offset + LEAST_BYTES <= end:
            length, kind = HEADER.unpack_from(data, offset)[:2]
            stride = (length + 3) & ~3
            if length < LEAST_BYTES or offset + stride > end:
                return
            message = data[offset : offset + stride]
            if kind == PACKET and not self._at_once(message, stride, 1, found):
                self._slowly(message, length, found)
            offset += stride

    def _count(self, numbers: tuple[int, ...]) -> None:
        """Of packets that came one after the other."""
        first, count = numbers[0], len(numbers)
        if first != self._next or numbers != tuple(range(first, first + count)):
            expected = [first if self._next is None else self._next, *(number + 1 for number in numbers)]
            self.lost += sum(number - due & U32_MASK for number, due in zip(numbers, expected, strict=False))
        self._next = numbers[-1] + 1 & U32_MASK

    def _slowly(self, message: bytes, length: int, found: list[Run | Alike]) -> None:
        """Attribute by attribute; learns the layout."""
        parts = attributes(message[LEAST_BYTES:length])
        packet, hook = decode(parts.get(PAYLOAD, b"")), HOOKS.get(parts.get(PACKET_HEADER, b"\0\0\0")[2:3])
        told, number = parts.get(SEQUENCE, b""), 0
        if len(told) == U32.size:
            (number,) = U32.unpack(told)
            self._count((number,))
        if not isinstance(packet, Packet) or hook is None or packet.protocol not in {TCP, UDP} or packet.fragment:
            self.lost += 1
            return
        failsafe = parts.get(PREFIX, b"").rstrip(b"\0") == FAILSAFE_PREFIX.encode()
        found.append((hook, failsafe, packet.protocol, [(number, packet.src, packet.dst, packet.sport, packet.dport)]))
        learned = learn(message, length, 4 if len(packet.src) == V4_LENGTH else 6, hook, failsafe=failsafe)
        if learned is not None and (len(message) in self._shapes or len(self._shapes) < self._lengths):
            known = self._shapes.setdefault(len(message), [])
            if len(known) < MAX_SHAPES:
                known.append(learned)


class LogGroup:
    """One group's packets, for whoever holds the socket. Does not block; raises CalicodError when there is none."""

    def __init__(self, group: int) -> None:
        self.group = group
        self._reader = Reader()
        self._netlink = Netlink(NETLINK_NETFILTER, buffer=ROOM_BYTES)
        wanted = (
            (COMMAND, bytes([BIND])),
            (MODE, MODE_FORM.pack(SNAP_BYTES, COPY_PACKET)),
            (BUFFER, U32.pack(MESSAGE_BYTES)),
            (FLUSH, U32.pack(FLUSH_HUNDREDTHS)),
            (THRESHOLD, U32.pack(AT_ONCE)),
            (FLAGS, U16.pack(NUMBERED)),
        )
        body = NFGEN.pack(0, 0, group) + b"".join(attribute(kind, value) for kind, value in wanted)
        try:
            for _ in self._netlink.request(CONFIG, body, NLM_F_ACK):
                pass
            self._netlink.socket.settimeout(None)
        except OSError as error:
            self.close()
            raise CalicodError(
                "K019",
                f"the kernel gives no log group {group}: {error}",
                hint="load nfnetlink_log (`modprobe`), and let no other program (ulogd) use that group",
                exit_code=4,
            ) from error

    @property
    def lost(self) -> int:
        """Packets that were logged and never came."""
        return self._reader.lost

    def fileno(self) -> int:
        """For an event loop's `add_reader`."""
        return self._netlink.fileno()

    def close(self) -> None:
        """Gives the group back, unless another process holds it too."""
        self._netlink.close()

    def read(self) -> list[Run | Alike]:
        """What has come."""
        found: list[Run | Alike] = []
        while (data := self._netlink.receive(RECEIVE_BYTES)) is not None:
            self._reader.parse(data, found)
        return found


def learn(message: bytes, length: int, family: int, hook: Hook, *, failsafe: bool) -> Shape | None:
    """The layout of a message: every header fixed, of its content what says whose it is; None: it is no plain TCP.

    The sequence number and port id of netlink's own header are not fixed.
    """
    mask, form = FIXED * 8 + bytes(8) + FIXED * NFGEN.size, f">{LEAST_BYTES}x"
    places, offset = list[int](), LEAST_BYTES
    while offset + ATTRIBUTE.size <= length:
        size, kind = ATTRIBUTE.unpack_from(message, offset)
        content, padding, kind = size - ATTRIBUTE.size, -size % 4, kind & NLA_TYPE_MASK
        if content < 0 or offset + size > length:
            return None
        told, read = (FIXED if kind in {PACKET_HEADER, PREFIX} else b"\0") * content, f"{content}x"
        if kind == PAYLOAD:
            plain = PLAIN[family]
            if not plain.fit(message[offset + ATTRIBUTE.size : offset + size]):
                return None
            rest = content - len(plain.mask)
            told, read = plain.fixed + bytes(rest), f"{plain.form}{rest}x"
        elif kind == SEQUENCE:
            if content != U32.size:
                return None
            read = "I"
        places += [kind] if kind in {SEQUENCE, PAYLOAD} else []
        mask += FIXED * ATTRIBUTE.size + told + bytes(padding)
        form += f"{ATTRIBUTE.size}x{read}{padding}x"
        offset += size + padding
    if len(mask) != len(message) or places != [SEQUENCE, PAYLOAD]:
        return None
    return Shape(mask, message, struct.Struct(form), hook, failsafe=failsafe)
