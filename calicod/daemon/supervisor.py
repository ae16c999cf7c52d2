"""The control plane: one asyncio loop that reads policy, brings it into force and tells what happens.

Law: no packet waits for anything here. What fails leaves the last good policy in force, degrades the status and says
why; it is tried again. Changes are coalesced: while one is brought into force, the newest of the others waits.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable

import structlog

from calicod import __version__
from calicod.daemon import presence, views
from calicod.daemon.changes import Changes
from calicod.daemon.answers import Answers
from calicod.daemon.control import Control
from calicod.daemon.enforcer import Enforcer, Outcome
from calicod.daemon.guard import Guard
from calicod.daemon.health import Facts, Health
from calicod.daemon.keeper import Channels
from calicod.daemon.notify import notify, watchdog_seconds
from calicod.daemon.reporter import Reporter
from calicod.daemon.settings import Settings
from calicod.daemon.sources import Reading, Sources
from calicod.daemon.state import EndpointState, QueueState, Reloaded
from calicod.daemon.workers import Workers
from calicod.datastore.files import watch
from calicod.errors import CalicodError, Diagnostic
from calicod.intercept.counters import read_counters
from calicod.model import event as ev
from calicod.model.record import Applied, Ready, SupervisorDied, WorkerDied
from calicod.netfilter import clash, conntrack, links
from calicod.netfilter.probe import choose

log = structlog.get_logger()

SETTLE_SECONDS = 0.03
"""How long changes are gathered before they are brought into force."""
RETRY_SECONDS = 2.0
"""How long after a failure the change is tried again."""
TICK_SECONDS = 1.0


class Supervisor:
    """One per daemon. `run` returns the exit code when it was asked to stop; the kernel's rules stay."""

    def __init__(self, settings: Settings, channels: Channels, notices: tuple[str, ...]) -> None:
        self.settings = settings
        self.began = time.monotonic()
        self.stopping = asyncio.Event()
        self.changes = Changes()
        self.installer = choose(settings.steering, settings.marks)
        self.notices = [*notices, *self.installer.notices]
        self.sources = Sources(settings.policy_paths, settings.node_name, settings.state_directory)
        self.reading: Reading | None = None
        self.failure = ""
        self.endpoints: tuple[EndpointState, ...] = ()
        self.reporter = Reporter(settings)
        self.workers = Workers(channels.workers, self.reporter.batch, self._applied)
        self.keeper = channels.keeper
        self.enforcer = Enforcer(
            run_directory=settings.run_directory,
            workers=settings.workers,
            queue_base=settings.queue_base,
            fail_open=settings.fail_open,
            marks=settings.marks,
            installer=self.installer,
            send=self.workers.send,
            clear_generation=self._clear_generation,
        )
        self.guard = Guard(self.installer, self._queues)
        self.connections = conntrack.Events()
        self.links = links.Watcher()
        self.files = watch(self.sources.paths)
        self.health = Health()
        self.answers = Answers(self)
        self.changing = False
        self._ready = False

    async def run(self) -> int:
        """Until SIGTERM. Raises CalicodError when the daemon cannot begin."""
        loop = asyncio.get_running_loop()
        for number, action in (
            (signal.SIGTERM, self.stopping.set),
            (signal.SIGINT, self.stopping.set),
            (signal.SIGHUP, lambda: self.changes.ask(reread=True)),
            (signal.SIGUSR1, self.reporter.reopen),
        ):
            loop.add_signal_handler(number, action)
        self._listen(loop)
        self.enforcer.take_over()
        self._prepare_kernel()
        control = Control(self.settings.run_directory, self.answers.handlers())
        notice = await control.start()
        self.notices += [notice] if notice else []
        self.changes.ask(reread=True)
        tasks = [asyncio.create_task(job) for job in (self._reconcile(), self._tick(), self._watch_files())]
        ended = asyncio.create_task(self.stopping.wait())
        await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        notify("STOPPING=1")
        await control.stop()
        self.reporter.emit(ev.DaemonStopped(reason="asked to stop" if self.stopping.is_set() else "failure"))
        self.reporter.close()
        for result in results:
            if isinstance(result, Exception):
                raise result
        return 0

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        for number, channel in enumerate(self.workers.channels):
            loop.add_reader(channel.fileno(), self._guarded(lambda n=number: self.workers.take(n)))
        loop.add_reader(self.keeper.fileno(), self._guarded(self._keeper_spoke))
        loop.add_reader(self.connections.fileno(), self._connections_changed)
        loop.add_reader(self.links.fileno(), self._links_changed)

    def _guarded(self, action: Callable[[], None]) -> Callable[[], None]:
        """The keeper's end of a channel is closed only when the keeper is gone: then this process ends too."""

        def take() -> None:
            try:
                action()
            except EOFError:
                self.stopping.set()

        return take

    def _prepare_kernel(self) -> None:
        for setting in conntrack.enable_accounting():
            self.notices.append(
                f"sysctl {setting.name}: {setting.error or f'set to {setting.now}, was {setting.before}'}"
            )

    def _clear_generation(self, generation: int) -> int:
        marks = self.settings.marks
        return conntrack.clear(marks.stamp(generation, 0), marks.generation, marks.connection_mask)

    def _queues(self) -> dict[int, QueueState]:
        first = self.settings.queue_base
        ours = range(first, first + 2 * self.settings.workers)
        return {
            number: QueueState(
                queue=number, waiting=c.waiting, queue_dropped=c.queue_dropped, user_dropped=c.user_dropped
            )
            for number, c in read_counters().items()
            if number in ours
        }

    def _links_changed(self) -> None:
        if self.links.changed():
            self.changes.ask(reread=False)

    def _connections_changed(self) -> None:
        self.reporter.connections(self.connections.read(), self.connections.overruns)

    def _keeper_spoke(self) -> None:
        for message in self.keeper.messages():
            match message:
                case WorkerDied():
                    log.warning("worker.died", worker=message.worker, pid=message.pid, how=message.how)
                    self.workers.died(message.worker)
                    self.enforcer.forget(message.worker)
                    self.reporter.emit(ev.WorkerDied(worker=message.worker, pid=message.pid, how=message.how))
                case SupervisorDied():
                    log.warning("supervisor.died", pid=message.pid, how=message.how)
                    self.reporter.emit(ev.SupervisorDied(pid=message.pid, how=message.how))

    def _applied(self, message: Applied) -> None:
        if message.error:
            log.error("ruleset.refused", worker=message.worker, revision=message.revision, error=message.error)
        self.enforcer.applied(message)
        self.judge_health()

    async def _watch_files(self) -> None:
        async for _ in self.files:
            self.changes.ask(reread=True)

    async def _reconcile(self) -> None:
        """Serves the wishes one after the other; a failure is told, kept in the status and tried again."""
        while True:
            wish, waiting = await self.changes.next(SETTLE_SECONDS)
            self.changing = True
            try:
                await self._change(reread=wish.reread or self.reading is None)
                self.failure = ""
            except CalicodError as failure:
                log.error("policy.failed", error=str(failure))
                self.failure = str(failure)
                asyncio.get_running_loop().call_later(RETRY_SECONDS, lambda: self.changes.ask(reread=True))
            self.changing = False
            self.judge_health()
            answer = Reloaded(
                revision=self.enforcer.revision,
                generation=self.enforcer.generation,
                rejected=self.reading.rejected if self.reading else (),
                error=self.failure,
            )
            for future in waiting:
                if not future.done():
                    future.set_result(answer)

    async def _change(self, *, reread: bool) -> None:
        began = time.monotonic()
        former = self.reading
        if reread or former is None:
            self.reading = await asyncio.to_thread(self.sources.read)
            self._tell_rejected(former, self.reading)
        assert self.reading is not None  # noqa: S101  set above, or before
        interfaces = await asyncio.to_thread(links.interfaces)
        self.reporter.direct(self.reading.ruleset)
        outcome = await self.enforcer.enforce(self.reading.ruleset, interfaces)
        await self._begin()
        if outcome.changed:
            self._tell_applied(outcome, (time.monotonic() - began) * 1000)

    async def _begin(self) -> None:
        """Once: everything is in force."""
        if self._ready:
            return
        self._ready = True
        if self.enforcer.steering is not None:
            for found in await asyncio.to_thread(clash.check, self.enforcer.steering):
                self.notices.append(str(found))
        self.keeper.send(Ready())
        notify("READY=1", f"STATUS=enforcing revision {self.enforcer.revision}")
        self.reporter.emit(
            ev.DaemonStarted(
                calicod_version=__version__,
                pid=os.getppid(),
                revision=self.enforcer.revision,
                notices=tuple(self.notices),
            )
        )
        log.info("daemon.started", revision=self.enforcer.revision, steering=type(self.installer).__name__)

    def _tell_rejected(self, former: Reading | None, now: Reading) -> None:
        known = set(former.rejected) if former else set[Diagnostic]()
        for d in now.rejected:
            if d in known:
                continue
            kept = (d.kind or "", d.namespace or "", d.name or "") in now.kept or bool(now.kept and not d.name)
            log.error("policy.rejected", diagnostic=str(d), kept=kept)
            self.reporter.emit(
                ev.PolicyRejected(
                    code=d.code,
                    message=d.message,
                    hint=d.hint,
                    file=d.file,
                    line=d.line,
                    column=d.column,
                    kind=d.kind,
                    namespace=d.namespace,
                    name=d.name,
                    path=d.path,
                    kept=kept,
                )
            )

    def _tell_applied(self, outcome: Outcome, took_ms: float) -> None:
        assert self.reading is not None  # noqa: S101  only called after a reading
        assert self.enforcer.enforcement is not None  # noqa: S101  only called after a change
        assert self.enforcer.topology is not None  # noqa: S101  as above
        enforcement = self.enforcer.enforcement
        now = views.endpoint_states(enforcement.ruleset, self.enforcer.topology, enforcement.interfaces)
        for event in presence.changes(self.endpoints, now):
            self.reporter.emit(event)
        self.endpoints = now
        log.info("ruleset.swapped", revision=outcome.revision, rejudged=outcome.rejudged, took_ms=round(took_ms, 1))
        notify(f"STATUS=enforcing revision {outcome.revision}")
        self.reporter.emit(
            ev.PolicyApplied(
                revision=outcome.revision,
                generation=outcome.generation,
                resources=self.reading.resources,
                endpoints=len(now),
                rejudged=outcome.rejudged,
                took_ms=round(took_ms, 3),
            )
        )

    async def _tick(self) -> None:
        """Each second: what the kernel says, what is due, and a sign of life."""
        rest = watchdog_seconds()
        pinged = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.workers.again()
            self.reporter.tick()
            await self._look()
            if rest is not None and time.monotonic() - pinged >= min(rest, TICK_SECONDS):
                notify("WATCHDOG=1")
                pinged = time.monotonic()

    def judge_health(self) -> None:
        """Judges by what is known now; tells a change."""
        late = () if self.changing else self.workers.late(self.enforcer.revision)
        event = self.health.judge(
            Facts(
                ready=self._ready,
                failure=self.failure,
                rejected=self.reading.rejected if self.reading else (),
                late=late,
            )
        )
        if event is not None:
            log.warning("daemon.judged", state=self.health.state, reasons=self.health.reasons)
            self.reporter.emit(event)

    async def _look(self) -> None:
        if self.enforcer.steering is None:
            return
        found = await self.guard.look()
        for loss in found.losses:
            for reason, count in (("queue-full", loss.full), ("socket-full", loss.socket)):
                if count:
                    self.reporter.emit(ev.QueueDropped(queue=loss.queue, reason=reason, count=count))
        for reason, count in found.drops.items():
            self.reporter.emit(ev.KernelDropped(reason=reason, count=count))
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
            log.error("steering.failed", error=str(failure))
        log.warning("steering.reset", missing=missing, restored=restored)
        self.reporter.emit(ev.SteeringReset(missing=missing, restored=restored))
