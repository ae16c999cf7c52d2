"""The demo for programs: everything that happened as one JSON object.

Law: names here are a public face, like the events: adding is free.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from calicod.cli.demo.outcome import Outcome
from calicod.cli.demo.trial import Result


def report(
    results: Iterable[Result], mistakes: Mapping[str, tuple[str, ...]], wrong: Sequence[str], seconds: float
) -> bytes:
    """The whole."""
    whole = {
        "ok": not wrong,
        "differences": wrong,
        "seconds": round(seconds, 3),
        "cases": [case_report(result) for result in results],
        "mistakes": mistakes,
    }
    return msgspec.json.format(msgspec.json.encode(whole))


def case_report(result: Result) -> dict[str, object]:
    """One case."""
    return {
        "number": result.case.number,
        "name": result.case.name,
        "text": result.case.text,
        "revision": result.revision,
        "seconds": round(result.seconds, 3),
        "flows": [flow_report(outcome) for outcome in result.outcomes],
    }


def flow_report(outcome: Outcome) -> dict[str, object]:
    """One flow: what was expected, what the engine says, what was told and what was seen."""
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
