"""What the demo says: to people with colours, to programs as one JSON object.

Law: every line about a decision is told from the daemon's event; what was expected appears only where it differs.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import TextIO

import msgspec
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from calicod.cli.demo.cases import Case
from calicod.cli.demo.outcome import Outcome, Ruling, rule_name, told, written
from calicod.cli.demo.trial import Result
from calicod.cli.demo.world import World

STYLES = {"allow": "bold green", "deny": "bold red"}
UNTOLD = "nothing of it is judged, so there is no event"


class Narrator:
    """Speaks to a stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.console = Console(file=stream, highlight=False, soft_wrap=True)

    def say(self, text: str, style: str = "") -> None:
        """One line."""
        self.console.print(Text(text, style))

    def welcome(self, world: World, steering: str) -> None:
        """Who plays."""
        self.say("calicod demo: real daemon, real packets, network namespaces of its own", "bold")
        names = ", ".join(world.pods)
        self.say(f"  a client and a partner outside; a node with the daemon ({steering}); behind it the pods {names}")

    def open(self, case: Case) -> None:
        """What the case is about."""
        self.console.print()
        self.console.print(Rule(Text(case.name, "bold cyan"), align="left", style="cyan"))
        self.say(case.text)

    def close(self, result: Result) -> None:
        """What came of it."""
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
        for group in grouped(result.outcomes):
            table.add_row(*cells(result.case, group))
        self.console.print(table)
        for text in result.differences:
            self.say(f"  DIFFERS {text}", "bold white on red")

    def mistake(self, case: str, found: Iterable[str]) -> None:
        """What the daemon says about an example with a mistake."""
        self.console.print()
        self.console.print(Rule(Text(case, "bold cyan"), align="left", style="cyan"))
        self.say("A policy as people mistype it: `name` beside `kind`. The daemon says so and enforces no guess:")
        for text in found:
            self.say(f"  {text}", "yellow")

    def farewell(self, results: Iterable[Result], differences: int, seconds: float) -> None:
        """The sum."""
        flows = sum(len(result.outcomes) for result in results)
        self.console.print()
        if differences:
            self.say(f"{differences} outcomes differ from what the policy says ({flows} flows, {seconds:.1f} s)", "red")
        else:
            self.say(
                f"{flows} connections, each decided as its policy says, each with one event that names the rule"
                f" ({seconds:.1f} s)",
                "bold green",
            )


def grouped(outcomes: Iterable[Outcome]) -> Iterator[tuple[Outcome, ...]]:
    """The families of one flow together, when they came out alike."""
    for _, group in itertools.groupby(outcomes, key=lambda o: (str(alike(o)), rulings(o), o.differences())):
        yield tuple(group)


def alike(outcome: Outcome) -> object:
    """The flow without its family."""
    return msgspec.structs.replace(outcome.flow, family=None)


def rulings(outcome: Outcome) -> tuple[Ruling, ...]:
    """What the events say."""
    return tuple(told(event) for event in outcome.events)


def cells(case: Case, group: tuple[Outcome, ...]) -> tuple[Text, ...]:
    """One line of a case's table."""
    first = group[0]
    flow = first.flow
    ruling = told(first.events[0]) if first.events else written(flow)
    families = " ".join(f"v{outcome.flow.family}" for outcome in group)
    what = f"{flow.protocol} {flow.port}" if flow.port else f"{flow.protocol} echo"
    return (
        Text(" allowed" if ruling.verdict == "allow" else " refused", STYLES[ruling.verdict]),
        Text(f"{flow.source} → {flow.target}"),
        Text(what, "cyan"),
        Text(families, "dim"),
        Text(decider(case, ruling) if first.events else UNTOLD),
        Text(flow.why, "dim italic"),
    )


def decider(case: Case, ruling: Ruling) -> str:
    """Which rule decided, and where it stands; or why none did."""
    if not ruling.policy:
        return ruling.reason
    return f"{ruling.policy} {rule_name(ruling.rule)}, {case.name}/{ruling.at}"


def report(results: Iterable[Result], mistakes: dict[str, tuple[str, ...]], differences: int, seconds: float) -> bytes:
    """Everything as one JSON object."""
    return msgspec.json.format(
        msgspec.json.encode(
            {
                "ok": not differences,
                "seconds": round(seconds, 3),
                "cases": [case_report(result) for result in results],
                "mistakes": mistakes,
            }
        )
    )


def case_report(result: Result) -> dict[str, object]:
    """One case: each flow with what was expected, what the engine says, what was told and what was seen."""
    return {
        "number": result.case.number,
        "name": result.case.name,
        "text": result.case.text,
        "revision": result.revision,
        "seconds": round(result.seconds, 3),
        "flows": [flow_report(outcome) for outcome in result.outcomes],
    }


def flow_report(outcome: Outcome) -> dict[str, object]:
    """One flow."""
    return {
        "flow": outcome.flow,
        "source_ip": outcome.attempt.source,
        "source_port": outcome.attempt.source_port,
        "target_ip": outcome.attempt.target,
        "arrived": outcome.seen.arrived,
        "answered": outcome.seen.answered,
        "decision": outcome.decision,
        "events": outcome.events,
        "differences": outcome.differences(),
    }
