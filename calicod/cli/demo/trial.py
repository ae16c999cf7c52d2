"""One example put to the real daemon: its files, its traffic, and what came of both.

Law: what must not happen is given time to happen: after the last thing that was expected there is a while in which a
packet or an event too many would still be seen. An event that comes even later is found at the end (`surplus`).
"""

import time
from pathlib import Path

import msgspec

from calicod.cli.demo.cases import Case
from calicod.cli.demo.daemon import Daemon
from calicod.cli.demo.offline import Offline
from calicod.cli.demo.outcome import Judged, Ledger, Outcome, judged, key_of_attempt
from calicod.cli.demo.traffic import Attempt, Traffic
from calicod.cli.demo.world import World
from calicod.errors import CalicodError

PATIENCE_SECONDS = 8.0
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
        self._ledger = Ledger()

    def run(self, case: Case) -> Result:
        """Brings the case into force and tries every flow of it. Raises CalicodError when it is not accepted."""
        began = time.monotonic()
        offline = Offline(case.folder, self.world)
        reloaded = self.daemon.use(files(case.folder))
        if reloaded.rejected or reloaded.error:
            why = "\n".join((*(str(d) for d in reloaded.rejected), reloaded.error)).strip()
            raise CalicodError("K080", f"{case.name} was rejected\n{why}")
        self._read()
        flows = [flow for flow in case.flows if flow.family in self.world.families]
        self.traffic.listen(flows)
        attempts = [self.traffic.begin(flow) for flow in flows]
        outcomes = self._watch(attempts, offline, reloaded.revision)
        self.traffic.forget()
        return Result(case, reloaded.revision, outcomes, time.monotonic() - began)

    def surplus(self) -> tuple[str, ...]:
        """Decisions about the world's connections that were told too late for their case, or of none that was tried."""
        self._read()
        return self._ledger.surplus(self.world.known_addresses)

    def _read(self) -> tuple[Judged, ...]:
        read = tuple(event for event in self.daemon.events.read() if isinstance(event, Judged))
        self._ledger.told += read
        return read

    def _watch(self, attempts: list[Attempt], offline: Offline, revision: int) -> tuple[Outcome, ...]:
        decisions = [offline.decide(attempt.flow) for attempt in attempts]
        self._ledger.expected.update(key_of_attempt(attempt) for attempt in attempts if attempt.flow.told)
        events: list[Judged] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        settled = False
        while True:
            events += (event for event in self._read() if event.revision >= revision)
            by_flow = judged(events)
            outcomes = tuple(
                Outcome(attempt=a, seen=seen, events=by_flow.get(key_of_attempt(a), ()), decision=decision)
                for a, seen, decision in zip(attempts, self.traffic.look(attempts), decisions, strict=True)
            )
            if settled:
                return outcomes
            settled = all(outcome.complete for outcome in outcomes) or time.monotonic() > deadline
            time.sleep(self.settle_seconds if settled else POLL_SECONDS)


def files(folder: Path) -> tuple[Path, ...]:
    """The files of an example that are resources."""
    return tuple(sorted(folder.glob("*.yaml")))
