"""Looks each second whether the kernel still does what was asked of it.

Law: what another program removed is put back and told (`steering.reset`); what the kernel lost or dropped is told as
counts. A look that fails is told once and tried again: it never stops the daemon.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from calicod.daemon.kernel import new_drops, queue_losses
from calicod.daemon.state import QueueState
from calicod.errors import CalicodError
from calicod.model.event import KernelDropped, QueueDropped
from calicod.model.steering import FlowKind
from calicod.netfilter.installer import Installer

REMEMBERED = 10
"""Looks that count for the judgement whether somebody removes our rules over and over."""
TOO_OFTEN = 3


class Findings(msgspec.Struct, frozen=True):
    """What one look found, as differences to the look before. `error`: why it failed, when that is new."""

    missing: tuple[str, ...] = ()
    events: tuple[QueueDropped | KernelDropped, ...] = ()
    error: str = ""


class Guard:
    """Remembers the last look. `queues` reads the kernel's counters of our queues."""

    def __init__(self, installer: Installer, queues: Callable[[], Mapping[int, QueueState]]) -> None:
        self.installer = installer
        self.read_queues = queues
        self.queues: Mapping[int, QueueState] = {}
        self.drops: dict[str, int] = {}
        self.total_drops: dict[str, int] = {}
        self.denied: Mapping[FlowKind, int] | None = None
        self._resets: deque[bool] = deque(maxlen=REMEMBERED)
        self._error = ""

    @property
    def trouble(self) -> str:
        """Why the kernel's rules may not be as they should, as a sentence; "" when they are."""
        if self._error:
            return f"the kernel's rules cannot be read: {self._error}"
        if sum(self._resets) >= TOO_OFTEN:
            return "another program removes or moves the steering rules again and again"
        return ""

    def begin(self) -> None:
        """What was counted before this process began was told by its predecessor. Raises CalicodError."""
        installed = self.installer.inspect()
        self.drops, self.denied = dict(installed.drops), installed.denied
        self.queues = self.read_queues()

    async def look(self) -> Findings:
        """One look at rules and counters; programs that show the rules run in a thread."""
        try:
            installed = await asyncio.to_thread(self.installer.inspect)
        except CalicodError as failure:
            known, self._error = self._error, str(failure)
            return Findings(error="" if known == self._error else self._error)
        self._error = ""
        self._resets.append(bool(installed.missing))
        queues = self.read_queues()
        events: list[QueueDropped | KernelDropped] = []
        for loss in queue_losses(self.queues, queues):
            counts = (("queue-full", loss.full), ("socket-full", loss.socket))
            events += [QueueDropped(queue=loss.queue, reason=reason, count=count) for reason, count in counts if count]
        for reason, count in new_drops(self.drops, installed.drops).items():
            events.append(KernelDropped(reason=reason, count=count))
            self.total_drops[reason] = self.total_drops.get(reason, 0) + count
        self.queues, self.drops, self.denied = queues, dict(installed.drops), installed.denied
        return Findings(missing=installed.missing, events=tuple(events))
