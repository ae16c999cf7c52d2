"""`calicod explain`: one packet, every step of its way, for people.

Law: the engine that is recorded is the linear one, so what is shown is what was done; whatever was not given is found
from the addresses, and said.
"""

from collections.abc import Iterator

import click
import msgspec

from calicod.cli.account import Account, StageAccount, account, endpoint_title, policy_title
from calicod.cli.client import socket_option
from calicod.cli.judging import Judging, judging_options, protocol_number
from calicod.cli.passage import Given, Passage
from calicod.cli.scene import enforced, offline
from calicod.cli.story import OUTCOMES, QUIET, Line, pending_story, story, tell
from calicod.engine.linear import LinearEngine
from calicod.engine.record import Step
from calicod.model.decision import Decision, EndpointReference, PolicyReference
from calicod.model.hook import Hook
from calicod.model.network import format_address, parse_address
from calicod.model.protocol import ICMP, ICMPV6, WITH_PORTS, protocol_name
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import RuleSet

HOOKS = {hook.value: hook for hook in Hook}
ECHO_REQUEST = {ICMP: 8, ICMPV6: 128}
EPHEMERAL = 49152
"""A source port as clients have it."""
V4_LENGTH = 4


class Address(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """An IP address, as bytes."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        """The bytes of a text."""
        if isinstance(value, bytes):
            return value
        try:
            return parse_address(str(value))
        except ValueError:
            self.fail(f'"{value}" is no IP address (names are not looked up)', param, ctx)


PORT = click.IntRange(0, 65535)
BYTE = click.IntRange(0, 255)


class Party(msgspec.Struct, frozen=True):
    """Who has an address: an endpoint of any node, or a network set."""

    type: str
    namespace: str
    name: str
    labels: dict[str, str]

    @property
    def title(self) -> str:
        """Kind and name."""
        return policy_title(self.type, self.namespace, self.name)

    @property
    def shown_labels(self) -> str:
        """The labels for people."""
        return ", ".join(f"{key}={value}" for key, value in sorted(self.labels.items())) or "no labels"


class Told(msgspec.Struct, frozen=True):
    """The question, complete: what was given, what was assumed, who the addresses are.

    `revision`: of the daemon whose policy this is.
    """

    packet: Packet
    node: str | None
    revision: int | None
    way: Passage
    assumed: tuple[str, ...]
    src: tuple[Party, ...]
    dst: tuple[Party, ...]


class PendingAnswer(msgspec.Struct, frozen=True):
    """What would be decided if the staged policies were enforced, as in a decision, with everything that led to it."""

    verdict: Verdict
    trace: tuple[str, ...]
    why: str
    stages: list[StageAccount]


class Answer(msgspec.Struct):
    """The answer of `--json`: a decision as `eval` gives it, with everything that led to it.

    `assumed`, `notes`, `unasked` and `why`: in words; `node` None: the whole cluster; `stages`: see Account.
    `revision`: of the daemon, with --live.
    """

    packet: dict[str, str | int]
    node: str | None
    revision: int | None
    hook: str | None
    in_: str = msgspec.field(name="in")
    out: str
    src: tuple[Party, ...]
    dst: tuple[Party, ...]
    assumed: tuple[str, ...]
    verdict: Verdict
    reason: Reason
    why: str
    policy: PolicyReference | None
    trace: tuple[str, ...]
    logged: tuple[PolicyReference, ...]
    pending: PendingAnswer | None
    reporter: str
    endpoint: EndpointReference | None
    stages: list[StageAccount]
    unasked: list[str]
    notes: list[str]


@click.command("explain")
@judging_options
@click.option("--src", type=Address(), required=True, metavar="ADDRESS", help="Where it comes from.")
@click.option("--dst", type=Address(), required=True, metavar="ADDRESS", help="Where it goes.")
@click.option("--protocol", metavar="NAME|NUMBER", help="Default: tcp, or icmp if there is an --icmp-type.")
@click.option("--sport", type=PORT, help=f"Source port. Default: {EPHEMERAL}.")
@click.option("--dport", type=PORT, help="Destination port; TCP, UDP, UDPLite and SCTP need it.")
@click.option("--icmp-type", type=BYTE, help="Default: an echo request.")
@click.option("--icmp-code", type=BYTE, help="Default: 0.")
@click.option("--hook", type=click.Choice(list(HOOKS)), help="Where it is judged. Default: found from the addresses.")
@click.option("--in", "in_interface", default="", metavar="NAME", help="The interface it comes in by.")
@click.option("--out", "out_interface", default="", metavar="NAME", help="The interface it goes out by.")
@click.option("--live", is_flag=True, help="Against what the daemon enforces now; without PATH.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON object.")
@socket_option
def command(
    *,
    judging: Judging,
    src: bytes,
    dst: bytes,
    protocol: str | None,
    sport: int | None,
    dport: int | None,
    icmp_type: int | None,
    icmp_code: int | None,
    hook: str | None,
    in_interface: str,
    out_interface: str,
    live: bool,
    as_json: bool,
    socket: str,
) -> None:
    """Why one packet is allowed or denied, step by step.

    Shows every tier, policy and rule that was tried, which field failed to match, and where it stopped. The packet is
    the first of a new connection. Node, hook and interfaces that are not given are found from the addresses, and what
    was assumed is said. With --live it is judged by what the daemon of this host enforces now. Exit 0 whatever the
    verdict, 1 if a resource has errors, 3 if the daemon cannot be reached.

    \b
    Examples:
      calicod explain examples/01-allow-within-namespace --src 10.65.0.13 --dst 10.65.0.11 --dport 6379
      calicod explain examples/08-host-endpoint-alone --node node --src 192.0.2.9 --dst 192.0.2.1 --dport 22 \\
          --hook input --in eth0
      calicod explain --live --src 192.0.2.9 --dst 192.0.2.1 --dport 22
    """
    packet, guessed = packet_of(src, dst, protocol, (sport, dport), (icmp_type, icmp_code))
    given = Given(
        src=src,
        dst=dst,
        hook=HOOKS[hook] if hook else None,
        in_interface=in_interface,
        out_interface=out_interface,
    )
    scene = enforced(socket, given) if live else offline(judging, given)
    ruleset, way = scene.ruleset, scene.way
    steps: list[Step] = []
    engine = LinearEngine(ruleset, scene.interfaces, steps.append)
    decision = decide(engine, packet, way)
    told = Told(
        packet=packet,
        node=scene.node,
        revision=scene.revision,
        way=way,
        assumed=(*guessed, *scene.assumed, *way.assumed),
        src=parties(ruleset, src),
        dst=parties(ruleset, dst),
    )
    found = account(steps, engine, packet, decision)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(answer(told, decision, found))))
    else:
        tell(lines(told, decision, found))


def packet_of(
    src: bytes,
    dst: bytes,
    protocol: str | None,
    ports: tuple[int | None, int | None],
    icmp: tuple[int | None, int | None],
) -> tuple[Packet, tuple[str, ...]]:
    """The packet of the options, and what was assumed of it."""
    if len(src) != len(dst):
        raise click.UsageError(f"--src {format_address(src)} and --dst {format_address(dst)} are of different families")
    family = 4 if len(src) == V4_LENGTH else 6
    try:
        number = protocol_number(protocol or ("tcp" if icmp[0] is None else "icmp"), family)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--protocol") from error
    name, assumed = protocol_name(number), []
    has_ports, has_icmp = number in WITH_PORTS, number == (ICMP if family == 4 else ICMPV6)  # noqa: PLR2004  the IP version
    if protocol is None:
        assumed.append(f"protocol {name}")
    refuse(f"{name} packets have no ports", not has_ports, {"--sport": ports[0], "--dport": ports[1]})
    refuse(
        f"{name} packets of IPv{family} have no ICMP type",
        not has_icmp,
        {"--icmp-type": icmp[0], "--icmp-code": icmp[1]},
    )
    sport, dport = ports
    kind, code = icmp
    if has_ports and dport is None:
        raise click.UsageError(f"--dport: {name} packets go to a port: add --dport PORT")
    if has_ports and sport is None:
        sport = EPHEMERAL
        assumed.append(f"source port {sport}")
    if has_icmp:
        if kind is None:
            kind = ECHO_REQUEST[number]
            assumed.append(f"ICMP type {kind}, an echo request")
        code = code or 0
    numbers = {"sport": sport, "dport": dport, "icmp_type": kind, "icmp_code": code}
    known = {name: value for name, value in numbers.items() if value is not None}
    return Packet(family, number, src, dst, **known), tuple(assumed)  # type: ignore[arg-type]  # none of the names is `fragment`


def refuse(why: str, wrong: object, options: dict[str, int | None]) -> None:
    """An option that the packet cannot have is a usage error."""
    for option, value in options.items():
        if wrong and value is not None:
            raise click.UsageError(f"{option}: {why}")


def parties(ruleset: RuleSet, address: bytes) -> tuple[Party, ...]:
    """Everybody who has an address."""
    return tuple(
        Party(known.type, known.namespace, known.name, known.labels)
        for known in ruleset.known
        if any(address in network for network in known.networks)
    )


def decide(engine: LinearEngine, packet: Packet, way: Passage) -> Decision:
    """The decision at the hook, or through the cluster."""
    if way.hook is None:
        return engine.decide_cluster(packet)
    return engine.decide_way(packet, way.hook, way.in_interface, way.out_interface)


def lines(told: Told, decision: Decision, found: Account) -> Iterator[Line]:
    """Everything for people: the packet, what was assumed, what happened, what came of it and why."""
    yield ((summary(told.packet), "bold"), (where(told.way), ""))
    if told.revision is not None:
        yield ((f"  as node {told.node} enforces it now, revision {told.revision}", QUIET),)
    shown = {endpoint_title(stage.endpoint) for stage in found.stages}
    for side, parties_there in (("from", told.src), ("to", told.dst)):
        for party in parties_there:
            if party.title not in shown:
                yield ((f"  {side} {party.title}", ""), (f"  {party.shown_labels}", QUIET))
    for text in told.assumed:
        yield ((f"  assumed {text}", QUIET),)
    yield from story(found)
    yield ()
    word, style = OUTCOMES[decision.verdict.value]
    yield ((word.upper(), style), (f" ({decision.reason.value}): {found.why}", ""))
    yield from pending_story(found, decision.verdict.value)


def summary(packet: Packet) -> str:
    """The packet in short."""
    src, dst = format_address(packet.src), format_address(packet.dst)
    if packet.family == 6:  # noqa: PLR2004  the IP version
        src, dst = f"[{src}]", f"[{dst}]"
    name = protocol_name(packet.protocol)
    if packet.dport >= 0:
        return f"{name} {src}:{packet.sport} -> {dst}:{packet.dport}"
    kind = f" type {packet.icmp_type} code {packet.icmp_code}" if packet.icmp_type >= 0 else ""
    return f"{name}{kind} {src} -> {dst}"


def where(way: Passage) -> str:
    """Where it is judged."""
    if way.hook is None:
        return " through the whole cluster"
    ends = {"in": way.in_interface, "out": way.out_interface}
    return f" at {way.hook.value}" + "".join(f", {name} {value}" for name, value in ends.items() if value)


def answer(told: Told, decision: Decision, found: Account) -> Answer:
    """Everything for programs."""
    packet = told.packet
    parts: dict[str, str | int] = {"src": format_address(packet.src), "dst": format_address(packet.dst)}
    parts["protocol"] = protocol_name(packet.protocol)
    numbers = {name: getattr(packet, name) for name in ("sport", "dport", "icmp_type", "icmp_code")}
    return Answer(
        packet=parts | {name: number for name, number in numbers.items() if number >= 0},
        node=told.node,
        revision=told.revision,
        hook=told.way.hook.value if told.way.hook else None,
        in_=told.way.in_interface,
        out=told.way.out_interface,
        src=told.src,
        dst=told.dst,
        assumed=told.assumed,
        why=found.why,
        stages=found.stages,
        unasked=found.unasked,
        notes=found.notes,
        **msgspec.structs.asdict(decision) | {"pending": pending_answer(decision, found)},
    )


def pending_answer(decision: Decision, found: Account) -> PendingAnswer | None:
    """What the staged policies would do, for programs."""
    if decision.pending is None or found.pending is None:
        return None
    return PendingAnswer(decision.pending.verdict, decision.pending.trace, found.pending.why, found.pending.stages)
