"""Brings a RuleSet into force: enforcement file, then every worker, then the kernel's rules.

Law: the kernel gets a new generation only after every worker judges by the new RuleSet, so that what was judged by the
old policy can never be stamped as judged by the new. The generation moves only when verdicts may have changed. When a
step fails the steps after it are not taken: the former policy stays in force.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from calicod.compiler.steering import steer
from calicod.daemon.generation import next_generation
from calicod.errors import CalicodError
from calicod.model.interface import Interface
from calicod.model.marks import MarkLayout
from calicod.model.record import Applied, Swap, ToWorker
from calicod.model.steering import Steering
from calicod.netfilter.installer import Installer
from calicod.ruleset.enforcement import Enforcement, decode, encode
from calicod.ruleset.program import RuleSet
from calicod.ruleset.topology import Topology, resolve

ENFORCEMENT_FILE = "enforcement.msgpack"
WORKER_TIMEOUT = 30.0
"""Seconds a worker may take to load a RuleSet before the change is given up."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a change: was anything different, and did the generation move."""

    changed: bool
    rejudged: bool
    revision: int
    generation: int


class Enforcer:
    """Holds what is in force. `send` gives a message to one worker; `applied` is called for every Applied received."""

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
    ) -> None:
        self.run_directory = run_directory
        self.workers = workers
        self.queue_base = queue_base
        self.fail_open = fail_open
        self.marks = marks
        self.installer = installer
        self.send = send
        self.clear_generation = clear_generation
        self.enforcement: Enforcement | None = None
        self.topology: Topology | None = None
        self.steering: Steering | None = None
        self.generation = 0
        self.revision = 0
        self.worker_revisions: dict[int, int] = {}
        self._progress = asyncio.Event()
        self._refused: dict[int, str] = {}

    def take_over(self) -> None:
        """Continues the revision of a former supervisor and the generation that the kernel's rules bear."""
        path = self.run_directory / ENFORCEMENT_FILE
        if path.exists():
            try:
                self.revision = decode(path.read_bytes()).revision
            except msgspec.DecodeError:
                path.unlink()
        self.generation = self.installer.inspect().generation or 0

    def applied(self, message: Applied) -> None:
        """A worker has answered."""
        if message.error:
            self._refused[message.worker] = message.error
        else:
            self._refused.pop(message.worker, None)
            self.worker_revisions[message.worker] = message.revision
        self._progress.set()

    def forget(self, worker: int) -> None:
        """A worker died: its successor answers by itself when it has loaded."""
        self.worker_revisions.pop(worker, None)

    async def enforce(self, ruleset: RuleSet, interfaces: tuple[Interface, ...]) -> Outcome:
        """Makes this the policy in force; returns when every worker and the kernel have it. Raises CalicodError."""
        before = self.enforcement
        if before is not None and before.ruleset == ruleset and before.interfaces == interfaces:
            return Outcome(changed=False, rejudged=False, revision=self.revision, generation=self.generation)
        topology = resolve(ruleset, interfaces)
        await self._swap(Enforcement(revision=self.revision + 1, ruleset=ruleset, interfaces=interfaces))
        same_policy = before is not None and before.ruleset == ruleset and self._same_hosts(topology)
        generation = self.generation if same_policy else next_generation(self.generation or None, self.marks)
        await self._steer(ruleset, interfaces, generation)
        self.topology = topology
        return Outcome(changed=True, rejudged=not same_policy, revision=self.revision, generation=generation)

    async def repair(self) -> None:
        """Puts the present steering back after another program removed a part of it."""
        if self.steering is not None:
            await asyncio.to_thread(self.installer.install, self.steering)

    def _same_hosts(self, topology: Topology) -> bool:
        return (
            self.topology is not None
            and self.topology.hosts == topology.hosts
            and self.topology.wildcard == topology.wildcard
        )

    async def _swap(self, enforcement: Enforcement) -> None:
        await asyncio.to_thread(write_atomically, self.run_directory / ENFORCEMENT_FILE, encode(enforcement))
        self.enforcement = enforcement
        self.revision = enforcement.revision
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
            raise CalicodError("K070", f"workers {late} did not load revision {self.revision}", exit_code=1) from None

    def _all_answered(self) -> bool:
        for worker, error in self._refused.items():
            raise CalicodError("K071", f"worker {worker} refused revision {self.revision}: {error}", exit_code=1)
        return all(self.worker_revisions.get(w, 0) >= self.revision for w in range(self.workers))

    async def _steer(self, ruleset: RuleSet, interfaces: tuple[Interface, ...], generation: int) -> None:
        steering = steer(
            ruleset,
            interfaces,
            self.steering,
            generation=generation,
            queue_base=self.queue_base,
            workers=self.workers,
            fail_open=self.fail_open,
            marks=self.marks,
        )
        if steering == self.steering:
            return
        if generation != self.generation:
            await asyncio.to_thread(self.clear_generation, generation)
        await asyncio.to_thread(self.installer.install, steering)
        self.steering = steering
        self.generation = generation


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces the file in one step, readable by its owner alone."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    draft.rename(path)
