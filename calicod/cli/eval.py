"""`calicod eval`: packets in, decisions out, both as JSON Lines.

Law: every line of input gives one line of output, in order; a packet that is not valid gives its error there, and exit
code 1 at the end.
"""

import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO

import click
import msgspec

from calicod.cli.judging import Judging, address, engine_for, judging_options, protocol_number
from calicod.engine.bitmap import BitmapEngine
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.packet.value import Packet

BATCH = 512
"""Lines written at once."""
MEMO = 65536


class GivenHttp(msgspec.Struct):
    """The request of a packet; no policy of this version looks at it."""

    method: str = ""
    path: str = ""


class GivenPacket(msgspec.Struct, forbid_unknown_fields=True):
    """A packet as contract.md describes it; only what it has."""

    id: str | int
    src: str
    dst: str
    protocol: str | int
    hook: Hook | None = None
    in_: str = msgspec.field(name="in", default="")
    out: str = ""
    sport: int = -1
    dport: int = -1
    icmp_type: int = -1
    icmp_code: int = -1
    http: GivenHttp | None = None
    src_principal: str | None = None


@click.command("eval")
@judging_options
@click.option("--packets", type=click.File("rb"), required=True, metavar="FILE", help="Packets as JSON Lines; - is stdin.")
def command(*, judging: Judging, packets: BinaryIO) -> None:
    """Packets in, decisions out, both JSON Lines, in order.

    \b
    Example:
      echo '{"id": 1, "hook": "input", "in": "eth0", "src": "192.0.2.9", "dst": "192.0.2.1",
             "protocol": "tcp", "dport": 80}' | calicod eval policies.d --node n1 --packets -
    """
    engine = engine_for(judging)
    failed = False
    out = sys.stdout.buffer
    lines: list[bytes] = []
    for line, fine in answers(engine, packets, cluster=judging.cluster):
        failed |= not fine
        lines.append(line)
        if len(lines) >= BATCH:
            out.write(b"".join(lines))
            lines.clear()
    out.write(b"".join(lines))
    out.flush()
    raise SystemExit(1 if failed else 0)


def answers(engine: BitmapEngine, lines: BinaryIO, *, cluster: bool) -> Iterator[tuple[bytes, bool]]:
    """The line that answers each line, and whether its packet was valid."""
    decode = msgspec.json.Decoder(GivenPacket).decode
    encode = msgspec.json.Encoder().encode
    tails: dict[int, tuple[bytes, Decision]] = {}
    decide = decider(engine, cluster=cluster)
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        given: GivenPacket | None = None
        try:
            given = decode(line)
            decision = decide(given)
        except (msgspec.MsgspecError, ValueError) as error:
            yield encode({"id": given.id if given else id_of(line), "error": f"line {number}: {error}"}) + b"\n", False
            continue
        known = tails.get(id(decision))
        if known is None:
            if len(tails) >= MEMO:
                tails.clear()
            known = tails[id(decision)] = (tail(decision), decision)  # it is kept, so its id is not used again
        yield b'{"id":' + encode(given.id) + known[0], True


def decider(engine: BitmapEngine, *, cluster: bool) -> Callable[[GivenPacket], Decision]:
    """Turns a given packet into a Packet and has it judged. The function raises ValueError."""
    addresses: dict[str, bytes] = {}

    def known_address(text: str) -> bytes:
        found = addresses.get(text)
        if found is None:
            if len(addresses) >= MEMO:
                addresses.clear()
            found = addresses[text] = address(text)
        return found

    def packet_of(given: GivenPacket) -> Packet:
        src, dst = known_address(given.src), known_address(given.dst)
        if len(src) != len(dst):
            raise ValueError(f"src {given.src} and dst {given.dst} are of different families")
        for name in ("sport", "dport", "icmp_type", "icmp_code"):
            if not -1 <= getattr(given, name) <= (65535 if name.endswith("port") else 255):
                raise ValueError(f"{name} {getattr(given, name)} is out of range")
        number = protocol_number(given.protocol, 4 if len(src) == 4 else 6)
        return Packet(
            4 if len(src) == 4 else 6, number, src, dst, given.sport, given.dport, given.icmp_type, given.icmp_code
        )

    def in_cluster(given: GivenPacket) -> Decision:
        return engine.decide_cluster(packet_of(given))

    def on_node(given: GivenPacket) -> Decision:
        if given.hook is None:
            raise ValueError("a packet needs `hook` unless --cluster is given")
        return engine.decide(packet_of(given), given.hook, given.in_, given.out)

    return in_cluster if cluster else on_node


def id_of(line: bytes) -> object:
    """The id of a packet that is not valid, if it can be read."""
    try:
        found = msgspec.json.decode(line)
    except msgspec.MsgspecError:
        return None
    return found.get("id") if isinstance(found, dict) else None


def tail(decision: Decision) -> bytes:
    """Everything of a decision's line behind its id."""
    policy = decision.policy
    return (
        b","
        + msgspec.json.encode(
            {
                "verdict": decision.verdict.value,
                "reason": decision.reason.value,
                "policy": policy,
                "trace": decision.trace,
                "logged": decision.logged,
                "pending": decision.pending,
                "reporter": decision.reporter,
                "endpoint": decision.endpoint,
            }
        )[1:]
        + b"\n"
    )


