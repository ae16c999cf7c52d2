"""Keeper, supervisor and workers as real processes with real queues: who is replaced, what waits, how it ends."""

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from calicod.daemon import standin, worker
from calicod.daemon.instance import ENFORCEMENT_FILE
from calicod.daemon.keeper import BURST, FAILED, Keeper, Layout
from calicod.daemon.priority import NICE
from calicod.daemon.worker import Seat, Worker
from calicod.errors import CalicodError
from calicod.intercept.counters import read_counters
from calicod.intercept.nfqueue import Queue
from calicod.model.interface import Interface
from calicod.model.protocol import UDP, Protocol
from calicod.model.record import Applied, Batch, Counters, Hung, SupervisorDied, Swap, WorkerDied
from calicod.model.steering import Nic, Steering
from calicod.model.verdict import Verdict
from calicod.netfilter import probe
from calicod.netfilter.nflog import LogGroup
from calicod.ruleset.enforcement import Enforcement, decode, encode
from tests.netns.kept import MARKS, Kept, alive, children, descriptors, freeze, is_netlink, kept
from tests.netns.patience import seconds
from tests.netns.world import World, inside, run, world
from tests.unit.compiler.build import entity, host, policy, rule, ruleset

pytestmark = [pytest.mark.netns, pytest.mark.security]
NODE, CLIENT = "cp-pnode", "cp-pclient"
ADDRESS = "10.66.0.1"
ETH0_ID = 3
QUEUE = 5200
ALLOWED, FORBIDDEN = 1000, 2000
QUIET = 0.1
PATIENCE = seconds(5.0)


@pytest.fixture(scope="module")
def node() -> Iterator[World]:
    """client - eth0 node, whose eth0 is judged."""
    with world("cp-p", ["node", "client"]) as made:
        made.link((NODE, "eth0"), (CLIENT, "eth0"))
        made.address(NODE, "eth0", f"{ADDRESS}/24")
        made.address(CLIENT, "eth0", "10.66.0.2/24")
        with inside(NODE):
            installer = probe.choose("auto")
            installer.install(Steering(generation=1, nics=(Nic("eth0", ETH0_ID, managed=True),), queue_base=QUEUE))
            made.index = socket.if_nametoindex("eth0")
        yield made


def written(node: World, revision: int, *ports: int) -> bytes:
    """An enforcement file that allows UDP to these ports, and no other."""
    allowed = tuple(rule(destination=entity(ports=(port,)), protocol=Protocol(UDP)) for port in ports)
    rules = ruleset(host(), policy("p", ingress=allowed, governs_egress=True, egress=(rule(),)))
    return encode(Enforcement(revision=revision, ruleset=rules, interfaces=(Interface(node.index, "eth0"),)))


class Traffic:
    """Datagrams from the client, each a flow of its own; `arrived` tells which got through."""

    def __init__(self, node: World) -> None:
        self.world = node
        self.senders: list[socket.socket] = []
        self.receivers = {port: self._receiver(port) for port in (ALLOWED, FORBIDDEN)}

    def _receiver(self, port: int) -> socket.socket:
        made = self.world.socket(NODE, socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("", port))
        return made

    def send(self, port: int, *names: str) -> None:
        """One new flow for each name."""
        for name in names:
            sender = self.world.socket(CLIENT, socket.AF_INET, socket.SOCK_DGRAM)
            sender.sendto(name.encode(), (ADDRESS, port))
            self.senders.append(sender)

    def arrived(self, port: int, count: int = 0, patience: float = QUIET) -> list[str]:
        """What comes until `count` have come and then nothing for a while."""
        found: list[str] = []
        while True:
            self.receivers[port].settimeout(PATIENCE if len(found) < count else patience)
            try:
                found.append(self.receivers[port].recv(4096).decode())
            except TimeoutError:
                return found

    def close(self) -> None:
        for made in (*self.senders, *self.receivers.values()):
            made.close()


@pytest.fixture
def traffic(node: World) -> Iterator[Traffic]:
    node.run(NODE, "conntrack", "-F")
    made = Traffic(node)
    try:
        yield made
    finally:
        made.close()


def waiting(queue: int = QUEUE) -> int:
    """Packets of the node without a verdict."""
    with inside(NODE):
        return read_counters()[queue].waiting


def numbers(count: int) -> list[str]:
    return [f"{n}" for n in range(count)]


# Packets of a worker that dies


def test_what_waits_when_a_worker_is_killed_is_judged_by_its_successor(node, traffic, tmp_path):
    with kept(NODE, tmp_path) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        (first,) = keeper.workers()
        freeze(first)
        traffic.send(ALLOWED, *numbers(50))
        traffic.send(FORBIDDEN, *numbers(10))
        assert waiting() == 60

        killed = time.monotonic()
        os.kill(first, signal.SIGKILL)
        came = traffic.arrived(ALLOWED, 1)
        took = time.monotonic() - killed - QUIET

        assert came == numbers(50)
        assert traffic.arrived(FORBIDDEN) == []
        assert waiting() == 0
        assert keeper.replaced(first) != first
        assert keeper.hear(WorkerDied)[0].what == WorkerDied(0, first, -9, "killed by SIGKILL")
        print(f"50 waiting packets delivered {took * 1000:.1f} ms after the kill")


@pytest.mark.parametrize("behind", [0, 20], ids=["nothing waits behind it", "others wait behind it"])
def test_the_packet_that_a_dead_worker_had_read_is_dropped_and_no_other(node, traffic, tmp_path, behind):
    reading = tmp_path / "reading"

    def hangs_once(seat: Seat) -> None:
        if reading.exists():
            worker.run(seat)
        select.select([seat.original], [], [])
        seat.original.read(lambda *_: (reading.touch(), time.sleep(60)), 1)

    (tmp_path / ENFORCEMENT_FILE).write_bytes(written(node, 1, ALLOWED))
    with kept(NODE, tmp_path, hangs_once) as keeper:
        traffic.send(ALLOWED, "read by the dead")
        keeper.wait(reading.exists)
        traffic.send(ALLOWED, *numbers(behind))
        assert waiting() == 1 + behind

        os.kill(keeper.workers()[0], signal.SIGKILL)

        keeper.hear(Applied)
        keeper.wait(lambda: waiting() == 0)
        assert traffic.arrived(ALLOWED) == numbers(behind)


def test_a_worker_that_fails_on_a_packet_drops_that_packet_and_is_replaced(node, traffic, tmp_path):
    def poisoned(seat: Seat) -> None:
        made = Worker(msgspec.structs.replace(seat, first=False))
        made.begin()
        judge = made.judge.original

        def decide(payload: bytes, *where: int) -> Verdict:
            if b"poison" in payload:
                raise RuntimeError("a bug of ours")
            return judge(payload, *where)

        made._readers[seat.original.fileno()] = (seat.original, decide)
        while True:
            made.turn()

    (tmp_path / ENFORCEMENT_FILE).write_bytes(written(node, 1, ALLOWED))
    with kept(NODE, tmp_path, poisoned) as keeper:
        keeper.hear(Applied)
        traffic.send(ALLOWED, "before", "poison", "after", "poison", "last")

        assert traffic.arrived(ALLOWED, 3) == ["before", "after", "last"]
        assert waiting() == 0
        assert [t.what.how for t in keeper.hear(WorkerDied, 2)] == ["exit code 70"] * 2


def test_a_worker_that_dies_at_once_over_and_over_is_held_back(node, tmp_path):
    def stillborn(seat: Seat) -> None:
        os._exit(1)

    began = time.monotonic()
    with kept(NODE, tmp_path, stillborn) as keeper:
        keeper.hear(WorkerDied, BURST)
        time.sleep(1.0)

        died, took = len(keeper.hear(WorkerDied)), time.monotonic() - began
        assert BURST + 2 <= died <= BURST * (1 + took)  # a busy machine may take its time


# A worker that is there and does not work


def test_a_frozen_worker_judges_nothing_by_an_old_policy_when_it_thaws(node, traffic, tmp_path):
    with kept(NODE, tmp_path) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        (frozen,) = keeper.workers()
        freeze(frozen)
        traffic.send(ALLOWED, *numbers(20))
        keeper.offer(written(node, 2, FORBIDDEN), 2)
        keeper.hear("worker", 2)
        traffic.send(FORBIDDEN, "x")
        assert waiting() == 21
        assert not keeper.applied(2)

        os.kill(frozen, signal.SIGCONT)

        keeper.wait(lambda: keeper.applied(2))
        assert traffic.arrived(FORBIDDEN, 1) == ["x"]
        assert traffic.arrived(ALLOWED) == []
        assert waiting() == 0


def test_a_worker_that_the_supervisor_calls_hung_is_replaced_and_its_packets_are_judged(node, traffic, tmp_path):
    with kept(NODE, tmp_path) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        (frozen,) = keeper.workers()
        freeze(frozen)
        traffic.send(ALLOWED, *numbers(5))
        keeper.tell("hung", Hung(0, frozen + 1))
        keeper.hear("hung")
        assert keeper.workers() == [frozen]

        keeper.tell("hung", Hung(0, frozen))

        assert traffic.arrived(ALLOWED, 5) == numbers(5)
        assert [t.what.how for t in keeper.hear(WorkerDied)] == ["hung, killed by SIGKILL"]


def test_a_worker_that_never_loaded_lets_nothing_through_and_loses_nothing(node, traffic, tmp_path):
    with kept(NODE, tmp_path) as keeper:
        traffic.send(ALLOWED, *numbers(5))
        assert traffic.arrived(ALLOWED) == []
        assert waiting() == 5

        keeper.enforce(written(node, 1, ALLOWED), 1)

        assert traffic.arrived(ALLOWED, 5) == numbers(5)


def test_the_first_worker_of_a_daemon_that_resumes_needs_no_orders(node, traffic, tmp_path):
    (tmp_path / ENFORCEMENT_FILE).write_bytes(written(node, 1, ALLOWED))
    with kept(NODE, tmp_path, resumes=True) as keeper:
        traffic.send(ALLOWED, "a")

        assert traffic.arrived(ALLOWED, 1) == ["a"]
        assert len(keeper.hear(Applied)) == 1


def test_no_worker_waits_for_what_only_the_supervisor_needs(node, tmp_path):
    (tmp_path / ENFORCEMENT_FILE).write_bytes(written(node, 1, ALLOWED))
    with kept(NODE, tmp_path, resumes=True, workers=2) as keeper:
        (prepared,) = keeper.hear("prepared")
        pids = children(keeper.pid)

        assert prepared.pid == keeper.pid
        assert pids[-1] == keeper.supervisor(), "the workers are older"
        keeper.hear("began")
        assert keeper.heard.index(prepared) < next(n for n, told in enumerate(keeper.heard) if told.what == "began")


def test_a_worker_that_finds_half_a_file_says_so_and_waits_for_the_whole(node, traffic, tmp_path):
    whole = written(node, 1, ALLOWED)
    with kept(NODE, tmp_path) as keeper:
        keeper.offer(whole[: len(whole) // 2], 1)
        traffic.send(ALLOWED, "a")
        refused = keeper.hear(Applied)[0].what
        assert (refused.revision, refused.error != "") == (0, True)
        assert traffic.arrived(ALLOWED) == []

        keeper.enforce(whole, 1)

        assert traffic.arrived(ALLOWED, 1) == ["a"]


def test_a_confined_worker_that_cannot_reach_its_file_says_so(node, tmp_path):
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    (closed / "run").mkdir()
    os.chown(closed, 65534, 65534)
    with kept(NODE, closed / "run") as keeper:
        keeper.tell("worker", (0, Swap(1)))
        assert keeper.hear(Applied)[0].what.error.startswith("PermissionError")
        assert alive(keeper.workers()[0])


# Whoever judges while a worker loads

LOADING_SECONDS = seconds(0.5)


def loads_slowly(seat: Seat) -> None:
    """A worker that takes half a second for any file, and so has a stand-in for each."""

    def slowly(data: bytes) -> Enforcement:
        time.sleep(LOADING_SECONDS)
        return decode(data)

    standin.LARGE_BYTES = 0
    worker.decode = slowly
    worker.run(seat)


def loading(keeper: Kept, content: bytes, revision: int) -> tuple[int, int]:
    """Offers this to the worker; it and its stand-in, once there is one."""
    (loader,) = keeper.workers()
    keeper.offer(content, revision)
    keeper.wait(lambda: children(loader))
    return loader, children(loader)[0]


def test_while_a_worker_loads_packets_are_judged_by_the_former_policy_and_each_is_told(node, traffic, tmp_path):
    with kept(NODE, tmp_path, loads_slowly) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        loading(keeper, written(node, 2, FORBIDDEN), 2)
        traffic.send(ALLOWED, *numbers(20))
        traffic.send(FORBIDDEN, *numbers(10))

        assert traffic.arrived(ALLOWED, 20) == numbers(20)
        assert traffic.arrived(FORBIDDEN) == []
        assert not keeper.applied(2), "it still loads"
        keeper.wait(lambda: keeper.applied(2))
        traffic.send(ALLOWED, *numbers(20))
        traffic.send(FORBIDDEN, *numbers(10))
        assert traffic.arrived(FORBIDDEN, 10) == numbers(10)
        assert traffic.arrived(ALLOWED) == []
        keeper.wait(lambda: sum(len(t.what.records) for t in keeper.hear(Batch)) == 60)
        told = [t.what.revision for t in keeper.listen() if isinstance(t.what, Batch) for _ in t.what.records]
        assert told == [1] * 30 + [2] * 30
        assert keeper.heard.index(keeper.applied(2)[0]) > max(
            n for n, t in enumerate(keeper.heard) if isinstance(t.what, Batch) and t.what.revision == 1
        )
        keeper.report()
        keeper.wait(lambda: keeper.hear(Counters)[-1].what.judged == 60)
        assert keeper.hear(Counters)[-1].what.denied == 30
        assert {t.what.pid for t in keeper.hear(Counters)} == set(keeper.workers()), "a stand-in says nothing of itself"


@pytest.mark.parametrize("killed", ["stand-in", "worker", "keeper"])
def test_whoever_is_killed_while_a_worker_loads_nothing_forbidden_passes_and_what_waits_is_judged_by_the_new(
    node, traffic, tmp_path, killed
):
    with kept(NODE, tmp_path, loads_slowly) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        loader, stand_in = loading(keeper, written(node, 2, ALLOWED + 1, FORBIDDEN), 2)
        freeze(stand_in)
        traffic.send(ALLOWED, *numbers(20))
        traffic.send(FORBIDDEN, *numbers(10))
        assert waiting() == 30

        os.kill({"stand-in": stand_in, "worker": loader, "keeper": keeper.pid}[killed], signal.SIGKILL)

        keeper.wait(lambda: not alive(stand_in))
        if killed == "keeper":
            assert (traffic.arrived(FORBIDDEN), traffic.arrived(ALLOWED)) == ([], [])
            return
        assert traffic.arrived(FORBIDDEN, 10) == numbers(10)
        assert traffic.arrived(ALLOWED) == []
        assert waiting() == 0
        (now,) = keeper.workers()
        assert (now == loader) == (killed == "stand-in")
        assert [t.pid for t in keeper.applied(2)] == [keeper.supervisor()]
        keeper.wait(lambda: not children(now))


def test_a_stand_in_that_does_not_leave_is_killed_and_what_waits_is_judged_once(node, traffic, tmp_path):
    with kept(NODE, tmp_path, loads_slowly) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        loader, stand_in = loading(keeper, written(node, 2, FORBIDDEN), 2)
        freeze(stand_in)
        traffic.send(FORBIDDEN, *numbers(10))

        assert traffic.arrived(FORBIDDEN, 10) == numbers(10)
        assert not alive(stand_in)
        assert keeper.workers() == [loader]
        assert waiting() == 0


# Supervisors


def test_a_killed_supervisor_is_replaced_and_finds_what_was_said_meanwhile(node, traffic, tmp_path):
    with kept(NODE, tmp_path) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        keeper.tell("ready")
        keeper.hear("ready")
        former = keeper.supervisor()
        freeze(former)
        traffic.send(ALLOWED, *numbers(5))
        assert traffic.arrived(ALLOWED, 5) == numbers(5), "workers go on without a supervisor"

        os.kill(former, signal.SIGKILL)

        assert keeper.hear(SupervisorDied)[0].what == SupervisorDied(former, -9, "killed by SIGKILL")
        assert sum(len(t.what.records) for t in keeper.hear(Batch) if t.pid != former) == 5
        keeper.hear("began", 2)
        keeper.report()
        assert keeper.hear(Counters)[-1].what.judged == 5
        assert keeper.supervisor() != former


@pytest.mark.parametrize("code", [0, 1, 4])
def test_before_ready_the_supervisors_exit_code_is_the_daemons(tmp_path, node, code):
    with kept(NODE, tmp_path) as keeper:
        pids = (*keeper.workers(), keeper.supervisor())
        keeper.tell("exit", code)

        assert keeper.ended() == code
        assert not any(alive(pid) for pid in pids)


def test_before_ready_an_error_of_the_surroundings_ends_the_daemon_with_its_code(tmp_path, node):
    with kept(NODE, tmp_path) as keeper:
        keeper.tell("fail", 4)

        assert keeper.ended() == 4


@pytest.mark.parametrize("order", [("exit", FAILED), ("raise", 0)])
def test_before_ready_a_bug_of_ours_is_no_reason_to_end(tmp_path, node, order):
    with kept(NODE, tmp_path) as keeper:
        keeper.tell(*order)

        assert keeper.hear(SupervisorDied)[0].what.how == f"exit code {FAILED}"
        keeper.hear("began", 2)


@pytest.mark.parametrize("code", [0, 1, 4])
def test_after_ready_a_supervisor_that_ends_is_replaced_whatever_its_code(tmp_path, node, code):
    with kept(NODE, tmp_path) as keeper:
        keeper.tell("ready")
        keeper.tell("exit", code)

        keeper.hear("began", 2)
        assert keeper.hear(SupervisorDied)[0].what.status == code


# Signals


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_what_is_for_the_supervisor_is_forwarded_and_ends_nobody(tmp_path, node, number):
    with kept(NODE, tmp_path) as keeper:
        before = (*keeper.workers(), keeper.supervisor())
        os.kill(keeper.pid, number)

        keeper.hear(number.name)
        assert all(alive(pid) for pid in before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_worker_ignores_what_a_terminal_or_systemd_sends_to_all(tmp_path, node, number):
    with kept(NODE, tmp_path) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        (one,) = keeper.workers()
        os.kill(one, number)
        keeper.report()

        keeper.hear(Counters)
        assert keeper.workers() == [one]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_ends_with_its_supervisor_and_gives_the_queues_back(tmp_path, node, number):
    with kept(NODE, tmp_path) as keeper:
        pids = (*keeper.workers(), keeper.supervisor())
        keeper.tell("ready")
        keeper.hear("ready")
        os.kill(keeper.pid, number)

        assert keeper.ended() == 0
        assert not any(alive(pid) for pid in pids)
        with inside(NODE):
            assert read_counters() == {}


def test_a_supervisor_that_does_not_stop_is_not_waited_for_when_asked_twice(tmp_path, node):
    with kept(NODE, tmp_path) as keeper:
        pids = (*keeper.workers(), keeper.supervisor())
        keeper.tell("defy")
        keeper.hear("defy")
        os.kill(keeper.pid, signal.SIGTERM)
        keeper.hear("SIGTERM")
        assert alive(pids[-1])

        os.kill(keeper.pid, signal.SIGTERM)

        assert keeper.ended() == FAILED
        assert not any(alive(pid) for pid in pids)
        assert len(keeper.hear("SIGTERM")) == 1, "the supervisor is asked once"


def test_a_worker_that_dies_while_the_daemon_stops_is_still_replaced(tmp_path, node, traffic):
    with kept(NODE, tmp_path) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        keeper.tell("defy")
        keeper.hear("defy")
        os.kill(keeper.pid, signal.SIGTERM)
        keeper.hear("SIGTERM")
        (first,) = keeper.workers()
        os.kill(first, signal.SIGKILL)
        keeper.replaced(first)
        traffic.send(ALLOWED, "a")

        assert traffic.arrived(ALLOWED, 1) == ["a"]


def test_when_the_keeper_is_killed_all_its_children_die_and_nothing_passes(tmp_path, node, traffic):
    with kept(NODE, tmp_path, workers=2) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        pids = children(keeper.pid)
        assert len(pids) == 3
        os.kill(keeper.pid, signal.SIGKILL)
        keeper.ended()

        keeper.wait(lambda: not any(alive(pid) for pid in pids))
        traffic.send(ALLOWED, "a")
        assert traffic.arrived(ALLOWED) == []
        with inside(NODE):
            assert read_counters() == {}


# What a child holds


def test_where_cpu_is_scarce_verdicts_come_before_events_once_there_are_verdicts(tmp_path, node):
    with kept(NODE, tmp_path) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        (worker_pid,), began = keeper.workers(), keeper.supervisor()
        assert niceness(keeper.pid) == niceness(worker_pid) == niceness(began)

        keeper.tell("ready")
        keeper.wait(lambda: niceness(began) == niceness(keeper.pid) + NICE)
        os.kill(began, signal.SIGKILL)
        keeper.wait(lambda: keeper.hear("began")[-1].pid != began)

        assert niceness(keeper.supervisor()) == niceness(keeper.pid) + NICE
        assert niceness(worker_pid) == niceness(keeper.pid)


def niceness(pid: int) -> int:
    """Of a process."""
    return os.getpriority(os.PRIO_PROCESS, pid)


def test_a_child_holds_its_own_queues_and_channels_and_nothing_of_the_others(tmp_path, node):
    with kept(NODE, tmp_path, workers=2) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        first, second = keeper.workers()
        os.kill(first, signal.SIGKILL)
        successor = keeper.replaced(first)
        keeper.wait(lambda: successor in {told.what.pid for told in keeper.applied(1)})
        with inside(NODE):
            held = [held_by(pid, keeper.inherited) for pid in (successor, second, keeper.supervisor())]

    assert [len(links) for links in held] == [3, 3, 3]
    assert [sum(netlink for netlink, _ in links) for links in held] == [2, 2, 0]
    every = [link for links in held for _, link in links]
    assert len(set(every)) == len(every), "two processes share a descriptor"


def test_the_log_group_is_the_keepers_and_each_supervisors_and_no_workers(node, tmp_path):
    with kept(NODE, tmp_path, logs=True) as keeper, inside(NODE):
        keeper.wait(lambda: len(keeper.workers()) == 1)
        first = keeper.supervisor()
        os.kill(first, signal.SIGKILL)
        keeper.hear("began", 2)
        pids = (keeper.pid, *keeper.workers(), keeper.supervisor())
        held = [{link for netlink, link in held_by(pid, keeper.inherited) if netlink} for pid in pids]

        assert [len(links) for links in held] == [3, 2, 1]
        assert held[2] <= held[0] - held[1]
        with pytest.raises(CalicodError, match="K019"):
            LogGroup(QUEUE)


def held_by(pid: int, inherited: dict[int, str]) -> list[tuple[bool, str]]:
    """What a process has open and the test had not: is it a netlink socket, and which."""
    mine = set(inherited.values())
    return [
        (is_netlink(link), link)
        for link in descriptors(pid).values()
        if link.startswith("socket:") and link not in mine
    ]


# What is refused


def test_when_one_queue_is_taken_none_is_bound_and_nobody_is_forked(node, tmp_path):
    with inside(NODE):
        other = Queue(QUEUE + 2, 4, MARKS)
        try:
            with pytest.raises(CalicodError) as caught:
                Keeper(
                    Layout(run_directory=tmp_path, queue_base=QUEUE, queue_length=4, workers=2, marks=MARKS),
                    lambda _: 0,
                )
            assert (caught.value.code, caught.value.exit_code) == ("K041", 4)
            assert list(read_counters()) == [QUEUE + 2]
        finally:
            other.close()


CALICOD = (sys.executable, "-c", "from calicod.cli.main import main; main()")
"""`calicod`, as users start it."""


class Refused:
    """How `calicod run` ended that could not begin, and what it left behind."""

    def __init__(self, folder: Path, *before: str, namespace: str = NODE) -> None:
        directory = folder / "run"
        config = folder / "calicod.yaml"
        config.write_text(
            f"run_directory: {directory}\nstate_directory: {folder / 'state'}\nqueue_base: {QUEUE}\nworkers: 2\n"
        )
        before = ("ip", "netns", "exec", namespace, *before)
        rules = saved(namespace)
        done = subprocess.run(
            [*before, *CALICOD, "run", "--config", str(config)], capture_output=True, text=True, check=False, timeout=30
        )
        self.code = done.returncode
        self.error = done.stderr.splitlines()[0] if done.stderr else ""
        self.hinted = "\n  hint: " in done.stderr
        self.changed = saved(namespace) != rules
        with inside(namespace):
            self.queues = list(read_counters())


def saved(namespace: str) -> str:
    """The rules of a namespace, without their counters."""
    shown = "".join(run("ip", "netns", "exec", namespace, f"iptables-{v}-save") for v in ("nft", "legacy"))
    return "\n".join(line.split(" [")[0] for line in shown.splitlines() if not line.startswith("#"))


def test_the_daemon_is_refused_without_cap_net_admin(node, tmp_path):
    refused = Refused(tmp_path, "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")

    assert (refused.code, refused.hinted, refused.changed, refused.queues) == (4, True, False, [])
    assert refused.error.startswith("K040 ")
    assert not (tmp_path / "run").exists()


def test_the_daemon_is_refused_when_one_of_its_queues_is_taken(node, tmp_path):
    with inside(NODE):
        other = Queue(QUEUE + 3, 4, MARKS)
        refused = Refused(tmp_path)
        other.close()

    assert (refused.code, refused.hinted, refused.changed, refused.queues) == (4, True, False, [QUEUE + 3])
    assert refused.error.startswith(f"K041 queue {QUEUE + 3} is taken by process {os.getpid()} ")


def test_the_daemon_is_refused_on_a_kernel_without_nfqueue(node, tmp_path):
    hidden = 'mount --make-rprivate / && mount -t tmpfs none /proc/$$/task/$$/net && exec "$0" "$@"'
    refused = Refused(tmp_path, "unshare", "--mount", "sh", "-c", hidden)

    assert (refused.code, refused.hinted, refused.changed, refused.queues) == (4, True, False, [])
    assert refused.error.startswith("K042 ")
    assert not (tmp_path / "run").exists()


HOLD = """
import sys
from pathlib import Path
from calicod.daemon.instance import claim
held = claim(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_the_daemon_is_refused_while_another_one_has_its_directory(node, tmp_path):
    (tmp_path / "run").mkdir()
    other = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD,
            str(tmp_path / "run"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        other.stdout.readline()
        refused = Refused(tmp_path)
        other.kill()

    assert (refused.code, refused.hinted, refused.changed, refused.queues) == (4, True, False, [])
    assert refused.error == f'K044 another calicod runs in "{tmp_path / "run"}": process {other.pid}'


def test_the_daemon_is_refused_when_its_directory_is_open_to_all(node, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    refused = Refused(tmp_path)

    assert (refused.code, refused.hinted, refused.changed, refused.queues) == (4, True, False, [])
    assert refused.error.startswith(f'K045 run_directory "{tmp_path / "run"}" cannot be used: others may write')


# What conntrack does not know, and what is no packet


@pytest.fixture
def untracked(node: World) -> Iterator[None]:
    """Nothing from the client is tracked."""
    words = ("PREROUTING", "-i", "eth0", "-j", "CT", "--notrack")
    program = (
        "iptables-legacy" if node.run(NODE, "iptables-legacy-save", check=False).count("calicod") else "iptables-nft"
    )
    node.run(NODE, program, "-t", "raw", "-A", *words)
    yield
    node.run(NODE, program, "-t", "raw", "-D", *words)


def test_untracked_packets_are_judged_one_by_one_and_none_goes_round(node, traffic, untracked, tmp_path):
    with kept(NODE, tmp_path) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        sender = node.socket(CLIENT, socket.AF_INET, socket.SOCK_DGRAM)
        for port in (ALLOWED, FORBIDDEN):
            for name in numbers(3):
                sender.sendto(name.encode(), (ADDRESS, port))
        sender.close()

        assert traffic.arrived(ALLOWED, 3) == numbers(3)
        assert traffic.arrived(FORBIDDEN) == []
        keeper.report()
        counters = keeper.hear(Counters)[-1].what
        assert (counters.judged, counters.denied, waiting()) == (6, 3, 0)


def test_a_datagram_in_fragments_is_judged_once_by_its_ports(node, traffic, tmp_path):
    with kept(NODE, tmp_path) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        traffic.send(ALLOWED, "a" * 4000)
        traffic.send(FORBIDDEN, "b" * 4000)

        assert traffic.arrived(ALLOWED, 1) == ["a" * 4000]
        assert traffic.arrived(FORBIDDEN) == []
        keeper.report()
        counters = keeper.hear(Counters)[-1].what
        assert (counters.judged, counters.denied) == (2, 1)


@pytest.mark.parametrize("fail_open", [False, True], ids=["closed", "open"])
def test_malformed_packets_are_dropped_in_every_failure_mode(node, traffic, untracked, tmp_path, fail_open):
    with kept(NODE, tmp_path, fail_open=fail_open) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        with (
            node.socket(CLIENT, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender,
            node.socket(NODE, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as receiver,
        ):
            for body in (b"", b"\x04", struct.pack("!HH", 9, ALLOWED), struct.pack("!HHH", 9, ALLOWED, 8) + b"\x00"):
                sender.sendto(raw_udp(body), (ADDRESS, 0))
            keeper.wait(lambda: judged(keeper) == 4)
            receiver.settimeout(QUIET)
            with pytest.raises(TimeoutError):
                receiver.recv(100)

        counters = keeper.hear(Counters)[-1].what
        assert (counters.malformed, counters.denied, counters.failed, waiting()) == (4, 4, 0, 0)


def judged(keeper: object) -> int:
    """How many packets the worker says it judged."""
    keeper.report()
    return keeper.hear(Counters)[-1].what.judged


def raw_udp(body: bytes) -> bytes:
    """An IPv4 packet of protocol UDP with this body; the kernel fills in length and checksum."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0)
    return head + socket.inet_aton("10.66.0.2") + socket.inet_aton(ADDRESS) + body


def test_invalid_packets_do_not_come_up(node, tmp_path):
    with kept(NODE, tmp_path) as keeper:
        keeper.enforce(written(node, 1, ALLOWED), 1)
        with node.socket(CLIENT, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
            for _ in range(3):
                sender.sendto(raw_udp(b"\x04"), (ADDRESS, 0))
        time.sleep(QUIET)

        assert judged(keeper) == 0
        with inside(NODE):
            assert probe.choose("auto").inspect().drops["invalid"] >= 3
