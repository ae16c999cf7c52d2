"""What workers and the kernel say of connections, told in the order in which it happened.

Law: what was judged is told before its end; an end that came before a judgement, before that. So who looks at one of
these looks at all of them. No packet waits for this.
"""

import asyncio
from collections.abc import Callable

from calicod.daemon.gather import gather
from calicod.daemon.kernelmemory import KernelMemory
from calicod.daemon.reporter import Reporter
from calicod.daemon.workers import Workers
from calicod.model.marks import MarkLayout
from calicod.model.record import Batch
from calicod.netfilter.conntrack import Events
from calicod.netfilter.nflog import LogGroup

EVENTS_AT_ONCE = 1000
"""Of conntrack, before others have their turn."""
KERNEL_SECONDS = 0.1
"""Between two looks at what the kernel tells of connections: its buffers hold seconds of a flood, and each look holds
up who shares the processors with us by more than the time that it takes. Less than `reporter.QUIET_NS`."""
ENDS_AT_ONCE = 20
"""So many times as many, of those that were there before what the kernel let pass by itself."""

Guarded = Callable[[Callable[[], bool]], Callable[[], bool]]
"""Of something that reads: the same, which bears that the keeper is gone."""


class Hearing:
    """The ear of one supervisor. `log_group`: None where the kernel takes no rules that log."""

    def __init__(
        self, workers: Workers, reporter: Reporter, memory: KernelMemory, log_group: LogGroup | None, marks: MarkLayout
    ) -> None:
        self._workers = workers
        self._reporter = reporter
        self._memory = memory
        self._log_group = log_group
        began = marks.failsafe() if log_group is None else None
        self._connections = Events(began=began, ends_only=log_group is not None)

    @property
    def lost(self) -> int:
        """How many logged packets the kernel had no room for."""
        return 0 if self._log_group is None else self._log_group.lost

    def begin(self, loop: asyncio.AbstractEventLoop, guarded: Guarded) -> None:
        """Hears whatever comes."""
        logged = [] if self._log_group is None else [self._log_group.fileno()]
        gather(loop, [self._connections.fileno(), *logged], guarded(self.look), KERNEL_SECONDS)

    def batch(self, batch: Batch) -> None:
        """A worker's records. The kernel told the ends of earlier connections before these were judged."""
        self._read(judging=True)
        self._reporter.batch(batch)
        self._memory.batch(batch)

    def look(self) -> bool:
        """What the kernel let pass by itself, and what ended; says whether more waits. EOFError: the keeper is gone.

        The ends of what was before it are here when a beginning is told.
        """
        logged = [] if self._log_group is None else self._log_group.read()
        for worker in range(len(self._workers.channels)):
            self._workers.take(worker)
        for _ in range(ENDS_AT_ONCE if logged else 1):
            more = self._read(judging=bool(logged))
            if not more:
                break
        if self._log_group is not None:
            self._reporter.begun(logged, self._log_group.lost)
        return more

    def _read(self, *, judging: bool = False) -> bool:
        """Whether more waits."""
        began, ends = self._connections.read(EVENTS_AT_ONCE)
        self._reporter.connections(began, ends, self._connections.overruns, judging=judging)
        return len(began) + len(ends) >= EVENTS_AT_ONCE
