"""A supervisor in this process, with a memory installer, workers that answer, and a network namespace of its own."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from calicod.daemon.channel import keeper_pair, worker_pair
from calicod.daemon.keeper import Channels
from calicod.daemon.settings import Settings
from calicod.daemon.state import Status
from calicod.daemon.supervisor import Supervisor
from calicod.eventlog.file import FileSettings
from calicod.model.record import Applied, Swap
from calicod.netfilter.memory import MemoryInstaller
from calicod.netfilter.nflog import LogGroup, Run
from tests.netns.world import inside, world

PATIENCE = 10.0
POLICY = """apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: h, labels: {{a: b}}}}
spec: {{node: n1, interfaceName: "*"}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: web}}
spec: {{selector: all(), ingress: [{{action: {action}}}]}}
"""


@contextmanager
def namespace() -> Iterator[None]:
    """This thread, and those that it starts, in a network namespace of its own."""
    with world("cd-u", ["sup"]) as made, inside(made.namespaces[0]):
        yield


class Logs(LogGroup):
    """A log group without a kernel: `come` says what it gives next."""

    def __init__(self) -> None:
        self.group = 5200
        self.missed = 0
        self._ours, self._theirs = socket.socketpair()
        self._waiting: list[Run] = []

    @property
    def lost(self) -> int:
        return self.missed

    def come(self, *logged: Run, quietly: bool = False) -> None:
        """Packets; `quietly`: nobody is woken."""
        self._waiting += logged
        if not quietly:
            self._ours.send(b"!")

    def fileno(self) -> int:
        return self._theirs.fileno()

    def read(self) -> list[Run]:
        with suppress(BlockingIOError):
            self._theirs.recv(1000, socket.MSG_DONTWAIT)
        found, self._waiting = self._waiting, []
        return found

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()


class ControlPlane:
    """One supervisor; `logs`: with a log group. `silent` workers do not answer, `refuse`: what they answer instead."""

    def __init__(
        self,
        folder: Path,
        *,
        installer: MemoryInstaller | None = None,
        failure_mode: str = "closed",
        logs: bool = False,
    ) -> None:
        self.folder = folder
        for name in ("p", "run", "state"):
            (folder / name).mkdir(exist_ok=True)
        self.installer = installer or MemoryInstaller()
        self.worker, theirs = worker_pair()
        self.keeper, control = keeper_pair()
        self.logged = Logs() if logs else None
        self.channels = Channels((theirs,), control, self.logged)
        self.settings = Settings(
            node_name="n1",
            policy_paths=(folder / "p",),
            run_directory=folder / "run",
            state_directory=folder / "state",
            events=(FileSettings(folder / "events.jsonl"),),
            failure_mode=failure_mode,
        )
        self.silent = False
        self.refuse = ""
        self.swaps: list[int] = []
        self.result: int | None = None
        self.supervisor: Supervisor

    def write(self, action: str = "Allow") -> None:
        """The policy file."""
        (self.folder / "p" / "a.yaml").write_text(POLICY.format(action=action))

    def status(self) -> Status:
        """What the control socket would say."""
        return self.supervisor.answers.status()

    def events(self, name: str) -> list[dict[str, object]]:
        """What was told so far under that name."""
        found = [json.loads(line) for line in self.supervisor.reporter.recent()]
        return [event for event in found if event["event"] == name]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """It runs; asked to stop at the end. A failure to begin is raised."""
        self.supervisor = Supervisor(self.settings, self.channels, ("a notice",), self.installer)
        answering = asyncio.ensure_future(self._answer())
        running = asyncio.ensure_future(self.supervisor.run())
        try:
            yield
        finally:
            self.supervisor.stopping.set()
            try:
                self.result = await asyncio.wait_for(running, PATIENCE)
            finally:
                answering.cancel()

    async def until(self, condition: object) -> None:
        """Until the condition, a function, holds."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110  any condition of a test
                await asyncio.sleep(0.01)

    async def healthy(self) -> Status:
        """The status once it is healthy."""
        await self.until(lambda: self.status().healthy)
        return self.status()

    async def _answer(self) -> None:
        while True:
            with suppress(EOFError):
                for message in self.worker.messages():
                    if isinstance(message, Swap):
                        self.swaps.append(message.revision)
                        if not self.silent:
                            self.worker.send(Applied(0, 4242, message.revision, 1, self.refuse))
            await asyncio.sleep(0.005)
