"""calicod as a unit on a kernel of its own, before and after a reboot: run in the machine of `scripts/test-vm`.

Law: each check is a line that begins with `ok` or `FAILED`; a check that fails stops no other, and whatever happens the
machine goes on to its end. Nothing is faked: real unit, real kernel, packets between real namespaces.

    python -m tests.vm.inside [--unit]

`--unit`: the unit is tried, and a reboot; else only the tests. Which ones is in the file `runs`: pytest's arguments, a
line for each run of it.
"""

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tests.netns.patience import seconds
from tests.netns.world import World, inside, run

RUNS = Path(__file__).with_name("runs")
PHASE = Path("/var/lib/calicod-vm")
CONFIG = Path("/etc/calicod/calicod.yaml")
POLICY = Path("/etc/calicod/policies.d/vm.yaml")
EVENTS = Path("/var/log/calicod/events.jsonl")
WAYS = ("iptables-legacy", "iptables-nft", "nft")
TABLE = ("nft", "list", "table", "inet", "calicod")
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
PATIENCE = 150.0
ALLOWED, REFUSED = 8000, 8001
HOST = {4: "10.66.1.1", 6: "fd66:1::1"}
PEER = {4: "10.66.1.2", 6: "fd66:1::2"}
WORK = {4: "10.66.2.2", 6: "fd66:2::2"}
GATE = {4: "10.66.2.1", 6: "fd66:2::1"}
LENGTHS = {4: 24, 6: 64}
LOG = Path("/dev/ttyS2")
MOST_LINES = 100
RESOURCES = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: outside, labels: {role: judged}}
spec: {node: vm, interfaceName: wan0}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: vm-k8s-work-eth0, namespace: prod, labels: {role: judged}}
spec:
  {orchestrator: k8s, node: vm, pod: work, workload: work, endpoint: eth0, interfaceName: cali1,
  ipNetworks: [10.66.2.2, "fd66:2::2"]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: web}
spec:
  selector: role == 'judged'
  types: [Ingress, Egress]
  ingress: [{action: Allow, protocol: TCP, destination: {ports: [8000]}}, {action: Allow, protocol: ICMPv6}]
  egress: [{action: Allow}]
"""


class Checks:
    """Counts what was checked, also over the reboot."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, name: str, body: Callable[[], object]) -> None:
        """Runs one and tells what became of it; it passes unless it raises or returns False. A text is told."""
        begun = time.monotonic()
        found: object = None
        try:
            found = body()
            good, why = found is not False, "it does not hold"
        except Exception as failure:  # noqa: BLE001  the machine goes on
            shown = traceback.format_exc().splitlines()
            good, why = False, f"{type(failure).__name__}: {failure}\n    " + "\n    ".join(shown[-12:])
        self.passed += good
        self.failed += not good
        took = time.monotonic() - begun
        name += f": {found}" if isinstance(found, str) else ""
        print(f"ok     {took:5.1f} s  {name}" if good else f"FAILED {took:5.1f} s  {name}: {why}", flush=True)


def command(*words: str) -> str:
    """What an operator runs; an emulated machine takes its time."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode:
        raise AssertionError(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def systemctl(*words: str) -> None:
    command("systemctl", *words)


@contextlib.contextmanager
def surroundings() -> Iterator[World]:
    """A host beyond a managed NIC, and a workload; this machine routes between them."""
    made = World("vm-")
    peer, work = made.add("peer"), made.add("work")
    for mine, space, here, there in (("wan0", peer, HOST, PEER), ("cali1", work, GATE, WORK)):
        run("ip", "link", "add", mine, "type", "veth", "peer", "name", "eth0", "netns", space)
        for family, length in LENGTHS.items():
            quick = ("nodad",) if family == 6 else ()
            run("ip", "address", "add", f"{here[family]}/{length}", "dev", mine, *quick)
            made.address(space, "eth0", f"{there[family]}/{length}")
        run("ip", "link", "set", mine, "up")
        run("ip", "-n", space, "link", "set", "eth0", "up")
        for family in FAMILIES:
            made.route(space, "default", "via", here[family])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def serving(*namespaces: str) -> Iterator[None]:
    """Servers of both families on both ports, in this namespace and in those named."""
    ended = threading.Event()
    listeners = []
    for namespace in ("", *namespaces):
        with inside(namespace) if namespace else contextlib.nullcontext():
            for port in (ALLOWED, REFUSED):
                listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
                listener.settimeout(0.2)
                listeners.append(listener)

    def answer(listener: socket.socket) -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                accepted, _ = listener.accept()
                accepted.sendall(b"here")
                accepted.close()

    threads = [threading.Thread(target=answer, args=(listener,)) for listener in listeners]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        for listener in listeners:
            listener.close()


def reaches(world: World, target: str, port: int, patience: float) -> bool:
    """Whether the host outside gets an answer."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with world.socket("vm-peer", family, socket.SOCK_STREAM) as calling:
        calling.settimeout(patience)
        try:
            calling.connect((target, port))
            return calling.recv(10) == b"here"
        except OSError:
            return False


def reached(world: World, targets: list[str], port: int, patience: float) -> list[str]:
    """Which of them give an answer; all are called at the same time."""
    with ThreadPoolExecutor(len(targets)) as calls:
        answers = calls.map(lambda target: reaches(world, target, port, patience), targets)
    return [target for target, answered in zip(targets, answers, strict=True) if answered]


def judged(world: World) -> None:
    """Policy holds for both families, towards the host and through it."""
    targets = [target[family] for target in (HOST, WORK) for family in FAMILIES]
    assert reached(world, targets, ALLOWED, 10) == targets
    assert reached(world, targets, REFUSED, 1) == []


def told(since: int) -> None:
    """Events of both verdicts and both families were written."""
    wanted = {(event, family) for event in ("connection.allowed", "connection.denied") for family in (4, 6)}
    deadline = time.monotonic() + 30
    found: set[tuple[str, int]] = set()
    while not wanted <= found:
        assert time.monotonic() < deadline, f"only {sorted(found)} were told"
        time.sleep(0.3)
        events = [json.loads(line) for line in EVENTS.read_text()[since:].splitlines()]
        found = {(e["event"], 6 if ":" in e.get("src_ip", "") else 4) for e in events}


def healthy(way: str) -> None:
    """The daemon enforces, in this way and no other."""
    status = json.loads(command("calicod", "status", "--wait", "100", "--json"))
    assert status["steering"] == way, status
    assert ("table inet calicod" in run(*TABLE, check=False)) == (way == "nft")
    for variant in ("nft", "legacy"):
        shown = run(f"iptables-{variant}-save") + run(f"ip6tables-{variant}-save")
        assert ("calicod-" in shown) == (way == f"iptables-{variant}"), f"{way}: {shown}"


def steered(checks: Checks, world: World, way: str) -> None:
    """One way of steering: the unit restarted with it, traffic, events."""
    CONFIG.write_text(f"node_name: vm\nsteering: {way}\n")
    since = len(EVENTS.read_text()) if EVENTS.exists() else 0
    checks.check(f"{way}: the unit starts", lambda: systemctl("restart", "calicod"))
    checks.check(f"{way}: healthy, and no rules of another way are left", lambda: healthy(way))
    checks.check(
        f"{way}: allowed arrives and refused does not, IPv4 and IPv6, host and workload", lambda: judged(world)
    )
    checks.check(f"{way}: both verdicts are told", lambda: told(since))


def before(checks: Checks) -> None:
    """From an installation that nobody has enabled to a host that goes down with policy in force."""
    print(f"       kernel {os.uname().release}, {run('nft', '--version').split('(')[0].strip()}", flush=True)
    POLICY.write_text(RESOURCES)
    with surroundings() as world, serving("vm-work"):
        checks.check(
            "before it runs everything arrives",
            lambda: all(reaches(world, HOST[family], REFUSED, 10) for family in FAMILIES),
        )
        checks.check("the units are enabled", lambda: systemctl("enable", "calicod", "calicod-boot"))
        for way in WAYS:
            steered(checks, world, way)
        checks.check("another program's flush is mended and told", lambda: mended(world))
    tested(checks)


def mended(world: World) -> None:
    """`nft flush ruleset` is repaired and told."""
    since = len(EVENTS.read_text())
    run("nft", "flush", "ruleset")
    deadline = time.monotonic() + 60
    while "steering.reset" not in EVENTS.read_text()[since:]:
        assert time.monotonic() < deadline, "it was not told"
        time.sleep(0.2)
    judged(world)


def tested(checks: Checks) -> None:
    """Each run of the tests that was ordered."""
    for line in RUNS.read_text().splitlines():
        checks.check(line, partial(pytest, shlex.split(line)))


def pytest(arguments: list[str]) -> str:
    """How many passed and how many were skipped; raises if one failed. Each is told to `LOG` when it is over."""
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--timeout={seconds(120)}", "--tb=short"]
    words += ["-o", "addopts=-v -ra --strict-markers", "--durations=10", *arguments]
    lines = []
    told: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with LOG.open("w") as log, subprocess.Popen(words, env={**os.environ, "CI": "true"}, **told) as done:
        assert done.stdout is not None
        for line in done.stdout:
            print(line, end="", file=log, flush=True)
            lines.append(line.rstrip())
    last = lines[-1].strip("= ") if lines else "it said nothing"
    if done.returncode:
        raise AssertionError("\n".join((last, *lines[-MOST_LINES:])))
    return last


def after(checks: Checks) -> None:
    """The host has booted by itself, with whatever systemd started."""
    checks.check("after the reboot: rules were there before the daemon", boot_protection)
    checks.check("after the reboot: healthy, nft", lambda: healthy("nft"))
    since = len(EVENTS.read_text())
    with surroundings() as world, serving("vm-work"):
        checks.check("after the reboot: policy holds at once", lambda: judged(world))
        checks.check("after the reboot: both verdicts are told", lambda: told(since))
        checks.check("stopped, it stays closed", lambda: stopped(world))
        checks.check("torn down, no trace is left and everything arrives", lambda: torn_down(world))


def boot_protection() -> None:
    log = run("journalctl", "--boot", "--unit", "calicod-boot", "--output", "cat")
    assert "IPv4, IPv6: closed but for failsafe ports" in log, log


def stopped(world: World) -> None:
    systemctl("stop", "calicod")
    assert [reached(world, list(HOST.values()), port, 1) for port in (ALLOWED, REFUSED)] == [[], []]


def torn_down(world: World) -> None:
    command("calicod", "teardown")
    assert "calicod" not in run("nft", "list", "ruleset")
    assert all(reaches(world, HOST[family], REFUSED, 10) for family in FAMILIES)


def main() -> None:
    """One phase; then a reboot, or the result and the end."""
    checks = Checks()
    if "--unit" not in sys.argv:
        tested(checks)
        end(checks)
        return
    if not PHASE.exists():
        before(checks)
        PHASE.write_text(json.dumps([checks.passed, checks.failed]))
        os.sync()
        systemctl("reboot")
        return
    checks.passed, checks.failed = json.loads(PHASE.read_text())
    after(checks)
    end(checks)


def end(checks: Checks) -> None:
    """The result, and the machine goes off."""
    print(f"result {checks.passed} passed, {checks.failed} failed", flush=True)
    os.sync()
    systemctl("poweroff")


if __name__ == "__main__":
    main()
