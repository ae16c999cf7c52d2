"""One example put to the real daemon: its files, its traffic, and what came of both.

Law: what must not happen is given time to happen: after the last thing that was expected there is a while in which a
packet or an event too many would still be seen.
"""

import time
from pathlib import Path

import msgspec

from calicod.cli.demo.cases import Case
from calicod.cli.demo.daemon import Daemon
from calicod.cli.demo.offline import Offline
from calicod.cli.demo.outcome import Judged, Outcome, judged, key_of_attempt
from calicod.cli.demo.traffic import Attempt, Traffic
from calicod.cli.demo.world import World
from calicod.errors import CalicodError
from calicod.model.event import Event

PATIENCE_SECONDS = 3.0
SETTLE_SECONDS = 0.3
POLL_SECONDS = 0.02


class Result(msgspec.Struct, frozen=True):
    """All that came of a case."""

    case: Case
    revision: int
    outcomes: tuple[Outcome, ...]
    seconds: float

    @property
    def differences(self) -> tuple[str, ...]:
        """Each with the flow that it is about."""
        return tuple(f"{outcome.flow}: {text}" for outcome in self.outcomes for text in outcome.differences())


class Trial:
    """A world with its traffic and its daemon. `settle_seconds`: how long something too many would still be seen."""

    def __init__(self, world: World, traffic: Traffic, daemon: Daemon, settle_seconds: float = SETTLE_SECONDS) -> None:
        self.world = world
        self.traffic = traffic
        self.daemon = daemon
        self.settle_seconds = settle_seconds

    def run(self, case: Case) -> Result:
        """Brings the case into force and tries every flow of it. Raises CalicodError when it is not accepted."""
        began = time.monotonic()
        offline = Offline(case.folder, self.world)
        reloaded = self.daemon.use(files(case.folder))
        if reloaded.rejected or reloaded.error:
            told = "\n".join((*(str(d) for d in reloaded.rejected), reloaded.error)).strip()
            raise CalicodError("K080", f"{case.name} was rejected\n{told}")
        self.daemon.events.read()
        flows = [flow for flow in case.flows if flow.family in self.world.families]
        self.traffic.listen(flows)
        attempts = [self.traffic.begin(flow) for flow in flows]
        outcomes = self._watch(attempts, offline, reloaded.revision)
        self.traffic.forget()
        return Result(case, reloaded.revision, outcomes, time.monotonic() - began)

    def _watch(self, attempts: list[Attempt], offline: Offline, revision: int) -> tuple[Outcome, ...]:
        decisions = [offline.decide(attempt.flow) for attempt in attempts]
        events: list[Event] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        settled = False
        while True:
            events += (e for e in self.daemon.events.read() if is_of(e, revision))
            by_flow = judged(events)
            outcomes = tuple(
                Outcome(attempt=a, seen=seen, events=by_flow.get(key_of_attempt(a), ()), decision=decision)
                for a, seen, decision in zip(attempts, self.traffic.look(attempts), decisions, strict=True)
            )
            if settled:
                return outcomes
            settled = all(outcome.complete for outcome in outcomes) or time.monotonic() > deadline
            time.sleep(self.settle_seconds if settled else POLL_SECONDS)


def is_of(event: Event, revision: int) -> bool:
    """A decision of this revision or a later one."""
    return isinstance(event, Judged) and event.revision >= revision


def files(folder: Path) -> tuple[Path, ...]:
    """The files of an example that are resources."""
    return tuple(sorted(folder.glob("*.yaml")))
