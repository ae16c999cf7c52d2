"""Messages of nfnetlink_log, laid out as the kernel does (Linux 6.18, of the loopback interface)."""

import struct
from collections.abc import Iterable

from calicod.model.hook import Hook
from calicod.netfilter.netlink import HEADER, NLMSG_DONE, attribute
from calicod.netfilter.nflog import NFGEN, PACKET, PACKET_HEADER, PAYLOAD, PREFIX, SEQUENCE, U32, Alike, Reader, Run

TIMESTAMP, INDEV, OUTDEV, UID, GID, HARDWARE = 3, 4, 5, 11, 14, 16
NUMBERS = {Hook.INPUT: 1, Hook.FORWARD: 2, Hook.OUTPUT: 3}
TCP, UDP = 6, 17
CLIENT = {4: bytes([192, 0, 2, 1]), 6: bytes.fromhex("20010db8") + bytes(11) + b"\1"}
SERVER = {4: bytes([10, 65, 0, 2]), 6: bytes.fromhex("20010db8") + bytes(11) + b"\2"}
DONE = HEADER.pack(HEADER.size + NFGEN.size, NLMSG_DONE, 0, 0, 0) + NFGEN.pack(0, 0, 7)


def ports(protocol: int, sport: int, dport: int, size: int) -> bytes:
    """A transport header with what follows it."""
    return struct.pack(">HH", sport, dport) + (bytes(8) + b"\xa0\x02" if protocol == TCP else b"") + bytes(size)


def packet(
    family: int = 4,
    protocol: int = TCP,
    sport: int = 40000,
    dport: int = 80,
    *,
    size: int = 26,
    options: bytes = b"",
    bits: int = 0,
    extensions: bytes = b"",
) -> bytes:
    """From its IP header on. `options` and `bits` (fragments) of IPv4, `extensions` of IPv6: a chain to `protocol`."""
    content = ports(protocol, sport, dport, size)
    src, dst = CLIENT[family], SERVER[family]
    if family == 4:
        first, total = 0x45 + len(options) // 4, 20 + len(options) + len(content)
        head = struct.pack(">BBHHHBBH4s4s", first, 0, total, 7, bits, 64, protocol, 0, src, dst)
        return head + options + content
    payload = extensions + content
    following = 0 if extensions else protocol
    return struct.pack(">IHBB16s16s", 6 << 28, len(payload), following, 64, src, dst) + payload


def hop_by_hop(protocol: int) -> bytes:
    """An extension header."""
    return bytes([protocol, 0, 1, 4, 0, 0, 0, 0])


def fragment_header(protocol: int, bits: int) -> bytes:
    """One behind a hop-by-hop header."""
    return hop_by_hop(44) + struct.pack(">BBHI", protocol, 0, bits, 9)


def message(
    number: int,
    raw: bytes,
    *,
    hook: Hook = Hook.INPUT,
    prefix: str = "",
    sent_by_us: bool = False,
    stamped: bool = True,
    snap: int = 80,
) -> bytes:
    """One logged packet; `sent_by_us`: of a socket of this host. `stamped`: it bears the time of its arrival."""
    family = b"\x86\xdd" if raw[:1] >= b"\x60" else b"\x08\x00"
    parts = [attribute(PACKET_HEADER, family + bytes([NUMBERS[hook], 0]))]
    parts += [attribute(PREFIX, prefix.encode() + b"\0")] if prefix else []
    parts += [attribute(OUTDEV, U32.pack(1))] if sent_by_us else [attribute(INDEV, U32.pack(1))]
    if not sent_by_us:
        parts += [attribute(15, b"\3\4"), attribute(17, b"\0\x0e"), attribute(HARDWARE, bytes(12) + family)]
    parts += [attribute(TIMESTAMP, struct.pack(">QQ", 1_790_000_000, 420_000 + number % 1000))] if stamped else []
    parts += [attribute(UID, U32.pack(0)), attribute(GID, U32.pack(0))] if sent_by_us else []
    parts += [attribute(SEQUENCE, U32.pack(number)), attribute(PAYLOAD, raw[:snap])]
    body = NFGEN.pack(2 if family[0] == 8 else 10, 0, 7) + b"".join(parts)
    return HEADER.pack(HEADER.size + len(body), PACKET, 0, 0, 0) + body + bytes(-len(body) % 4)


One = tuple[Hook, bool, int, bytes, bytes, int, int]
"""Hook, whether a failsafe let it pass, protocol, addresses, ports."""


def read(reader: Reader, *datagrams: bytes) -> list[One]:
    """What they tell, packet by packet."""
    found: list[Run | Alike] = []
    for datagram in datagrams:
        reader.parse(datagram, found)
    return singly(found)


def singly(runs: Iterable[Run | Alike]) -> list[One]:
    """Packet by packet."""
    plain = (run.one_by_one() if isinstance(run, Alike) else run for run in runs)
    return [(*about, *ends) for *about, packets in plain for _, *ends in packets]


def slowly(*datagrams: bytes) -> tuple[list[One], int]:
    """The same, attribute by attribute, and how many were lost."""
    reader = Reader(lengths=0)
    return read(reader, *datagrams), reader.lost
