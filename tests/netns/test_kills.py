"""Worker, supervisor and keeper killed at random under mixed traffic: nothing forbidden passes, nothing allowed breaks.

`CALICOD_KILLS=200 pytest tests/netns/test_kills.py -s` is the long form, which also prints its figures (`make proofs`).
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product

import pytest

from tests.netns.flood import SERVERS, Flood
from tests.netns.kept import alive, children
from tests.netns.node import FAMILIES, Node, node
from tests.netns.running import PATIENCE, Running, running_in, wait_for
from tests.netns.test_daemon import TcpFlow, endpoints

pytestmark = [pytest.mark.netns, pytest.mark.security, pytest.mark.slow, pytest.mark.timeout(3600)]
KILLS = int(os.environ.get("CALICOD_KILLS", "12"))
PAUSE = (0.02, 0.25)
"""Seconds between two kills."""
RESTART_SECONDS = 0.2
"""After which the unit starts the keeper again."""
WORST_SECONDS = {"worker": 2.0, "supervisor": 2.0, "keeper": 10.0}
"""What new allowed flows may wait for on a busy machine; the aims of 0.1 s and 1 s are for a quiet one, and printed."""
INSTALLED = ("env", "-u", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX={}")
"""An installed daemon does not compile itself at each start."""
LIVE_SECONDS = 2.0
LIVE = 3100
POLICY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: some}}
spec:
  order: {order}
  selector: all()
  types: [Ingress, Egress]
  ingress:
  - {{action: Allow, protocol: TCP, destination: {{ports: ['3000:3999']}}}}
  - {{action: Allow, protocol: UDP, destination: {{ports: ['3000:3999']}}}}
  - {{action: Allow, protocol: ICMP, icmp: {{type: 8, code: 0}}}}
  - {{action: Allow, protocol: ICMPv6, icmp: {{type: 128, code: 0}}}}
  egress: [{{action: Allow}}]
"""


@pytest.fixture(scope="module")
def router() -> Iterator[Node]:
    with node("cp-k", "auto") as built:
        yield built


class Kill:
    """Who was killed and when; from when new flows have to come through, and by when all of them did."""

    def __init__(self, role: str, *, changing: bool = False) -> None:
        self.role = role
        self.changing = changing
        self.began = self.due = self.over = time.monotonic()

    def excuses(self, sent: float) -> bool:
        """Whether a flow that began then may be lost: while there is no keeper, there is no queue."""
        return self.role == "keeper" and self.began - 0.05 <= sent <= self.over


class Family:
    """The keeper and its children by what they are."""

    def __init__(self, daemon: Running) -> None:
        self.daemon = daemon
        self.roles: dict[int, str] = {}
        self._meet()

    def _meet(self) -> None:
        status = self.daemon.status()
        self.roles = {worker.pid: "worker" for worker in status.workers}
        self.roles |= {status.supervisor_pid: "supervisor", status.pid: "keeper"}

    def kill(self, role: str, chance: random.Random) -> None:
        """SIGKILL to one of them; returns once its successor is there. The unit's part is played here."""
        pid = chance.choice([pid for pid, what in self.roles.items() if what == role])
        os.kill(pid, signal.SIGKILL)
        if role != "keeper":
            del self.roles[pid]
            wait_for(lambda: self._born(pid))
            (successor,) = self._born(pid)
            self.roles[successor] = role

    def restart(self, kill: Kill) -> None:
        """What systemd does when the keeper has died."""
        assert self.daemon.process is not None
        self.daemon.process.wait(10)
        wait_for(lambda: not any(alive(pid) for pid in self.roles))
        time.sleep(RESTART_SECONDS)
        kill.due = time.monotonic()
        self.daemon.start()
        kill.over = time.monotonic()
        self._meet()

    def _born(self, killed: int) -> list[int]:
        (keeper,) = (pid for pid, role in self.roles.items() if role == "keeper")
        return [pid for pid in children(keeper) if pid not in self.roles and pid != killed]


def live_flows(router: Node, stack: ExitStack) -> list[TcpFlow]:
    """Connections that are up, to every server in both families."""
    made = [
        stack.enter_context(TcpFlow(router, "ext", server, family, LIVE + n))
        for n in range(2)
        for server in SERVERS
        for family in FAMILIES
    ]
    assert all(flow.forth(2.0) and flow.back(2.0) for flow in made)
    return made


@pytest.mark.parametrize("workers", [1, 2])
def test_random_kills_under_load_let_nothing_forbidden_through_and_break_nothing_allowed(
    router: Node, tmp_path, workers, capsys
):
    chance = random.Random(workers)
    options = {"workers": workers, "queue_base": 5300}
    with running_in(router, tmp_path, options) as daemon, ExitStack() as stack:
        daemon.wrapper = tuple(word.format(tmp_path / "compiled") for word in INSTALLED)
        daemon.write(endpoints=endpoints(), some=POLICY.format(order=1))
        daemon.start()
        router.forget()
        flows = live_flows(router, stack)
        flood = Flood(router)
        stack.callback(flood.stop)
        time.sleep(0.3)
        family, kills = Family(daemon), []
        roles = (["worker", "worker", "supervisor", "keeper"] * KILLS)[: KILLS // 2]
        chance.shuffle(roles)
        for n, role in enumerate(roles):
            tried = (flows[n % len(flows)], flows[-1 - n % len(flows)])
            changing = n % 6 == 5
            if changing:  # a change of policy that is under way when the next one dies
                daemon.write(some=POLICY.format(order=n + 2))
            elif role == "keeper":  # what bears an old stamp would wait for the next keeper
                daemon.until(lambda status: status.healthy)
                daemon.reload()
                assert all(flow.forth(LIVE_SECONDS) and flow.back(LIVE_SECONDS) for flow in tried)
            kills.append(Kill(role, changing=changing))
            family.kill(role, chance)
            if role == "keeper" and not changing:
                assert all(flow.forth(LIVE_SECONDS) and flow.back(LIVE_SECONDS) for flow in tried), "needs a keeper"
            if role == "keeper":
                family.restart(kills[-1])
            for flow in tried:
                assert flow.forth(LIVE_SECONDS) and flow.back(LIVE_SECONDS), f"broken by kill {n}, {role}"
            time.sleep(chance.uniform(*PAUSE))
        daemon.until(lambda status: status.healthy)
        time.sleep(1.5)
        end = time.monotonic() - 1.2
        flood.stop()

        tell(capsys, workers, kills, flood)
        assert (flood.forbidden, flood.strange) == ([], []), "forbidden, or arrived twice or somewhere else"
        assert all(flow.forth(LIVE_SECONDS) and flow.back(LIVE_SECONDS) for flow in flows)
        lost = [name for name in flood.allowed(end) if name not in flood.arrived]
        unexcused = [name for name in lost if not any(kill.excuses(flood.sent[name]) for kill in kills)]
        dead = sum(kill.role == "worker" for kill in kills)
        assert len(unexcused) <= 2 * dead, "more than what the dead had read, one in each of two queues"
        assert len(flood.arrived) > 20 * len(kills)
        for kill in kills:
            assert flood.working_again(kill.due) < WORST_SECONDS[kill.role], kill.role
        assert daemon.stop() == 0


REWRITES = 4
MORE = """
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: more{number}}}
spec: {{order: 0, selector: "n == '{number}'", ingress: [{{action: Deny}}]}}
"""
KILLER = """
import os, signal, sys
with open(f"/proc/{sys.argv[1]}/task/{sys.argv[1]}/children") as children:
    while not (found := children.read().split()):
        children.seek(0)
    os.kill(int(found[0] if sys.argv[2] == "stand-in" else sys.argv[1]), signal.SIGKILL)
"""
"""A program that kills a worker, or its stand-in, as soon as there is one: it is there for some milliseconds."""


def many(first: int) -> str:
    """The same policy in a set that takes so long to load that a stand-in judges meanwhile."""
    return POLICY.format(order=1) + "".join(MORE.format(number=number) for number in range(first, first + 2_000))


def test_kills_while_a_large_set_is_loaded_let_nothing_forbidden_through_and_break_nothing_allowed(router, tmp_path):
    with running_in(router, tmp_path, {"queue_base": 5300}) as daemon, ExitStack() as stack:
        daemon.write(endpoints=endpoints(), some=many(0))
        daemon.start()
        router.forget()
        flows = live_flows(router, stack)
        flood = Flood(router)
        stack.callback(flood.stop)
        for n, victim in enumerate(["stand-in", "worker"] * (REWRITES // 2)):
            (worker,) = (state.pid for state in daemon.status().workers)
            before = daemon.status().generation
            killer = subprocess.Popen([sys.executable, "-S", "-c", KILLER, str(worker), victim])
            stack.callback(killer.kill)
            daemon.write(some=many(n + 1))
            assert killer.wait(PATIENCE) == 0
            daemon.until(lambda status, before=before: status.healthy and status.generation != before)
            assert (daemon.status().workers[0].pid == worker) == (victim == "stand-in")
            flow = flows[n % len(flows)]
            assert flow.forth(LIVE_SECONDS) and flow.back(LIVE_SECONDS), f"broken by rewrite {n}"
        time.sleep(1.5)
        end = time.monotonic() - 1.2
        flood.stop()

        assert (flood.forbidden, flood.strange) == ([], []), "forbidden, or arrived twice or somewhere else"
        assert all(flow.forth(LIVE_SECONDS) and flow.back(LIVE_SECONDS) for flow in flows)
        lost = [name for name in flood.allowed(end) if name not in flood.arrived]
        assert len(lost) <= 4 * REWRITES, "more than the dead had read"
        assert len(flood.arrived) > 20 * REWRITES
        assert daemon.stop() == 0


def tell(capsys: pytest.CaptureFixture[str], workers: int, kills: list[Kill], flood: Flood) -> None:
    """The figures."""
    with capsys.disabled():
        print(
            f"\n{workers} workers, {len(kills)} kills under {len(flood.sent)} new flows, of which {len(flood.arrived)} "
            f"allowed ones arrived and {len(flood.forbidden)} forbidden ones"
        )
        for role, changing in product(WORST_SECONDS, (False, True)):
            those = (kill for kill in kills if (kill.role, kill.changing) == (role, changing))
            took = sorted(flood.working_again(kill.due) * 1000 for kill in those)
            if took:
                who, median = role + " while policy changes" * changing, took[len(took) // 2]
                print(
                    f"  {who}: {len(took)} times, new flows after {median:.0f} ms (median), {took[-1]:.0f} ms (worst)"
                )
