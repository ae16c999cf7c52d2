"""Goes its round each second: are our rules as they were made, what did the kernel drop, what do others' rules disturb.

Law: what is missing is put back and told; what others do is told and never undone. Where others have so many rules that
a round takes long, it is made less often.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from calicod.daemon.enforcer import Enforcer
from calicod.daemon.guard import Guard
from calicod.errors import CalicodError
from calicod.model.event import Event, SteeringReset
from calicod.model.steering import Steering
from calicod.netfilter import clash

log = structlog.get_logger()

OTHERS_ROUNDS = 30
"""Rules of others are read for clashes in every so manieth round."""
REST_SHARE = 10
"""No more than a tenth of the time is spent on rounds."""


class Patrol:
    """`plain`: the queues and marks that we use, whatever the policy. `clash`: what disturbs us, as a sentence."""

    def __init__(self, guard: Guard, enforcer: Enforcer, plain: Steering, emit: Callable[[Event], None]) -> None:
        self.guard = guard
        self.enforcer = enforcer
        self.plain = plain
        self.emit = emit
        self.clash = ""
        self._rounds = 0
        self._rests_until = 0.0

    def meet_others(self) -> tuple[str, ...]:
        """Before anything is installed: rules that only cost speed. Raises CalicodError for those that disturb."""
        return tuple(str(found) for found in clash.check(self.plain))

    async def go(self) -> None:
        """One round, unless it is time to rest."""
        began = time.monotonic()
        if began < self._rests_until:
            return
        self._rounds += 1
        await self._look()
        if self._rounds % OTHERS_ROUNDS == 0:
            await self._look_at_others()
        self._rests_until = began + (time.monotonic() - began) * REST_SHARE

    async def _look(self) -> None:
        found = await self.guard.look()
        for event in found.events:
            self.emit(event)
        if found.error:
            log.error("steering.unreadable", error=found.error)
        if found.missing:
            await self._repair(found.missing)

    async def _repair(self, missing: tuple[str, ...]) -> None:
        restored = True
        try:
            await self.enforcer.repair()
        except CalicodError as failure:
            restored = False
            log.error("steering.failed", error=str(failure))  # noqa: TRY400  the place in our code is of no use
        log.warning("steering.reset", missing=missing, restored=restored)
        self.emit(SteeringReset(missing=missing, restored=restored))

    async def _look_at_others(self) -> None:
        try:
            await asyncio.to_thread(self.meet_others)
        except CalicodError as refusal:
            self.clash = str(refusal)
        else:
            self.clash = ""
