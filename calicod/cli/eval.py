"""`calicod eval`: packets in, decisions out, both as JSON Lines.

Law: every line of input gives one line of output, in order; a packet that is not valid gives its error there, and exit
code 1 at the end.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, BinaryIO

import click
import msgspec

from calicod.cli import tails
from calicod.cli.judging import (
    Judging,
    compiled,
    judging_options,
    present,
    protocol_number,
    tell_of_lost_hosts,
    written,
)
from calicod.datastore.paths import STDIN
from calicod.engine.bitmap import BitmapEngine
from calicod.engine.memory import Memory
from calicod.model.hook import ENTERING, LEAVING, Hook
from calicod.model.network import V4_LENGTH, parse_address
from calicod.model.protocol import ICMP, ICMPV6, protocol_name
from calicod.packet.value import Packet

BATCH = 512
"""Lines written at once."""
MEMO = 65536
ROOM = 8
"""Thousands of endpoints make many combinations of classes, and decisions: up to 250 MB."""
ABSENT = -1

OWN_ICMP = MappingProxyType({4: ICMP, 6: ICMPV6})

PortNumber = Annotated[int, msgspec.Meta(ge=0, le=65535)]
ByteNumber = Annotated[int, msgspec.Meta(ge=0, le=255)]


class GivenHttp(msgspec.Struct):
    """The request of a packet; no policy of this version looks at it."""

    method: str = ""
    path: str = ""


class GivenPacket(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A packet as contract.md describes it; only what it has."""

    id: str | int
    src: str
    dst: str
    protocol: str | int
    hook: Hook | None = None
    in_: str = msgspec.field(name="in", default="")
    out: str = ""
    sport: PortNumber = ABSENT
    dport: PortNumber = ABSENT
    icmp_type: ByteNumber = ABSENT
    icmp_code: ByteNumber = ABSENT
    http: GivenHttp | None = None
    src_principal: str | None = None


@click.command("eval")
@judging_options
@click.option("--packets", required=True, metavar="FILE", help="JSON Lines; - is stdin.")
def command(*, judging: Judging, packets: str) -> None:
    """Packets in, decisions out, both JSON Lines, in order.

    A packet is the first of a connection: {"id", "hook", "in", "out", "src", "dst", "protocol", "sport", "dport",
    "icmp_type", "icmp_code"}, only what it has; with --cluster without hook, in and out. One that is not valid gives
    its error on its line, and exit code 1 at the end.

    \b
    Examples:
      echo '{"id": 1, "src": "10.65.0.12", "dst": "10.65.0.11", "protocol": "tcp", "dport": 6379}' |
        calicod eval examples/01-allow-within-namespace --cluster --packets -
      echo '{"id": 1, "hook": "input", "in": "eth0", "src": "192.0.2.9", "dst": "192.0.2.1", "protocol": 1}' |
        calicod eval examples/08-host-endpoint-alone --node node --packets -
    """
    given = opened(packets)
    ruleset = compiled(written(judging), None if judging.cluster else judging.node)
    tell_of_lost_hosts(judging, ruleset)
    engine = BitmapEngine(ruleset, present(judging, ruleset), memory=Memory(ROOM))
    out = sys.stdout.buffer
    failed = False
    lines: list[bytes] = []
    with given, collector_paused():
        for line, fine in answers(engine, given, cluster=judging.cluster):
            failed |= not fine
            lines.append(line)
            if len(lines) >= BATCH:
                out.write(b"".join(lines))
                lines.clear()
        out.write(b"".join(lines))
        out.flush()
    raise SystemExit(1 if failed else 0)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Judging makes no cycles, and a collection would look at everything that is remembered."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def opened(packets: str) -> BinaryIO:
    """The file of packets."""
    if packets == STDIN:
        return sys.stdin.buffer
    try:
        return Path(packets).open("rb")
    except OSError as error:
        message = f"{packets}: {(error.strerror or str(error)).lower()}"
        raise click.BadParameter(message, param_hint="--packets") from error


def answers(engine: BitmapEngine, lines: BinaryIO, *, cluster: bool) -> Iterator[tuple[bytes, bool]]:
    """The line that answers each line, and whether its packet was valid."""
    decode = msgspec.json.Decoder(GivenPacket).decode
    encode = msgspec.json.Encoder().encode
    tail = in_cluster(engine) if cluster else on_node(engine)
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        try:
            try:
                given = decode(line)
            except msgspec.ValidationError:
                given = without_nulls(line)
            text = tail(given)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            yield encode({"id": id_of(line), "error": f"line {number}: {lowered(str(error))}"}) + b"\n", False
            continue
        yield b'{"id":' + encode(given.id) + text, True


def in_cluster(engine: BitmapEngine) -> Callable[[GivenPacket], bytes]:
    """Judges both ends of a packet. The function raises ValueError."""
    make, tail = maker(), tails.in_cluster(engine)
    return lambda given: tail(make(given))


def on_node(engine: BitmapEngine) -> Callable[[GivenPacket], bytes]:
    """Judges a packet on its way to its hook and past it. The function raises ValueError."""
    make, decide, tail = maker(), engine.decide_way, tails.of_decisions()

    def judge(given: GivenPacket) -> bytes:
        hook, entering, leaving = given.hook, given.in_, given.out
        if hook is None:
            raise ValueError("a packet needs `hook`, unless --cluster is given")
        if not entering and hook not in LEAVING:
            raise ValueError(f"a packet needs `in` at {hook.value}")
        if not leaving and hook not in ENTERING:
            raise ValueError(f"a packet needs `out` at {hook.value}")
        return tail(decide(make(given), hook, entering, leaving))

    return judge


def maker() -> Callable[[GivenPacket], Packet]:
    """Turns what was given into a Packet, remembering what texts mean. The function raises ValueError."""
    addresses: dict[str, bytes] = {}
    protocols: dict[tuple[str | int, int], int] = {}

    def address(text: str) -> bytes:
        if len(addresses) >= MEMO:
            addresses.clear()
        try:
            found = addresses[text] = parse_address(text)
        except ValueError:
            raise ValueError(f'"{text}" is no IP address') from None
        return found

    def protocol(key: tuple[str | int, int]) -> int:
        if len(protocols) >= MEMO:
            protocols.clear()
        found = protocols[key] = protocol_number(*key)
        return found

    def make(given: GivenPacket) -> Packet:
        src = addresses.get(given.src) or address(given.src)
        dst = addresses.get(given.dst) or address(given.dst)
        if len(src) != len(dst):
            raise ValueError(f"src {given.src} and dst {given.dst} are of different families")
        family = 4 if len(src) == V4_LENGTH else 6
        number = protocols.get((given.protocol, family))
        if number is None:
            number = protocol((given.protocol, family))
        if given.icmp_type >= 0 or given.icmp_code >= 0:
            return icmp_packet(given, family, number, src, dst)
        return Packet(family, number, src, dst, given.sport, given.dport)

    return make


def icmp_packet(given: GivenPacket, family: int, number: int, src: bytes, dst: bytes) -> Packet:
    """A packet with a type: only ICMP has one, and a code only with it. Raises ValueError.

    One of the other family's ICMP is a packet without a type (packet/value.py).
    """
    if number not in OWN_ICMP.values():
        raise ValueError(f"icmp_type and icmp_code need protocol icmp, not {protocol_name(number)}")
    if given.icmp_type < 0:
        raise ValueError("an icmp_code needs an icmp_type")
    if number != OWN_ICMP[family]:
        return Packet(family, number, src, dst)
    return Packet(family, number, src, dst, icmp_type=given.icmp_type, icmp_code=given.icmp_code)


def without_nulls(line: bytes) -> GivenPacket:
    """The packet of a line, in which null means that it has no such thing. Raises msgspec.ValidationError."""
    fields = msgspec.json.decode(line)
    if isinstance(fields, dict):
        fields = {key: value for key, value in fields.items() if value is not None}
    return msgspec.convert(fields, GivenPacket)


def id_of(line: bytes) -> object:
    """The id of a packet that is not valid, if it can be read."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found.get("id") if isinstance(found, dict) else None


def lowered(message: str) -> str:
    """The message without a capital at its head, unless its first word is all capitals."""
    return message if message[:2].isupper() else message[:1].lower() + message[1:]
