"""The control plane: one asyncio loop that reads policy, brings it into force and tells what happens.

Law: no packet waits for anything here. What fails leaves the last good policy in force, degrades the status and says
why; it is tried again. Changes are coalesced: while one is brought into force, the newest of the others waits.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import structlog

from calicod import __version__
from calicod.daemon import cautions, presence, views
from calicod.daemon.answers import Answers
from calicod.daemon.beginning import Beginning
from calicod.daemon.beginnings import Known
from calicod.daemon.boot import Boot
from calicod.daemon.changes import Changes
from calicod.daemon.directions import Directions
from calicod.daemon.door import SOCKET_NAME, listen
from calicod.daemon.enforcer import Enforcer, Outcome
from calicod.daemon.farewell import judge_once_more
from calicod.daemon.gather import gather
from calicod.daemon.guard import Guard
from calicod.daemon.health import Facts, Health
from calicod.daemon.hearing import Hearing
from calicod.daemon.keeper import Channels
from calicod.daemon.kernel import our_queues
from calicod.daemon.kernelmemory import NOTE_FILE, KernelMemory, noted, save
from calicod.daemon.notify import ALIVE, READY, STOPPING, notify, watchdog_seconds
from calicod.daemon.patrol import Patrol
from calicod.daemon.recall import recall
from calicod.daemon.reporter import Reporter
from calicod.daemon.reroutes import Reroutes, departed
from calicod.daemon.resets import Resets
from calicod.daemon.resumption import Resumption
from calicod.daemon.settings import Settings
from calicod.daemon.sources import Reading, Sources, rejections
from calicod.daemon.state import EndpointState, Reloaded
from calicod.daemon.trials import Trials
from calicod.daemon.workers import Workers
from calicod.errors import CalicodError
from calicod.model import event as ev
from calicod.model.interface import Link
from calicod.model.record import Applied, Batch, Ready, SupervisorDied, WorkerDied
from calicod.model.steering import FlowKind, Steering
from calicod.netfilter import conntrack, links
from calicod.netfilter.installer import Installer
from calicod.netfilter.probe import choose
from calicod.ruleset.enforcement import Enforcement

if TYPE_CHECKING:
    from calicod.daemon.control import Control

log = structlog.get_logger()

SETTLE_SECONDS = 0.03
"""How long changes are gathered before they are brought into force."""
RETRY_SECONDS = 2.0
"""How long after a failure the change is tried again."""
SOURCES_SECONDS = 2.0
"""How long new flows wait at the start until policy is read; then the last good one judges them (design 9)."""
TICK_SECONDS = 1.0
UNLOGGED = "the kernel takes no rules that log (xt_NFLOG, nft_log): it allows nothing by itself"
LAST_LOGGED_SECONDS = 0.05
"""The kernel keeps what it logs for two hundredths of a second (`nflog`)."""
CHANGE_SECONDS = 10.0
"""How long the end waits for a change that is under way."""


class Supervisor:
    """One per daemon. `run` returns the exit code when it was asked to stop; the kernel's rules stay.

    `installer`: instead of the one that this host and the settings choose.
    """

    def __init__(
        self, settings: Settings, channels: Channels, notices: tuple[str, ...], installer: Installer | None = None
    ) -> None:
        self.settings = settings
        self.began = time.monotonic()
        self.stopping = asyncio.Event()
        self.orphaned = False
        self.changes = Changes()
        self.installer = installer or choose(settings.steering, settings.marks)
        log_group = channels.log_group if self.installer.logs else None
        unlogged = () if self.installer.logs else (UNLOGGED,)
        self.notices = [*notices, *self.installer.notices, *unlogged]
        self.cautions: tuple[str, ...] = ()
        self.unprotected: tuple[str, ...] = ()
        self.sources = Sources(settings.policy_paths, settings.node_name, settings.state_directory)
        self.reading: Reading | None = None
        self.resumption = Resumption(settings, (self.sources.last_good.path,))
        self.failure = ""
        self.endpoints: tuple[EndpointState, ...] = ()
        self.boot = Boot(settings.state_directory, self.installer)
        self.reporter = Reporter(settings)
        self.workers = Workers(channels.workers, self._heard, self._applied, Resets().answer, Directions().turn)
        self.keeper = channels.keeper
        self.beginning = Beginning(adopts=settings.adopts)
        self.enforcer = Enforcer(
            run_directory=settings.run_directory,
            workers=settings.workers,
            queue_base=settings.queue_base,
            fail_open=settings.fail_open,
            marks=settings.marks,
            installer=self.installer,
            send=self.workers.send,
            clear_generation=self._clear_generation,
            answers=settings.rejects or settings.cut_with_reset,
            keep=settings.keeps,
            log_group=None if log_group is None else log_group.group,
            meet=self.beginning.meet,
            recall=self._recall,
        )
        self.memory = KernelMemory(
            self.enforcer.remember, self.reporter.repeated, self._know, can_allow=log_group is not None
        )
        self.guard = Guard(self.installer, lambda: our_queues(settings.queue_base, settings.workers))
        plain = Steering(generation=1, queue_base=settings.queue_base, workers=settings.workers, marks=settings.marks)
        self.patrol = Patrol(self.guard, self.enforcer, plain, self.reporter.emit)
        self.hearing = Hearing(self.workers, self.reporter, self.memory, log_group, settings.marks)
        self.links = links.Watcher()
        self.reroutes = Reroutes(settings.marks)
        self.files = self.sources.files.changes()
        self.trials = Trials(
            self.sources, settings.state_directory, self.reload, self.reporter.emit, self.reporter.settled
        )
        self.health = Health()
        self.answers = Answers(self)
        self._idle = asyncio.Event()
        self._idle.set()
        self._judging = asyncio.Event()
        self.unserved = ""
        self._control: Control | None = None
        self._counted: Mapping[FlowKind, int] | None = None
        self._replaced = False
        self._ready = False

    async def run(self) -> int:
        """Until SIGTERM. Raises CalicodError when the daemon cannot begin."""
        self._listen(asyncio.get_running_loop())
        self._keeper_spoke()
        self._meet_others()
        self._take_over()
        self.trials.take_over(replaced=self._replaced)
        path = self.settings.run_directory / SOCKET_NAME
        listener, notices = listen(path)
        self.notices = list(dict.fromkeys([*self.notices, *notices]))
        self.changes.ask(reread=True)
        asyncio.get_running_loop().call_later(SOURCES_SECONDS, self._fall_back)
        watches = (self._watch_files(), self.trials.watch(), self.reroutes.run())
        jobs = (self._reconcile(), self._serve(listener), self._tick(), self._live(), *watches)
        tasks = [asyncio.create_task(job) for job in jobs]
        ended = asyncio.create_task(self.stopping.wait())
        await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
        notify(STOPPING)
        results = await self._end(tasks)
        if self._control is not None:
            await self._control.stop()
        path.unlink(missing_ok=True)
        self.reporter.emit(ev.DaemonStopped(reason=self._why()))
        self.reporter.close()
        for result in results:
            if isinstance(result, Exception):
                raise result
        return 0

    def _why(self) -> str:
        if self.orphaned:
            return "its main process is gone"
        return "asked to stop" if self.stopping.is_set() else "failure"

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> list[BaseException | None]:
        """Ends a trial, lets a change come to its end, judges live flows once more: nobody will answer the queues."""
        if not self.orphaned:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHANGE_SECONDS):
                    if self.stopping.is_set():
                        await self.trials.end()
                    await self._idle.wait()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        try:
            if self.memory.allows and not self.orphaned:
                await self.enforcer.ask_again()
        except CalicodError as failure:
            log.error("memory.failed", error=str(failure))  # noqa: TRY400  the place in our code is of no use
        if (judged_by := self.enforcer.judged_by) is not None and not self.orphaned:
            try:
                done = await asyncio.to_thread(judge_once_more, *judged_by)
                log.info("flows.rejudged", flows=done.flows, renewed=done.renewed)
            except (CalicodError, OSError) as failure:
                log.error("flows.unjudged", error=str(failure))  # noqa: TRY400  the place in our code is of no use
        if not self.orphaned:
            await asyncio.sleep(LAST_LOGGED_SECONDS)
        with suppress(EOFError):
            while self.hearing.look():
                pass
        return results

    async def reload(self) -> Reloaded:
        """Reads all sources again; returns when every worker enforces the result, or why it does not."""
        answer = await self.changes.ask_and_wait(reread=True)
        assert isinstance(answer, Reloaded)  # noqa: S101  `_reconcile` gives nothing else
        return answer

    async def _serve(self, listener: socket.socket) -> None:
        """Who asks waits until somebody judges, or it takes too long: aiohttp takes longer to import than that.

        An installation that is being replaced, or broken, ends no daemon that filters.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(SOURCES_SECONDS):
                await self._judging.wait()
        while True:
            try:
                control = await asyncio.to_thread(import_module, "calicod.daemon.control")
                self._control = control.Control(listener, self.answers.handlers())
                await self._control.start()
                self.unserved = ""
                await asyncio.Event().wait()
            except Exception as failure:  # noqa: BLE001  whatever it is, packets are judged without it
                self.unserved = f"the control socket cannot be served: {type(failure).__name__}: {failure}"
                log.error("control.failed", error=self.unserved)  # noqa: TRY400  the place in our code is of no use
                self.judge_health()
            await asyncio.sleep(RETRY_SECONDS)

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        for number, action in (
            (signal.SIGTERM, self.stopping.set),
            (signal.SIGINT, self.stopping.set),
            (signal.SIGHUP, lambda: self.changes.ask(reread=True)),
            (signal.SIGUSR1, self.reporter.reopen),
        ):
            loop.add_signal_handler(number, action)
        for worker, channel in enumerate(self.workers.channels):
            gather(loop, [channel.fileno()], self._guarded(partial(self.workers.take, worker)))
        loop.add_reader(self.keeper.fileno(), self._guarded(self._keeper_spoke))
        self.hearing.begin(loop, self._guarded)
        loop.add_reader(self.links.fileno(), self._links_changed)

    def _guarded(self, action: Callable[[], bool]) -> Callable[[], bool]:
        """The keeper's end of a channel is closed only when the keeper is gone: then this process ends too.

        The kernel kills it in a moment: what takes longer, such as a rollback, is left to whoever is started next.
        """

        def take() -> bool:
            try:
                return action()
            except EOFError:
                self.orphaned = True
                self.stopping.set()
                return False

        return take

    def _meet_others(self) -> None:
        """Refuses to begin beside rules that would disturb ours; to a successor they are a reason not to be healthy."""
        try:
            self.notices += self.patrol.meet_others()
        except CalicodError as refusal:
            if not self._replaced:
                raise
            self.patrol.clash = str(refusal)

    def _take_over(self) -> None:
        """Goes on where the kernel and a former process ended."""
        left = self.enforcer.take_over(fresh=not self._replaced)
        if left is not None and left.fail_open != self.settings.fail_open:
            old, new = ("open", "closed") if left.fail_open else ("closed", "open")
            log.warning("failure_mode.changed", old=old, new=new)
            self.reporter.emit(ev.FailureModeChanged(old=old, new=new))
        for setting in conntrack.enable_accounting():
            self.notices.append(
                f"sysctl {setting.name}: {setting.error or f'set to {setting.now}, was {setting.before}'}"
            )
        self.reporter.seed(conntrack.dump())
        self.guard.begin()
        if self._replaced:
            self.reporter.know(noted(self.settings.run_directory / NOTE_FILE))
        if self._replaced and self.enforcer.enforcement is not None:
            self.endpoints = views.states_of(self.enforcer.enforcement)

    def _know(self, allowed: Iterable[Known]) -> None:
        """Whoever reads the log group next must know them too."""
        save(self.settings.run_directory / NOTE_FILE, allowed)
        self.reporter.know(allowed)

    def _clear_generation(self, generation: int) -> int:
        marks = self.settings.marks
        return conntrack.clear(marks.stamp(generation, 0), marks.generation, marks.connection_mask)

    async def _recall(self, enforcement: Enforcement, steering: Steering) -> None:
        """What preDNAT policy cuts now is told as a worker would tell it."""
        cut = await asyncio.to_thread(recall, enforcement, steering, keep=self.settings.keeps)
        if cut:
            self.reporter.batch(Batch(0, enforcement.revision, cut))

    def _links_changed(self) -> None:
        if self.links.changed():
            self.changes.ask(reread=False)

    def _heard(self, batch: Batch) -> None:
        self.hearing.batch(batch)

    def _replace_hung(self) -> None:
        with suppress(EOFError):  # the keeper is gone, and who reads its channel knows it
            for hung in self.workers.hung(self.enforcer.revision):
                log.error("worker.hung", worker=hung.worker, pid=hung.pid)
                self.keeper.send(hung)

    def _fall_back(self) -> None:
        if self.enforcer.fall_back():
            log.warning("policy.late", revision=self.enforcer.revision)

    def _keeper_spoke(self) -> bool:
        """Everything that waits is taken."""
        for message in self.keeper.messages():
            match message:
                case WorkerDied():
                    log.warning("worker.died", worker=message.worker, pid=message.pid, how=message.how)
                    self.workers.died(message.worker)
                    self.enforcer.forget(message.worker)
                    self.reporter.emit(ev.WorkerDied(worker=message.worker, pid=message.pid, how=message.how))
                case SupervisorDied():
                    self._replaced = True
                    log.warning("supervisor.died", pid=message.pid, how=message.how)
                    self.reporter.emit(ev.SupervisorDied(pid=message.pid, how=message.how))
        return False

    def _applied(self, message: Applied) -> None:
        self._judging.set()
        if message.error:
            log.error("ruleset.refused", worker=message.worker, revision=message.revision, error=message.error)
        self.enforcer.applied(message)
        self.judge_health()

    async def _watch_files(self) -> None:
        async for _ in self.files:
            self.changes.ask(reread=True)

    async def _live(self) -> None:
        """Tells the watchdog that the loop turns, whatever the kernel's programs take."""
        rest = watchdog_seconds()
        while rest is not None:
            notify(ALIVE)
            await asyncio.sleep(rest)
        await asyncio.Event().wait()

    async def _reconcile(self) -> None:
        """Serves the wishes one after the other; a failure is told, kept in the status and tried again."""
        while True:
            wish, waiting = await self.changes.next(SETTLE_SECONDS if self.reading else 0)
            self._idle.clear()
            try:
                await self._change(reread=wish.reread or self.reading is None)
                self.failure = ""
            except (CalicodError, OSError) as failure:
                log.error("policy.failed", error=str(failure))  # noqa: TRY400  the place in our code is of no use
                self.failure = str(failure)
                self._fall_back()
                asyncio.get_running_loop().call_later(RETRY_SECONDS, lambda: self.changes.ask(reread=True))
            finally:
                self._idle.set()
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
        if reread or self.reading is None:
            await asyncio.to_thread(self.resumption.before_reading)
            former, self.reading = self.reading, await asyncio.to_thread(self.sources.read)
            await asyncio.to_thread(self.resumption.after_reading)
            for event in rejections(former, self.reading):
                log.error("policy.rejected", code=event.code, message=event.message, kept=event.kept, file=event.file)
                self.reporter.emit(event)
        reading = self.reading
        present = await asyncio.to_thread(links.links)
        interfaces = tuple(link.interface for link in present)
        self.reporter.direct(reading.ruleset, interfaces)
        self.reroutes.learn(reading.ruleset)
        self.memory.begin(reading.ruleset)
        before = self.enforcer.enforcement
        if before is None or (before.ruleset, before.interfaces) != (reading.ruleset, interfaces):
            self.resumption.forget()
        outcome = await self.enforcer.enforce(reading.ruleset, interfaces)
        if before is not None and not outcome.rejudged:
            await self.reroutes.leave(departed(before.ruleset, reading.ruleset))
        await self._look_around(reading, present)
        if not reading.held:  # before anybody is told: who sees that policy is in force may kill us at once
            await asyncio.to_thread(self.resumption.remember, interfaces)
        self._begin()
        if outcome.changed:
            self._tell_applied(reading, outcome, (time.monotonic() - began) * 1000)

    async def _look_around(self, reading: Reading, present: tuple[Link, ...]) -> None:
        """What the interfaces make of the policy, told when it changes; and the rules for the next boot."""
        steering = self.enforcer.steering
        assert steering is not None  # noqa: S101  only called after a change
        former = self.cautions
        if not self.trials.trying:  # the next boot ends a trial
            await asyncio.to_thread(self.boot.save, steering)
        self.unprotected = cautions.unprotected(steering, present)
        unsaved = (self.boot.problem,) if self.boot.problem else ()
        self.cautions = (*cautions.notices(reading.ruleset, steering, present), *unsaved)
        for caution in self.cautions:
            if caution not in former:
                log.warning("daemon.cautioned", caution=caution)

    def _begin(self) -> None:
        """Once: everything is in force."""
        if self._ready:
            return
        self._ready = True
        self.keeper.send(Ready())
        notify(READY, f"STATUS=enforcing revision {self.enforcer.revision}")
        if self._replaced:
            return
        revision, notices = self.enforcer.revision, (*self.notices, *self.cautions, *self.beginning.notices)
        self.reporter.emit(
            ev.DaemonStarted(calicod_version=__version__, pid=os.getppid(), revision=revision, notices=notices)
        )
        log.info("daemon.started", revision=revision, steering=self.installer.name, notices=notices)

    def _tell_applied(self, reading: Reading, outcome: Outcome, took_ms: float) -> None:
        enforcement = self.enforcer.enforcement
        assert enforcement is not None  # noqa: S101  only called after a change
        now = views.states_of(enforcement)
        for event in presence.changes(self.endpoints, now):
            self.reporter.emit(event)
        self.endpoints = now
        log.info("ruleset.swapped", revision=outcome.revision, rejudged=outcome.rejudged, took_ms=round(took_ms, 1))
        notify(f"STATUS=enforcing revision {outcome.revision}")
        self.reporter.emit(
            ev.PolicyApplied(
                revision=outcome.revision,
                generation=outcome.generation,
                resources=reading.resources,
                endpoints=len(now),
                rejudged=outcome.rejudged,
                took_ms=round(took_ms, 3),
            )
        )

    def judge_health(self) -> None:
        """Judges by what is known now; tells a change."""
        late = self.workers.late(self.enforcer.revision) if self._idle.is_set() else ()
        facts = Facts(
            ready=self._ready,
            failure=self.failure,
            rejected=self.reading.rejected if self.reading else (),
            late=late,
            silent=self.workers.silent(),
            unsteered=self.guard.trouble,
            clash=self.patrol.clash,
            unprotected=self.unprotected,
            uninstalled=self.trials.trouble,
            unserved=self.unserved,
        )
        event = self.health.judge(facts)
        if event is not None:
            log.warning("daemon.judged", state=self.health.state, reasons=self.health.reasons)
            self.reporter.emit(event)

    async def _look_at_memory(self) -> None:
        former = self._counted
        counted, self._counted = self.guard.denied, self.guard.denied
        try:
            await self.memory.look(None if counted is former else counted, self.hearing.lost)
        except CalicodError as failure:
            log.warning("memory.failed", error=str(failure))

    async def _tick(self) -> None:
        """Each second: what the kernel says, and what is due."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.workers.again()
            self.resumption.live()
            self._replace_hung()
            self.reporter.tick()
            if self._ready:
                await self.patrol.go()
                await self._look_at_memory()
            self.judge_health()
