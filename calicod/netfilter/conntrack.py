"""Conntrack by netlink: its events, its connections, and our bits of their marks.

Law: only bits that the caller names are written; a connection that vanishes meanwhile is no error. Sockets live in the
namespace of whoever opens them. (pyroute2 needs 130 µs for one event: benchmarks/conntrack.py.)
"""

import errno
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from calicod.errors import CalicodError
from calicod.model.network import family_of
from calicod.netfilter.endings import Ended, Reader
from calicod.netfilter.flow import (
    AF_NUMBERS,
    GET,
    MARK,
    MARK_MASK,
    NEW,
    NFGEN,
    TUPLE_ORIGINAL,
    U16,
    U32,
    ZONE,
    Flow,
    FlowTuple,
    has_ended,
    head,
    parse,
    read,
    write_tuple,
)
from calicod.netfilter.netlink import (
    ATTRIBUTE,
    HEADER,
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_ERROR,
    Netlink,
    Step,
    attribute,
    fail,
    messages,
)

__all__ = [
    "Events",
    "Flow",
    "FlowTuple",
    "clear",
    "clear_all",
    "dump",
    "enable_accounting",
    "lookup",
    "parse",
    "set_mark",
    "set_marks",
]

GROUP_NEW, GROUP_DESTROY = 1, 3
EVENT_BUFFER = 32 << 20
BATCH = 64
"""Changes that go to the kernel in one write."""

BPF_LD_IMM, BPF_LDX_IMM, BPF_LD_ABS, BPF_LDH_ABS, BPF_LD_IND = 0x00, 0x01, 0x20, 0x28, 0x40
BPF_TAX, BPF_AND, BPF_JEQ, BPF_RET = 0x07, 0x54, 0x15, 0x06
SKF_NLATTR = 0xFFFFF00C
"""Loaded from there, A becomes the place of the attribute X that is found from place A on."""
TYPE_OFFSET = 4
U16_HOST = struct.Struct("=H")

SYSCTLS = Path("/proc/sys/net/netfilter")
WANTED = {"nf_conntrack_acct": "1", "nf_conntrack_timestamp": "1"}
EVENTS_SWITCH = "nf_conntrack_events"


class Setting(msgspec.Struct, frozen=True):
    """A sysctl that was changed, or (`error`) could not be."""

    name: str
    before: str
    now: str
    error: str = ""


class Events:
    """The stream of connections that begin and end. Does not block; `fileno` is for an event loop.

    `overruns`: how often the kernel had no room for an event (ENOBUFS). It does not say how many were lost.
    `ends_only`: the kernel is not asked for beginnings at all, so they cost nothing. `began`: (mark, mask); of the
    connections that begin, only those whose mark, under the mask, is that are told.
    """

    def __init__(
        self, buffer: int = EVENT_BUFFER, *, began: tuple[int, int] | None = None, ends_only: bool = False
    ) -> None:
        groups = (GROUP_DESTROY,) if ends_only else (GROUP_NEW, GROUP_DESTROY)
        self._netlink = Netlink(NETLINK_NETFILTER, groups=groups, buffer=buffer)
        self._reader = Reader()
        if began is not None:
            self._netlink.attach(only_began(*began))

    @property
    def overruns(self) -> int:
        """Since the stream was opened."""
        return self._netlink.overruns

    def fileno(self) -> int:
        """For an event loop's `add_reader`."""
        return self._netlink.fileno()

    def read(self, limit: int = 1000) -> tuple[list[Flow], list[Ended]]:
        """What began and what ended, about `limit` datagrams at most (one event each): the caller has more to do."""
        began, ends, read = list[Flow](), list[Ended](), self._reader.read
        while len(began) + len(ends) < limit and (received := self._netlink.receive_many()):
            for data in received:
                read(data, began, ends)
        return began, ends

    def close(self) -> None:
        """Ends the stream."""
        self._netlink.close()


def only_began(mark: int, mask: int) -> tuple[Step, ...]:
    """What the kernel does with an event before it costs us anything: a flow that was judged is told by its decision.

    Reading the beginning of every connection took a third of the supervisor's time at 10,000 connections a second.
    """
    new = int.from_bytes(U16_HOST.pack(NEW), "big")
    return (
        (BPF_LDH_ABS, 0, 0, TYPE_OFFSET),
        (BPF_JEQ, 0, 8, new),  # not the beginning of a connection: let it pass
        (BPF_LD_IMM, 0, 0, HEADER.size + NFGEN.size),
        (BPF_LDX_IMM, 0, 0, MARK),
        (BPF_LD_ABS, 0, 0, SKF_NLATTR),  # where the attribute is; 0: there is none, the mark is 0
        (BPF_TAX, 0, 0, 0),
        (BPF_JEQ, 4, 0, 0),
        (BPF_LD_IND, 0, 0, ATTRIBUTE.size),
        (BPF_AND, 0, 0, mask),
        (BPF_JEQ, 0, 1, mark),
        (BPF_RET, 0, 0, 0xFFFFFFFF),
        (BPF_RET, 0, 0, 0),
    )


def dump(mark: int = 0, mask: int = 0, *, live: bool = False) -> Iterator[Flow]:
    """Every connection whose mark, under the mask, is `mark`: the kernel chooses. `live`: not those that have ended."""
    wanted = attribute(MARK, U32.pack(mark)) + attribute(MARK_MASK, U32.pack(mask)) if mask else b""
    with Netlink(NETLINK_NETFILTER) as netlink:
        for _, body in netlink.request(GET, head(0) + wanted, NLM_F_DUMP):
            flow = read(body, NFGEN.size, len(body), body[0]) if body[:1] in _KNOWN else None
            if flow is not None and not (live and has_ended(body[NFGEN.size :])):
                yield flow


def lookup(flow: FlowTuple, zone: int = 0) -> Flow | None:
    """The connection of which this is one direction, whichever."""
    question = head(family_of(flow.src)) + write_tuple(TUPLE_ORIGINAL, flow) + _zone(zone)
    with Netlink(NETLINK_NETFILTER) as netlink:
        try:
            for _, body in netlink.request(GET, question, 0):
                return read(body, NFGEN.size, len(body), body[0]) if body[:1] in _KNOWN else None
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
    return None


def set_mark(flow: Flow, mark: int, mask: int) -> bool:
    """Writes the bits of `mask`; False when the connection is no more."""
    return set_marks([flow], mark, mask) == 1


def set_marks(flows: Iterable[Flow], mark: int, mask: int) -> int:
    """Writes the bits of `mask` of each; how many there still were."""
    # INVARIANT: all are read before one is written: a dump that is changed under way may show a connection twice.
    found = list(flows)
    with Netlink(NETLINK_NETFILTER) as netlink:
        return sum(_write(netlink, found[at : at + BATCH], mark, mask) for at in range(0, len(found), BATCH))


def clear(mark: int, mask: int, bits: int | None = None) -> int:
    """Zeroes `bits` (without: those of `mask`) of every connection whose mark, under the mask, is `mark`; how many.

    With a generation's stamp and mask, and our connection mask as bits: no connection bears that generation any more.
    """
    return set_marks(dump(mark, mask), 0, mask if bits is None else bits)


def clear_all(mask: int) -> int:
    """Zeroes the bits of `mask` of every connection; how many had one."""
    return set_marks((flow for flow in dump() if flow.mark & mask), 0, mask)


def enable_accounting(root: Path = SYSCTLS) -> tuple[Setting, ...]:
    """Switches on what the end of a connection is told with; returns what it changed or could not change."""
    if not root.exists():
        raise CalicodError(
            "K018", "connection tracking is not in this kernel", hint="`modprobe nf_conntrack`", exit_code=4
        )
    wanted = dict(WANTED)
    events = root / EVENTS_SWITCH
    if events.exists() and events.read_text().strip() == "0":
        wanted[EVENTS_SWITCH] = "1"
    settings = (_switch(root / name, value) for name, value in wanted.items())
    return tuple(setting for setting in settings if setting is not None)


_KNOWN = frozenset(bytes([number]) for number in AF_NUMBERS.values())


def _switch(path: Path, value: str) -> Setting | None:
    before = ""
    try:
        before = path.read_text().strip()
        if before == value:
            return None
        path.write_text(value)
    except OSError as error:
        return Setting(path.name, before, before, error.strerror or str(error))
    return Setting(path.name, before, value)


def _write(netlink: Netlink, flows: list[Flow], mark: int, mask: int) -> int:
    """One write for all; each is answered."""
    waiting = set()
    batch = b""
    for flow in flows:
        body = head(family_of(flow.original.src)) + write_tuple(TUPLE_ORIGINAL, flow.original) + _zone(flow.zone)
        body += attribute(MARK, U32.pack(mark)) + attribute(MARK_MASK, U32.pack(mask))
        message, sequence = netlink.message(NEW, body, NLM_F_REQUEST | NLM_F_ACK)
        batch += message
        waiting.add(sequence)
    netlink.socket.send(batch)
    netlink.socket.settimeout(5.0)
    changed = 0
    while waiting:
        for kind, sequence, content in messages(netlink.socket.recv(1 << 16)):
            if kind == NLMSG_ERROR and sequence in waiting:
                waiting.remove(sequence)
                changed += _accepted(content)
    return changed


def _accepted(content: bytes) -> bool:
    try:
        fail(content)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return False
    return True


def _zone(zone: int) -> bytes:
    return attribute(ZONE, U16.pack(zone)) if zone else b""
