"""Brings a RuleSet into force: enforcement file, then every worker, then the kernel's rules.

Law: the kernel gets a new generation only after every worker judges by the new RuleSet, so that what was judged by the
old policy can never be stamped as judged by the new. The generation stays only when the policy is known to be the one
whose stamps are on live flows, or live flows are to be kept; whatever failed or is not known moves it.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from calicod.compiler.steering import steer
from calicod.daemon.generation import next_generation
from calicod.daemon.instance import ENFORCEMENT_FILE
from calicod.errors import CalicodError
from calicod.model.interface import Interface
from calicod.model.marks import MarkLayout
from calicod.model.record import Applied, Swap, ToWorker
from calicod.model.steering import FlowKind, Steering
from calicod.netfilter.installer import Installer
from calicod.ruleset.enforcement import Enforcement, encode
from calicod.ruleset.program import RuleSet
from calicod.ruleset.topology import Topology, resolve

STEERED_FILE = "steered.msgpack"
WORKER_TIMEOUT = 30.0
"""Seconds a worker may take to load a RuleSet before the change is given up."""

Kept = TypeVar("Kept", bound=msgspec.Struct)


class Outcome(msgspec.Struct, frozen=True):
    """What became of a change: was anything different, and did the generation move."""

    changed: bool
    rejudged: bool
    revision: int
    generation: int


class Steered(msgspec.Struct, frozen=True):
    """What the kernel's rules were made from: the revision of the enforcement, and the steering; for a successor."""

    revision: int
    steering: Steering


class Enforcer:
    """Holds what is in force. `send` gives a message to one worker; `applied` is called for every Applied received.

    `keep`: a change of policy judges new connections only (`established: keep`). `meet`: is called before and after
    rules of ours come into a kernel that had none, `recall` whenever rules have changed.
    """

    def __init__(  # noqa: PLR0913  a composition: each is a collaborator or a value of the settings
        self,
        *,
        run_directory: Path,
        workers: int,
        queue_base: int,
        fail_open: bool,
        marks: MarkLayout,
        installer: Installer,
        send: Callable[[int, ToWorker], None],
        clear_generation: Callable[[int], int],
        answers: bool = False,
        keep: bool = False,
        log_group: int | None = None,
        meet: Callable[[Enforcement, Steering], None] | None = None,
        recall: Callable[[Enforcement, Steering], Awaitable[None]] | None = None,
    ) -> None:
        self.run_directory = run_directory
        self.workers = workers
        self.queue_base = queue_base
        self.fail_open = fail_open
        self.answers = answers
        self.keep = keep
        self.log_group = log_group
        self.meet = meet
        self.recall = recall
        self.marks = marks
        self.installer = installer
        self.send = send
        self.clear_generation = clear_generation
        self.enforcement: Enforcement | None = None
        self.steering: Steering | None = None
        self.generation = 0
        self.revision = 0
        self.worker_revisions: dict[int, int] = {}
        # INVARIANT: what live stamps of `generation` were judged by; None as soon as anything else may have judged.
        self._stamped: Enforcement | None = None
        self._installed = self._ordered = False
        self._kernel = asyncio.Lock()
        self._progress = asyncio.Event()
        self._refused: dict[int, str] = {}

    def take_over(self, *, fresh: bool) -> Steering | None:
        """Goes on where a former daemon or supervisor ended; returns the steering that it left.

        `fresh`: no worker runs that a former supervisor spoke to.
        """
        held = recalled(self.run_directory / ENFORCEMENT_FILE, Enforcement)
        steered = recalled(self.run_directory / STEERED_FILE, Steered)
        self.enforcement = held
        # INVARIANT: revisions only grow, or an old answer of a worker would pass for a new one.
        self.revision = held.revision if held else 0 if fresh else int(time.time())
        self.generation = self.installer.inspect().generation or 0
        if steered is None:
            return None
        self.steering = steered.steering
        if held is not None and steered.revision == held.revision and self._bears(steered.steering):
            self._stamped = held
        return steered.steering

    def _bears(self, steering: Steering) -> bool:
        """The kernel's rules are those of this steering, and stamp as we do."""
        return self.generation > 0 and steering.generation == self.generation and steering.marks == self.marks

    def applied(self, message: Applied) -> None:
        """A worker has answered."""
        if message.error:
            self._refused[message.worker] = message.error
        else:
            self._refused.pop(message.worker, None)
            self.worker_revisions[message.worker] = message.revision
        self._progress.set()

    def forget(self, worker: int) -> None:
        """A worker died: its successor answers when it has loaded the file, which somebody may have removed."""
        self.worker_revisions.pop(worker, None)
        path = self.run_directory / ENFORCEMENT_FILE
        if self.enforcement is not None and not path.exists():
            write_atomically(path, encode(self.enforcement))
            self.send(worker, Swap(self.enforcement.revision))

    def fall_back(self) -> bool:
        """Policy cannot be read yet: workers that wait for it judge by what was in force when the last daemon ended.

        False: there is nothing of the kind, or they have their orders.
        """
        if self._ordered or self.enforcement is None:
            return False
        for worker in range(self.workers):
            self.send(worker, Swap(self.enforcement.revision))
        return True

    async def enforce(self, ruleset: RuleSet, interfaces: tuple[Interface, ...]) -> Outcome:
        """Makes this the policy in force; returns when every worker and the kernel have it. Raises CalicodError."""
        before = self._stamped
        same = before is not None and before.ruleset == ruleset and before.interfaces == interfaces
        if same and self._installed:
            return Outcome(changed=False, rejudged=False, revision=self.revision, generation=self.generation)
        stays = self._stays(before, ruleset, interfaces)
        self._stamped = None
        enforcement = Enforcement(revision=self.revision + 1, ruleset=ruleset, interfaces=interfaces)
        await self._swap(enforcement)
        generation = self.generation if stays else next_generation(self.generation or None, self.marks)
        await self._steer(enforcement, generation)
        self.enforcement = self._stamped = enforcement
        return Outcome(changed=True, rejudged=not stays, revision=self.revision, generation=generation)

    def _stays(self, before: Enforcement | None, ruleset: RuleSet, interfaces: tuple[Interface, ...]) -> bool:
        """Whether live flows may keep their stamps.

        With `keep` another policy is no reason to judge them again; what makes a stamp's id mean another path, or
        leaves open who judged, is one all the same.
        """
        if before is None or not (self.keep or before.ruleset == ruleset):
            return False
        topology = resolve(before.ruleset, before.interfaces)
        return same_hosts(topology, resolve(ruleset, interfaces)) and not renamed(before.interfaces, interfaces)

    def spares(self, ruleset: RuleSet) -> bool:
        """Whether live flows that bear the present stamp would not be judged again by this policy."""
        before = self._stamped
        return self.keep and before is not None and self._stays(before, ruleset, before.interfaces)

    @property
    def judged_by(self) -> tuple[Enforcement, Steering] | None:
        """What every worker and the kernel have in force; None while, or since, a change is not finished."""
        if self._stamped is None or self.steering is None or not self._installed:
            return None
        return self._stamped, self.steering

    async def repair(self) -> None:
        """Puts the present steering back after another program removed a part of it. Raises CalicodError."""
        async with self._kernel:  # INVARIANT: never while a newer steering is on its way: it would be taken back
            if self.steering is not None and self._installed:
                await asyncio.to_thread(self.installer.install, self.steering)

    async def remember(self, revision: int, denied: tuple[FlowKind, ...], allowed: tuple[FlowKind, ...]) -> bool:
        """Brings decisions of this revision into the kernel; False: it is not, or no longer, in force. CalicodError."""
        async with self._kernel:
            judged_by = self.judged_by
            if judged_by is None or judged_by[0].revision != revision:
                return False
            steering = msgspec.structs.replace(judged_by[1], denied=denied, allowed=allowed)
            await asyncio.to_thread(self.installer.install, steering)
            self.steering = steering
        return True

    async def ask_again(self) -> None:
        """Takes back what the kernel allows by itself, whatever became of the last change. Raises CalicodError."""
        async with self._kernel:
            if self.steering is not None and self._installed:
                steering = msgspec.structs.replace(self.steering, allowed=())
                await asyncio.to_thread(self.installer.install, steering)
                self.steering = steering

    async def _swap(self, enforcement: Enforcement) -> None:
        data = await asyncio.to_thread(encode, enforcement)
        await asyncio.to_thread(write_atomically, self.run_directory / ENFORCEMENT_FILE, data)
        self.revision = enforcement.revision
        self._ordered = True
        self._refused.clear()
        for worker in range(self.workers):
            self.send(worker, Swap(self.revision))
        try:
            async with asyncio.timeout(WORKER_TIMEOUT):
                while not self._all_answered():
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            late = [w for w in range(self.workers) if self.worker_revisions.get(w, 0) < self.revision]
            raise CalicodError(
                "K070",
                f"workers {late} did not load revision {self.revision} within {WORKER_TIMEOUT:.0f} s",
                hint="it is tried again; the former policy stays in force",
            ) from None

    def _all_answered(self) -> bool:
        for worker, error in self._refused.items():
            raise CalicodError(
                "K071",
                f"worker {worker} refused revision {self.revision}: {error}",
                hint="it is tried again; if this stays, restart the daemon and report it",
            )
        return all(self.worker_revisions.get(w, 0) >= self.revision for w in range(self.workers))

    async def _steer(self, enforcement: Enforcement, generation: int) -> None:
        async with self._kernel:
            plain = Steering(
                generation=generation,
                queue_base=self.queue_base,
                workers=self.workers,
                fail_open=self.fail_open,
                answers=self.answers,
                log_group=self.log_group,
                marks=self.marks,
            )
            steering = steer(enforcement.ruleset, enforcement.interfaces, self.steering, plain)
            if steering != self.steering or not self._installed:
                if generation != self.generation:
                    await asyncio.to_thread(self.clear_generation, generation)
                meet = None if self.generation else self.meet
                if meet is not None:
                    await asyncio.to_thread(meet, enforcement, steering)
                await asyncio.to_thread(self.installer.install, steering)
                if meet is not None:
                    await asyncio.to_thread(meet, enforcement, steering)
                if self.recall is not None:
                    await self.recall(enforcement, steering)
            self.steering, self.generation, self._installed = steering, generation, True
            note = msgspec.msgpack.encode(Steered(self.revision, steering))
            await asyncio.to_thread(write_atomically, self.run_directory / STEERED_FILE, note)


def same_hosts(before: Topology, now: Topology) -> bool:
    """The same host endpoints judge the same interfaces (workloads have theirs by name)."""
    return before.hosts == now.hosts and before.wildcard == now.wildcard


def renamed(before: Iterable[Interface], now: Iterable[Interface]) -> bool:
    """An interface has another name than before (an up one may be renamed since Linux 6.2).

    Until the workers knew it, its packets were judged by the policy of the former name.
    """
    names = {interface.index: interface.name for interface in before if interface.index}
    return any(names.get(interface.index, interface.name) != interface.name for interface in now)


def recalled(path: Path, kind: type[Kept]) -> Kept | None:
    """What the file holds; None, and no file, when that cannot be read: it is of another version, or damaged."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (ValueError, msgspec.MsgspecError):  # text that is no UTF-8 is a ValueError
        path.unlink(missing_ok=True)
        return None


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces the file in one step, readable by its owner alone."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    draft.rename(path)
