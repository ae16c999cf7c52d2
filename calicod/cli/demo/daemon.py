"""The real daemon, as `calicod run`, in the node's namespace; and the events that it writes.

Law: everything it needs is in one folder, so that it meets no other daemon of the host. It ends when this process
does, however that happens: the kernel kills it.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from calicod.cli.client import Unreachable, request
from calicod.cli.demo.space import inside
from calicod.cli.demo.world import NODE
from calicod.daemon.state import Reloaded, Status
from calicod.errors import CalicodError
from calicod.model.event import Event, decode

CALICOD = (sys.executable, "-c", "from calicod.cli.main import main; main()")
START_SECONDS = 30.0
STOP_SECONDS = 25.0
POLL_SECONDS = 0.02
PR_SET_PDEATHSIG = 1
TAIL_LINES = 20
_libc = ctypes.CDLL(None, use_errno=True)


class Events:
    """The lines of an event file that were not read yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self._rest = b""

    def read(self) -> tuple[Event, ...]:
        """Whole lines only: the rest waits for the next time."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return ()
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return tuple(decode(line) for line in lines)


class Daemon:
    """One daemon in a namespace, with its folder. `options` go into its configuration as they are."""

    def __init__(self, namespace: str, folder: Path, options: dict[str, object] | None = None) -> None:
        self.namespace = namespace
        self.folder = folder
        self.policies = folder / "policies"
        self.config = folder / "calicod.yaml"
        self.log = folder / "daemon.log"
        self.socket = folder / "run" / "calicod.sock"
        self.events = Events(folder / "events.jsonl")
        self.options = options or {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Status:
        """Starts it and waits until it enforces. Raises CalicodError with the end of its log."""
        for path in (self.policies, self.folder / "run", self.folder / "state"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.config.write_bytes(msgspec.json.format(msgspec.json.encode(self._settings())))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  this very program, in a namespace of our own
                inside(self.namespace, (*CALICOD, "run", "--config", str(self.config))),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo itself, which then ends in order
                preexec_fn=die_with_parent,  # noqa: PLW1509  this process has no other thread
            )
        return self.wait_ready(START_SECONDS)

    def _settings(self) -> dict[str, object]:
        return {
            "node_name": NODE,
            "policy_paths": [str(self.policies)],
            "run_directory": str(self.folder / "run"),
            "state_directory": str(self.folder / "state"),
            "events": [{"type": "file", "path": str(self.events.path)}],
            "log_format": "json",
            **self.options,
        }

    def wait_ready(self, seconds: float) -> Status:
        """Until its status is healthy. Raises CalicodError."""
        deadline = time.monotonic() + seconds
        why = "it does not answer"
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                why = f"it ended with exit code {self.process.returncode}"
                break
            try:
                status = self.status()
            except Unreachable:
                time.sleep(POLL_SECONDS)
                continue
            if status.healthy:
                return status
            why = "; ".join(status.reasons) or status.state
            time.sleep(POLL_SECONDS)
        raise CalicodError("K081", f"the daemon did not start: {why}\n{self.tail()}", exit_code=4)

    def status(self) -> Status:
        """What `calicod status` says. Raises Unreachable."""
        return msgspec.json.decode(request(str(self.socket), "/status"), type=Status)

    def reload(self) -> Reloaded:
        """As `calicod reload`: returns when every worker enforces what the files say. Raises Unreachable."""
        return msgspec.json.decode(request(str(self.socket), "/reload", method="POST"), type=Reloaded)

    def use(self, files: Iterable[Path]) -> Reloaded:
        """Replaces all policy files by copies of these, and brings them into force."""
        for old in self.policies.iterdir():
            old.unlink()
        for file in files:
            shutil.copyfile(file, self.policies / file.name)
        return self.reload()

    def tail(self) -> str:
        """The end of its log."""
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])
        except FileNotFoundError:
            return ""

    def stop(self) -> int | None:
        """Asks it to end, and waits; its rules stay. Returns its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()  # its children end with it
            return self.process.wait()

    def kill(self) -> None:
        """Ends it without asking."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()


def die_with_parent() -> None:
    """The kernel ends this process when its parent dies, however that happens."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
