"""The supervisor's side of the workers: their messages in, orders out, and what is known of each.

Law: messages are handled in the order they came; an order that found no room is sent again, the newest only. A worker
that was replaced keeps its number and begins its counters anew.
"""

import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from calicod.daemon.channel import SupervisorEnd
from calicod.daemon.state import WorkerState
from calicod.model.record import Applied, Batch, Counters, Hung, PickedUp, Report, Severed, Swap, ToWorker

log = structlog.get_logger()

SILENT_SECONDS = 5.0
"""A worker tells its counters each second; one that tells nothing for so long hangs, unless it loads a RuleSet."""
LOADING_SECONDS = 30.0
COUNTERS_SECONDS = 2.0
"""What was heard so shortly before an order was said by a worker that would obey it."""
MESSAGES_AT_ONCE = 200
"""Messages taken from one worker before the others have their turn."""


class Workers:
    """The channels to all workers; `states` is what `status` shows."""

    def __init__(
        self,
        channels: Sequence[SupervisorEnd],
        on_batch: Callable[[Batch], None],
        on_applied: Callable[[Applied], None],
        on_severed: Callable[[bytes], None],
        on_picked_up: Callable[[bytes], None],
    ) -> None:
        self.channels = tuple(channels)
        self.on_batch = on_batch
        self.on_applied = on_applied
        self.on_severed = on_severed
        self.on_picked_up = on_picked_up
        self.states = {number: WorkerState(worker=number, pid=0, revision=0) for number in range(len(channels))}
        self._unsent: dict[int, Swap] = {}
        self._heard = dict.fromkeys(self.states, time.monotonic())
        self._ordered: dict[int, float] = {}

    def send(self, worker: int, message: ToWorker) -> None:
        """Gives an order; a Swap that finds no room is kept for `again`."""
        sent = self.channels[worker].send(message)
        if isinstance(message, Swap):
            self._ordered[worker] = time.monotonic()
            self._unsent.pop(worker, None)
            if not sent:
                self._unsent[worker] = message

    def again(self) -> None:
        """Sends what found no room, and asks everybody for counters."""
        for worker, message in list(self._unsent.items()):
            self.send(worker, message)
        for worker in self.states:
            self.send(worker, Report())

    def take(self, worker: int) -> bool:
        """Handles what waits on one worker's channel, and says whether more does. EOFError: the keeper is gone."""
        channel = self.channels[worker]
        for _ in range(MESSAGES_AT_ONCE):
            message = channel.receive()
            match message:
                case None:
                    return False
            self._heard[worker] = time.monotonic()
            match message:
                case Batch():
                    self.on_batch(message)
                case Applied():
                    self._applied(message)
                case Counters():
                    self._counted(message)
                case Severed():
                    self.on_severed(message.packet)
                case PickedUp():
                    self.on_picked_up(message.packet)
        return True

    def late(self, revision: int) -> tuple[int, ...]:
        """Workers that do not judge by this revision."""
        return tuple(number for number, state in self.states.items() if state.revision != revision)

    def silent(self) -> tuple[int, ...]:
        """Workers that were heard once, and then no more: they hang, and the packets of their queues wait."""
        now = time.monotonic()
        return tuple(number for number, heard in self._heard.items() if now - heard >= SILENT_SECONDS)

    def hung(self, revision: int) -> tuple[Hung, ...]:
        """Workers to be replaced: they say nothing, and cannot be loading `revision` all that time; each told once."""
        found = []
        for worker in self.silent():
            self.take(worker)  # whoever was held up may be we
            quiet = time.monotonic() - self._heard[worker]
            state, ordered = self.states[worker], self._ordered.get(worker, 0.0)
            loading = state.revision != revision and self._heard[worker] + COUNTERS_SECONDS >= ordered
            if quiet >= (LOADING_SECONDS if loading else SILENT_SECONDS):
                self._heard[worker] = time.monotonic()
                found.append(Hung(worker, state.pid))
        return tuple(found)

    def died(self, worker: int) -> None:
        """The worker was replaced: what it counted is history."""
        state = self.states[worker]
        self._heard[worker] = time.monotonic()
        self.states[worker] = WorkerState(worker=worker, pid=0, revision=0, replaced=state.replaced + 1)

    def _applied(self, message: Applied) -> None:
        state = self.states[message.worker]
        if not message.error:
            self.states[message.worker] = msgspec.structs.replace(state, pid=message.pid, revision=message.revision)
        self.on_applied(message)

    def _counted(self, message: Counters) -> None:
        failed = message.failed - self.states[message.worker].failed
        if failed > 0:
            log.error("packet.failed", worker=message.worker, count=failed, failure=message.last_failure)
        self.states[message.worker] = msgspec.structs.replace(
            self.states[message.worker],
            pid=message.pid,
            judged=message.judged,
            denied=message.denied,
            malformed=message.malformed,
            failed=message.failed,
            records_lost=message.records_lost,
        )
