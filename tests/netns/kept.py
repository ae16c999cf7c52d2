"""A keeper with real queues and workers in a namespace, and a supervisor that does what the test says.

Law: the keeper is a process of its own, as in the daemon; what its children say reaches the test whichever of them says
it. Whatever was started is gone at the end.
"""

import os
import pickle
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from calicod.daemon import worker
from calicod.daemon.channel import pair
from calicod.daemon.instance import ENFORCEMENT_FILE
from calicod.daemon.keeper import Channels, Keeper, Layout
from calicod.daemon.worker import Seat
from calicod.errors import CalicodError
from calicod.model.marks import layout
from calicod.model.record import Applied, Ready, Report, Swap, WorkerDied
from calicod.netfilter.nflog import LogGroup
from tests.netns.patience import seconds
from tests.netns.world import inside

PATIENCE = seconds(5.0)
MARKS = layout()
MOST = 1 << 20


class Told:
    """What the supervisor tells the test: its process, and a message or the name of what happened."""

    def __init__(self, pid: int, what: object) -> None:
        self.pid = pid
        self.what = what


def fail(code: int) -> None:
    """What a supervisor does that cannot begin."""
    raise CalicodError("K999", "the kernel does not do this", exit_code=code)


class Kept:
    """A running keeper; `logs`: with a log group. `tell` orders the supervisor; `heard`: all that was said."""

    def __init__(
        self,
        namespace: str,
        directory: Path,
        run_worker: Callable[[Seat], None],
        *,
        logs: bool = False,
        **changes: object,
    ) -> None:
        self.heard: list[Told] = []
        self.directory = directory
        self._test, self._ordered = pair()
        numbers = {"queue_base": 5200, "queue_length": 256, "workers": 1}
        self.layout = Layout(run_directory=directory, marks=MARKS, **(numbers | changes))
        self.logs = logs
        self.inherited = descriptors(os.getpid())
        self.pid = os.fork()
        if not self.pid:
            self._be_keeper(namespace, run_worker)

    def _be_keeper(self, namespace: str, run_worker: Callable[[Seat], None]) -> None:
        code = 99
        try:
            with inside(namespace):
                group = LogGroup(self.layout.queue_base) if self.logs else None
                code = Keeper(self.layout, self._supervise, run_worker, lambda: self._say("prepared"), group).run()
                os._exit(code)
        finally:
            os._exit(code)

    def _supervise(self, channels: Channels) -> int:
        """Tells everything to the test and obeys its orders: the body of the supervisor's process."""
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, lambda n, _: self._say(signal.Signals(n).name))
        self._say("began")
        orders = self._orders(channels)
        poll = select.poll()
        for end in (*channels.workers, channels.keeper, self._ordered):
            poll.register(end, select.POLLIN)
        while True:
            poll.poll(1000)
            with suppress(EOFError):  # the keeper is gone, and this process in a moment
                for end in (*channels.workers, channels.keeper):
                    for message in end.messages():
                        self._say(message)
            with suppress(BlockingIOError):
                order, value = pickle.loads(self._ordered.recv(MOST))  # noqa: S301  from this very test
                if order == "exit":
                    return int(value)
                orders[order](value)
                self._say(order)

    def _orders(self, channels: Channels) -> Mapping[str, Callable[[Any], object]]:
        """What the test may order besides `exit`."""
        return {
            "hung": channels.keeper.send,
            "ready": lambda _: channels.keeper.send(Ready()),
            "worker": lambda order: channels.workers[order[0]].send(order[1]),
            "defy": lambda _: signal.signal(signal.SIGTERM, lambda *_: self._say("SIGTERM")),
            "raise": lambda _: 1 / 0,
            "fail": fail,
        }

    def _say(self, what: object) -> None:
        with suppress(BlockingIOError):
            self._ordered.send(pickle.dumps(Told(os.getpid(), what)))

    def tell(self, order: str, value: object = None) -> None:
        """An order to whoever is the supervisor then."""
        self._test.send(pickle.dumps((order, value)))

    def listen(self) -> list[Told]:
        """Everything that was heard so far."""
        with suppress(BlockingIOError):
            while True:
                self.heard.append(pickle.loads(self._test.recv(MOST)))  # noqa: S301  from this very test
        return self.heard

    def hear(self, wanted: object, count: int = 1) -> list[Told]:
        """Waits for so many messages of a type, or that are equal."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [
                t
                for t in self.listen()
                if t.what == wanted or (isinstance(wanted, type) and isinstance(t.what, wanted))
            ]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"{wanted} was not heard, but {[t.what for t in self.heard][-20:]}"
            time.sleep(0.002)

    def enforce(self, content: bytes, revision: int) -> None:
        """Brings an enforcement file into force with every worker."""
        self.offer(content, revision)
        self.wait(lambda: {t.what.worker for t in self.applied(revision)} == set(range(self.layout.workers)))

    def offer(self, content: bytes, revision: int) -> None:
        """Writes an enforcement file and orders every worker to load it."""
        draft = self.directory / "draft"
        draft.write_bytes(content)
        draft.rename(self.directory / ENFORCEMENT_FILE)
        for number in range(self.layout.workers):
            self.tell("worker", (number, Swap(revision)))

    def applied(self, revision: int) -> list[Told]:
        """Who said that it judges by this revision."""
        return [t for t in self.listen() if isinstance(t.what, Applied) and t.what.revision == revision]

    def report(self, number: int = 0) -> None:
        """Asks a worker for its counters."""
        self.tell("worker", (number, Report()))

    def supervisor(self) -> int:
        """The process of the newest supervisor."""
        return self.hear("began")[-1].pid

    def workers(self) -> list[int]:
        """The processes of the workers: the keeper's children but the supervisor."""
        return [pid for pid in children(self.pid) if pid != self.supervisor()]

    def replaced(self, pid: int) -> int:
        """The process that took the place of a worker that was killed."""
        self.hear(WorkerDied)
        self.wait(lambda: pid not in self.workers() and len(self.workers()) == self.layout.workers)
        return self.workers()[-1]

    def wait(self, condition: Callable[[], object]) -> None:
        """Until it holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.002)

    def ended(self) -> int:
        """The keeper's exit code, once it has ended."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        raise AssertionError("the keeper did not end")

    def close(self) -> None:
        """Ends the keeper, and with it its children: returns when the queues are free."""
        if self.pid:
            pids = children(self.pid)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.wait(lambda: not any(alive(pid) for pid in pids))
        self._test.close()
        self._ordered.close()


@contextmanager
def kept(
    namespace: str,
    directory: Path,
    run_worker: Callable[[Seat], None] = worker.run,
    *,
    logs: bool = False,
    **changes: object,
) -> Iterator[Kept]:
    """A keeper that is gone at the end."""
    made = Kept(namespace, directory, run_worker, logs=logs, **changes)
    try:
        made.supervisor()
        yield made
    finally:
        made.close()


def children(pid: int) -> list[int]:
    """The processes that a process has forked, oldest first; those that ended are not among them.

    /proc/PID/task/TID/children would be shorter, but misses some while others end (proc(5)).
    """
    found = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return sorted(other for other in found if stat(other)[1] == pid and alive(other))


def freeze(pid: int) -> None:
    """SIGSTOP; returns when the process has stopped."""
    os.kill(pid, signal.SIGSTOP)
    while state(pid) != "T":
        time.sleep(0.001)


def alive(pid: int) -> bool:
    """Whether the process lives (a zombie does not)."""
    return state(pid) not in {"Z", ""}


def state(pid: int) -> str:
    """The letter of its state; "" when it is gone."""
    return stat(pid)[0]


def stat(pid: int) -> tuple[str, int]:
    """The letter of its state and its parent; "" and 0 when it is gone."""
    try:
        letter, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    return letter, int(parent)


def descriptors(pid: int) -> dict[int, str]:
    """What a process has open."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found[int(entry.name)] = str(entry.readlink())
    return found


def is_netlink(link: str) -> bool:
    """Whether a descriptor is a netlink socket."""
    inode = link.removeprefix("socket:[").removesuffix("]")
    return any(line.split()[-1] == inode for line in Path("/proc/thread-self/net/netlink").read_text().splitlines())
