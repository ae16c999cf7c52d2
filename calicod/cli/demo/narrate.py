"""What the demo says to people.

Law: every line about a decision is told from the daemon's event; what was expected appears only where it differs.
"""

import itertools
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

import msgspec
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from calicod.cli.demo.cases import FAMILIES, Case, Flow
from calicod.cli.demo.daemon import Daemon
from calicod.cli.demo.outcome import Outcome, Ruling, rule_name, told, written
from calicod.cli.demo.trial import Result
from calicod.cli.demo.world import CLIENT, NODE, PARTNER, World
from calicod.daemon.state import Status

WORDS = MappingProxyType({"allow": "allowed", "deny": "refused"})
STYLES = MappingProxyType({"allow": "bold green", "deny": "bold red"})
UNTOLD = "is never judged, so there is no event"
TRIED = MappingProxyType(
    {
        FAMILIES: "Each connection is tried over IPv4 and IPv6, unless it says otherwise.",
        FAMILIES[:1]: "This kernel speaks no IPv6: each connection is tried over IPv4 alone.",
    }
)
WHAT_WIDTH = len("icmp echo")
REASONS: Mapping[str, str] = MappingProxyType(
    {
        "end-of-tier": "no rule of it matched, so its tier refuses at the end",
        "profile": "no policy is about it, so its profile decides",
        "no-profile": "no policy and no profile allows it",
        "failsafe": "a port that stays open, so that nobody locks himself out",
        "no-endpoint": f"what is no endpoint {UNTOLD}",
        "host-to-workload": f"what a host sends to its own pods {UNTOLD}",
        "endpoint-to-host": "defaultEndpointToHostAction is Drop",
    }
)
"""In words, where the rule alone does not say why."""


class Narrator:
    """Speaks to a stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.console = Console(file=stream, highlight=False, soft_wrap=True)
        self._families = len(FAMILIES)
        self._program = program()

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        self.console.print(Text(text, style))

    def welcome(self, world: World) -> None:
        """Who plays."""
        self.say("calicod demo: the real daemon judges real packets", "bold")
        self.say("Everything is in network namespaces of its own; nothing else of this host is touched.")
        self._families = len(world.families)
        self.say(TRIED[world.families])
        self.say("")

        outside = " and ".join(f"{name} {world.address(name, 4)}" for name in (CLIENT, PARTNER))
        inside = by_namespace(world.pods)
        self.say(f"  outside   {outside}", "dim")
        self.say(f"  between   {NODE} {world.address(NODE, 4)}, where calicod runs", "dim")
        self.say(f"  behind    {inside}", "dim")

    def ready(self, status: Status, seconds: float) -> None:
        """The daemon enforces."""
        self.say(f"\n  daemon ready after {seconds:.1f} s, steering by {status.steering}", "dim")
        for notice in status.notices:
            self.say(f"  note: {notice}", "dim")

    def open(self, case: Case) -> None:
        """What the case is about."""
        self._head(case.folder)
        self._paragraph(case.text)

    def _head(self, folder: Path) -> None:
        self.console.print()
        self.console.print(Rule(Text(shown(folder), "bold cyan"), align="left", style="cyan"))

    def _paragraph(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=False)

    def close(self, result: Result) -> None:
        """What came of it: below each rule the connections that it decided."""
        width = max(len(who(outcome.flow)) for outcome in result.outcomes)
        for decider, outcomes in itertools.groupby(result.outcomes, key=decided_by):
            self.say(f"\n  {decider}", "cyan")
            for group in grouped(outcomes):
                self.console.print(line(group, width, one_of_two=len(group) < self._families))
        for text in result.differences:
            self.say(f"  DIFFERS {text}", "bold white on red")

    def mistake(self, folder: Path, found: Iterable[str]) -> None:
        """What the daemon says about an example with a mistake."""
        self._head(folder)
        self._paragraph("A policy as people mistype it, and what the daemon says of it; it enforces no guess.\n")
        for text in found:
            self.say("\n".join(f"  {line}" for line in text.splitlines()), "yellow")

    def farewell(self, results: Iterable[Result], wrong: Sequence[str], seconds: float) -> None:
        """The sum."""
        count = Counter(outcome.flow.verdict for result in results for outcome in result.outcomes)
        sum_up = f"{count.total()} connections in {seconds:.0f} s, {count['allow']} allowed and {count['deny']} refused"
        self.console.print()
        self.console.print(Rule(style="cyan"))
        if wrong:
            for text in wrong:
                self.say(f"DIFFERS {text}", "bold white on red")
            self.say(f"{sum_up}: not all is as the policy says", "bold red")
            return
        self.say(f"{sum_up}: each as its policy says, each decision told once, with its rule", "bold green")

    def invite(self, results: Sequence[Result]) -> None:
        """What to try next."""
        first = results[0]
        self.say("\nTry next:")
        for outcome in (refused for refused in first.outcomes if refused.flow.verdict == "deny" and refused.flow.port):
            flow, attempt = outcome.flow, outcome.attempt
            self.say(f"  why {who(flow)} {flow.protocol} {flow.port} was refused, rule by rule:")
            ends = f"--src {attempt.source} --dst {attempt.target} --protocol {flow.protocol} --dport {flow.port}"
            self.say(f"    {self._program} explain {shown(first.case.folder)} --node {NODE} {ends}")
            break
        self.say("  the same world, left up to play with:")
        self.say(f"    {self._program} demo --case {first.case.number} --keep")

    def explain(self, world: World, daemon: Daemon, case: Case) -> None:
        """How to play with what is still there."""
        self.say(f"\nAll of it stays up until Ctrl-C, with {case.name} in force. In another terminal:\n", "bold")
        self.say(f"  export CALICOD_SOCKET={daemon.socket}")
        self.say(
            "  " + "; ".join(f"{self._program} {what}" for what in ("status", "endpoints", "policies", "events -f"))
        )
        self.say(f"  edit the files in {daemon.policies}: what you save is in force at once")
        self.say("  and speak as anybody here, with `ip netns exec NAMESPACE ping ADDRESS`, `curl`, `nc`:\n")
        width = max(len(world.space(place)) for place in world.places)
        for place in world.places:
            addresses = ", ".join(world.address(place, family) for family in world.families)
            self.say(f"  {world.space(place):{width}}  {addresses}")


def shown(folder: Path) -> str:
    """A folder as one would type it here."""
    near = os.path.relpath(folder)
    return str(folder) if near.startswith("..") else near


def program() -> str:
    """How to call calicod from here."""
    beside = Path(sys.executable).parent / "calicod"
    return "calicod" if shutil.which("calicod") or not beside.exists() else shown(beside)


def by_namespace(pods: Iterable[str]) -> str:
    """The pods by their namespaces.

    >>> by_namespace(["production/red", "production/blue", "storage/blue"])
    'production/{red, blue}, storage/{blue}'
    """
    found: dict[str, list[str]] = {}
    for pod in pods:
        namespace, _, name = pod.partition("/")
        found.setdefault(namespace, []).append(name)
    return ", ".join(f"{namespace}/{{{', '.join(names)}}}" for namespace, names in found.items())


def grouped(outcomes: Iterable[Outcome]) -> Iterator[tuple[Outcome, ...]]:
    """The families of one flow together, when they came out alike."""
    for _, group in itertools.groupby(outcomes, key=lambda outcome: (alike(outcome.flow), outcome.differences())):
        yield tuple(group)


def alike(flow: Flow) -> Flow:
    """The flow without its family."""
    return msgspec.structs.replace(flow, family=None)


def ruling(outcome: Outcome) -> Ruling:
    """What the first event says; of what none tells, what the example says."""
    return told(outcome.events[0]) if outcome.events else written(outcome.flow)


def line(group: tuple[Outcome, ...], width: int, *, one_of_two: bool) -> Text:
    """What became of a flow, below the rule that decided; `width` of the column that says who."""
    flow, verdict = group[0].flow, ruling(group[0]).verdict
    only = f" (IPv{flow.family} only)" if one_of_two else ""
    what = f"{flow.protocol} {flow.port or 'echo'}"
    return Text.assemble(
        (f"    {WORDS[verdict]}  ", STYLES[verdict]),
        f"{who(flow):{width}}  {what:{WHAT_WIDTH}}  ",
        (flow.why + only, "italic"),
    )


def who(flow: Flow) -> str:
    """From whom to whom."""
    return f"{flow.source} → {flow.target}"


def decided_by(outcome: Outcome) -> str:
    """Which rule decided, where it stands, and why where that is not plain."""
    if outcome.flow.told and not outcome.events:
        return "there is no event"
    said = ruling(outcome)
    why = REASONS.get(said.reason, said.reason if not said.policy else "")
    if not said.policy:
        return f"{said.reason}: {why}"
    rule = f" {rule_name(said.rule)}" if said.rule >= 0 else ""
    return f"{said.policy}{rule}, {said.at}{f': {why}' if why else ''}"
