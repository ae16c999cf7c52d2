"""Looks each second whether the kernel still does what was asked of it.

Law: what another program removed is put back and told (`steering.reset`); what the kernel lost or dropped is told as
counts. A look that fails is told once and tried again: it never stops the daemon.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
import structlog

from calicod.daemon.kernel import QueueLoss, new_drops, queue_losses
from calicod.daemon.state import QueueState
from calicod.errors import CalicodError
from calicod.netfilter.installer import Installer

log = structlog.get_logger()


class Findings(msgspec.Struct, frozen=True):
    """What one look found, as differences to the look before."""

    missing: tuple[str, ...] = ()
    losses: tuple[QueueLoss, ...] = ()
    drops: dict[str, int] = {}
    error: str = ""


class Guard:
    """Remembers the last look. `queues` reads the kernel's queue counters."""

    def __init__(self, installer: Installer, queues: Callable[[], Mapping[int, QueueState]]) -> None:
        self.installer = installer
        self.read_queues = queues
        self.queues: Mapping[int, QueueState] = {}
        self.drops: dict[str, int] = {}
        self.total_drops: dict[str, int] = {}
        self._error = ""

    async def look(self) -> Findings:
        """One look at rules and counters; programs that show the rules run in a thread."""
        try:
            installed = await asyncio.to_thread(self.installer.inspect)
        except CalicodError as failure:
            error = "" if str(failure) == self._error else str(failure)
            self._error = str(failure)
            return Findings(error=error)
        self._error = ""
        queues = self.read_queues()
        losses = queue_losses(self.queues, queues)
        drops = new_drops(self.drops, installed.drops)
        self.queues, self.drops = queues, dict(installed.drops)
        for reason, count in drops.items():
            self.total_drops[reason] = self.total_drops.get(reason, 0) + count
        return Findings(missing=installed.missing, losses=losses, drops=drops)
