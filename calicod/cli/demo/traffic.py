"""Real connections between the places of a world: a station in each namespace, asked from here.

Law: what a station answers is what sockets and links saw; nothing here knows what ought to happen. A station ends with
its pipe, so no process outlives this one.
"""

import contextlib
import itertools
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from calicod.cli.demo.cases import Flow
from calicod.cli.demo.space import failure, inside
from calicod.cli.demo.world import NODE, World
from calicod.model.protocol import ICMPV6

STATION = Path(__file__).parent / "station.py"
ECHO_REPLY = {4: 0, 6: 129}
ECHO_REQUEST = {4: 8, 6: 128}
SCTP_SOURCE = 30000


class LineState(msgspec.Struct, frozen=True):
    """A connection as its station knows it."""

    up: bool = False
    texts: tuple[str, ...] = ()
    error: str = ""


class Told(msgspec.Struct, frozen=True):
    """Everything that a station knows."""

    lines: dict[str, LineState] = {}
    arrivals: dict[str, int] = {}
    port: int = 0
    error: str = ""


_DECODER = msgspec.json.Decoder(Told)


class Station:
    """The process in one namespace. Answers come in the order of the requests."""

    def __init__(self, namespace: str) -> None:
        self.process = subprocess.Popen(  # noqa: S603  our own script in a namespace of our own
            inside(namespace, (sys.executable, "-I", "-S", str(STATION))),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the demo itself, which then ends in order
        )

    def ask(self, **request: object) -> Told:
        """One request and its answer. Raises CalicodError when the station is gone."""
        assert self.process.stdin is not None  # noqa: S101  both are pipes
        assert self.process.stdout is not None  # noqa: S101  as above
        with contextlib.suppress(BrokenPipeError):  # then there is no answer
            self.process.stdin.write(msgspec.json.encode(request) + b"\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise failure(f"a process in a namespace ended: exit {self.process.wait()}")
        return _DECODER.decode(answer)

    def close(self) -> None:
        """Ends the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # of a request that it never read
                    pipe.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A flow that was begun. `source_port` is an ICMP echo's id; `error` that of the sender's own kernel."""

    flow: Flow
    name: str
    source: str
    target: str
    source_port: int
    error: str = ""

    @property
    def arrival(self) -> str:
        """How the target's station tells that the first packet came."""
        last = ECHO_REQUEST[self.flow.family or 4] if self.flow.is_icmp else self.flow.port
        return f"{self.flow.protocol} {self.source} {self.source_port} {last}"

    @property
    def answer(self) -> str:
        """How the source's station tells that an echo reply came."""
        return f"icmp {self.target} {self.source_port} {ECHO_REPLY[self.flow.family or 4]}"


class Seen(msgspec.Struct, frozen=True):
    """What became of an attempt: its first packet arrived, and an answer came back."""

    arrived: bool
    answered: bool


class Traffic:
    """The stations of a world. `forge` makes the bytes that no socket makes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._numbers = itertools.count(1)
        self.stations: dict[str, Station] = {}
        try:
            for place in world.places:
                self.stations[place] = Station(world.space(place))
            for place in world.places:
                self.at(place).ask(do="watch", local=place == NODE)
        except BaseException:
            self.close()
            raise

    def at(self, name: str) -> Station:
        """The station of somebody."""
        return self.stations[self.world.home(name)]

    def listen(self, flows: Iterable[Flow]) -> None:
        """The targets of these flows answer from now on."""
        for flow in flows:
            if not flow.is_icmp:
                address = self.world.address(flow.target, flow.family or 4)
                ends = {"protocol": flow.protocol, "family": flow.family, "address": address, "port": flow.port}
                self.at(flow.target).ask(do="listen", **ends)

    def begin(self, flow: Flow) -> Attempt:
        """Sends the first packet of a flow; does not wait for anything."""
        number = next(self._numbers)
        family = flow.family or 4
        source, target = self.world.address(flow.source, family), self.world.address(flow.target, family)
        ends = {"protocol": flow.protocol, "family": family, "source": source, "target": target}
        if flow.protocol in {"tcp", "udp"}:
            told = self.at(flow.source).ask(do="call", name=str(number), port=flow.port, text=f"hello {number}", **ends)
            port = told.port
        else:
            port = number if flow.is_icmp else SCTP_SOURCE + number
            told = self.at(flow.source).ask(do="raw", data=forge(flow, port, source, target).hex(), **ends)
        return Attempt(flow=flow, name=str(number), source=source, target=target, source_port=port, error=told.error)

    def look(self, attempts: Iterable[Attempt]) -> tuple[Seen, ...]:
        """What became of them by now."""
        told = {place: station.ask(do="tell") for place, station in self.stations.items()}
        return tuple(self._seen(attempt, told) for attempt in attempts)

    def _seen(self, attempt: Attempt, told: dict[str, Told]) -> Seen:
        flow = attempt.flow
        there, here = told[self.world.home(flow.target)], told[self.world.home(flow.source)]
        heard = there.lines.get(attempt.arrival)
        arrived = attempt.arrival in there.arrivals or (heard is not None and (heard.up or bool(heard.texts)))
        if flow.is_icmp:
            return Seen(arrived, attempt.answer in here.arrivals)
        if flow.protocol == "sctp":
            return Seen(arrived, answered=arrived)  # nobody speaks SCTP here: to arrive is all that it can do
        line = here.lines.get(attempt.name, LineState())
        return Seen(arrived, f"hello {attempt.name}" in line.texts)

    def forget(self) -> None:
        """Ends every connection at once; what arrived is forgotten."""
        for station in self.stations.values():
            station.ask(do="forget")

    def close(self) -> None:
        """Ends every station."""
        for station in self.stations.values():
            station.close()


def forge(flow: Flow, number: int, source: str, target: str) -> bytes:
    """An echo request with this id, or an SCTP INIT from this port, without its IP header."""
    from scapy.layers.inet import ICMP
    from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
    from scapy.layers.sctp import SCTP, SCTPChunkInit

    if flow.protocol == "sctp":
        return bytes(SCTP(sport=number, dport=flow.port) / SCTPChunkInit(init_tag=number))
    if flow.number == ICMPV6:
        under = IPv6(src=source, dst=target)
        return bytes(under / ICMPv6EchoRequest(id=number, seq=1, data=b"calicod"))[len(under) :]
    return bytes(ICMP(type=8, id=number, seq=1) / b"calicod")
