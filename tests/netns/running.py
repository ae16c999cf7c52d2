"""The real daemon in the router of `node`, with its folder: configuration, policies, events, log.

Law: it is started as users start it; what it decides is seen on real packets, and in what it tells.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from calicod.cli.client import Unreachable, request
from calicod.daemon.state import Reloaded, Status
from tests.netns.node import Node
from tests.netns.patience import seconds

CALICOD = (sys.executable, "-c", "from calicod.cli.main import main; main()")
COMMON_PATIENCE = 15.0
PATIENCE = seconds(COMMON_PATIENCE)
POLL = 0.02


class Running:
    """One daemon. `policies` is its only policy path; `options` go into its configuration as they are."""

    def __init__(self, router: Node, folder: Path, options: Mapping[str, object] | None = None) -> None:
        self.router = router
        self.folder = folder
        self.policies = folder / "policies"
        self.config = folder / "calicod.yaml"
        self.socket = folder / "run" / "calicod.sock"
        self.log = folder / "daemon.log"
        self.events_file = folder / "events.jsonl"
        self.policies.mkdir()
        self.config.write_text(
            json.dumps(
                {
                    "node_name": "node",
                    "policy_paths": [str(self.policies)],
                    "run_directory": str(folder / "run"),
                    "state_directory": str(folder / "state"),
                    "events": [{"type": "file", "path": str(self.events_file)}],
                    "steering": router.setting,
                    **(options or {}),
                }
            )
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.wrapper: tuple[str, ...] = ()
        """A program and its arguments that runs the daemon, within the namespace and its own mounts."""

    def write(self, **texts: str) -> None:
        """Policy files by name, replaced as editors do it."""
        for name, text in texts.items():
            draft = self.folder / f"{name}.draft"
            draft.write_text(text)
            draft.rename(self.policies / f"{name}.yaml")

    def start(self, *, healthy: bool = True) -> Status:
        """Runs it until it enforces; without `healthy`, in whatever state it then is."""
        with self.log.open("ab") as log:
            command = (
                "ip",
                "netns",
                "exec",
                self.router.name,
                *self.wrapper,
                *CALICOD,
                "run",
                "--config",
                str(self.config),
            )
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        return self.until(lambda status: status.healthy or (not healthy and status.state != "starting"))

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL to the keeper; the others die with it. Returns when all are gone."""
        assert self.process is not None
        family = self.family()
        self.process.kill()
        self.process.wait(PATIENCE)
        wait_for(lambda: not any(Path(f"/proc/{pid}/environ").exists() and running(pid) for pid in family))

    def family(self) -> list[int]:
        """The processes: keeper, then its children."""
        assert self.process is not None
        keeper = self.process.pid
        with Path(f"/proc/{keeper}/task/{keeper}/children").open() as file:
            return [keeper, *map(int, file.read().split())]

    def status(self) -> Status:
        """As `calicod status`."""
        return msgspec.json.decode(request(str(self.socket), "/status"), type=Status)

    def reload(self) -> Reloaded:
        """As `calicod reload`."""
        return msgspec.json.decode(request(str(self.socket), "/reload", "POST"), type=Reloaded)

    def until(self, wanted: Callable[[Status], bool]) -> Status:
        """The first status that is as wanted."""
        deadline = time.monotonic() + PATIENCE
        found: object = None
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                break
            with suppress(Unreachable):
                found = self.status()
                if wanted(found):
                    return found
            time.sleep(POLL)
        raise AssertionError(f"{found}\n{self.log.read_text()[-3000:]}")

    def change(self, **texts: str) -> Status:
        """Writes policy files and waits until live flows are judged by them; nobody asks for a reload."""
        before = self.status().generation
        self.write(**texts)
        return self.until(lambda status: status.generation != before)

    def run(self, *words: str) -> tuple[int, str, str]:
        """A command of calicod's in the router's namespace: exit code, output, errors."""
        env = {**os.environ, "CALICOD_SOCKET": str(self.socket)}
        command = ("ip", "netns", "exec", self.router.name, *CALICOD, *words)
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds(60), check=False, env=env)
        return done.returncode, done.stdout, done.stderr

    def events(self, *names: str) -> list[dict[str, object]]:
        """What was told, oldest first; of these names, if any are given."""
        try:
            lines = self.events_file.read_text().splitlines()
        except FileNotFoundError:
            return []
        found = [json.loads(line) for line in lines if line.endswith("}")]
        return [event for event in found if not names or event["event"] in names]

    def told(self, name: str, count: int = 1) -> list[dict[str, object]]:
        """The events of that name once there are so many."""
        wait_for(lambda: len(self.events(name)) >= count)
        return self.events(name)


def running(pid: int) -> bool:
    """Whether the process lives (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Callable[[], bool], patience: float = COMMON_PATIENCE) -> None:
    """Until it holds."""
    deadline = time.monotonic() + seconds(patience)
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(POLL)


@contextmanager
def running_in(router: Node, folder: Path, options: Mapping[str, object] | None = None) -> Iterator[Running]:
    """A daemon that is not started yet, and is gone at the end with its rules."""
    daemon = Running(router, folder, options)
    try:
        yield daemon
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()
        daemon.run("teardown", "--config", str(daemon.config))
