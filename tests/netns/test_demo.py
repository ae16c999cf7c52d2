"""`calicod demo` as a user runs it: what it says, how it ends, and that nothing of it stays, however it ends.

It runs in a namespace of the test's own, which stands for the host that must not be touched.
"""

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calicod.cli.demo.cases import examples
from calicod.cli.demo.lease import BASE
from calicod.cli.demo.space import NAMESPACES
from calicod.cli.demo.tour import PREFIX
from tests.netns.world import World, run

pytestmark = [pytest.mark.netns, pytest.mark.security, pytest.mark.slow]
DEMO = (sys.executable, "-c", "from calicod.cli.main import main; main()", "demo")
BETWEEN = "endpoint-to-host"
"""It says so at the end of case 8."""
WITHOUT_IPV6 = Path(__file__).parent / "without_ipv6.sh"
SECONDS = 40.0
STATE = (
    "ip -o link",
    "ip -o address",
    "ip route show table all",
    "iptables-save",
    "ip6tables-save",
    "iptables-legacy-save",
    "ip6tables-legacy-save",
    "sysctl net.netfilter.nf_conntrack_acct net.ipv4.ip_forward",
)
"""What the demo must leave as it was. Counters and dates are comments or brackets."""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    world = World("cdh-")
    try:
        yield world.add("host")
    finally:
        world.close()


def state(host: str) -> list[str]:
    said = (run("nsenter", f"--net={NAMESPACES / host}", *command.split(), check=False) for command in STATE)
    return [line for text in said for line in text.splitlines() if not line.startswith(("#", ":"))]


class Demo:
    """One run of it; `said` is all that it printed so far."""

    def __init__(self, host: str, *options: str, terminal: bool = False) -> None:
        self.terminal, ours = pty.openpty() if terminal else (None, subprocess.PIPE)
        self.process = subprocess.Popen(
            ["nsenter", f"--net={NAMESPACES / host}", *DEMO, *options],
            stdin=subprocess.DEVNULL if not terminal else ours,
            stdout=ours,
            stderr=ours if terminal else subprocess.STDOUT,
            start_new_session=not terminal,
            preexec_fn=as_session_of_its_own if terminal else None,  # noqa: PLW1509  tests have one thread
        )
        self.said = ""
        if terminal:
            os.close(ours)

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.process.pid}"

    def until(self, text: str) -> None:
        """Reads on until it says this."""
        descriptor = self.terminal if self.terminal is not None else self.process.stdout.fileno()
        while text not in self.said:
            data = os.read(descriptor, 1 << 16)
            assert data, f"it ended without saying {text!r}:\n{self.said}"
            self.said += data.decode()

    def end(self) -> int:
        """Its exit code, when it has ended by itself."""
        if self.process.stdout is not None:
            self.said += self.process.communicate(timeout=SECONDS)[0].decode()
        return self.process.wait(SECONDS)

    def processes(self) -> list[int]:
        """Everything that runs in its namespaces."""
        pids = (run("ip", "netns", "pids", name).split() for name in self.namespaces())
        return [int(pid) for found in pids for pid in found]

    def namespaces(self) -> list[str]:
        return [path.name for path in NAMESPACES.iterdir() if path.name.startswith(f"{self.name}-")]

    def left(self) -> list[str]:
        """What there is of it in the file system."""
        mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if f"{self.name}-" in line]
        return [*self.namespaces(), *mounts, *(path.name for path in BASE.glob(self.name))]


def as_session_of_its_own() -> None:
    """With the terminal on its stdin as its own, so that it is told when that is closed."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def start(host: str) -> Iterator[Callable[..., Demo]]:
    running: list[Demo] = []

    def begin(*options: str, terminal: bool = False) -> Demo:
        running.append(Demo(host, *options, terminal=terminal))
        return running[-1]

    yield begin
    for demo in running:
        if demo.process.poll() is None:
            demo.process.send_signal(signal.SIGTERM)
            demo.process.wait(SECONDS)


def dead(pids: list[int], seconds: float) -> bool:
    """Whether all of them end in time."""
    deadline = time.monotonic() + seconds
    while alive := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        if time.monotonic() > deadline:
            print([Path(f"/proc/{pid}/cmdline").read_text() for pid in alive if Path(f"/proc/{pid}").exists()])
            return False
        time.sleep(0.05)
    return True


def test_all_of_it_passes_within_a_minute_and_leaves_the_host_as_it_was(host: str, start: Callable[..., Demo]):
    before, began = state(host), time.monotonic()
    demo = start("--json")

    assert demo.end() == 0, demo.said
    assert time.monotonic() - began < 60
    told = json.loads(demo.said)
    assert told["ok"] is True
    assert [case["number"] for case in told["cases"]] == list(range(1, 10))
    assert not any(flow["differences"] for case in told["cases"] for flow in case["flows"])
    assert "Y017" in told["mistakes"]["10-mistyped"][0]
    assert state(host) == before
    assert demo.left() == []


def test_a_kernel_without_ipv6_is_told_and_the_rest_passes(host: str, tmp_path: Path):
    without = ["unshare", "--mount", "--propagation", "private", "sh", str(WITHOUT_IPV6), str(tmp_path)]
    command = ["nsenter", f"--net={NAMESPACES / host}", *without, *DEMO, "--case", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "note: IPv6 is not in this kernel" in done.stdout
    assert "15 connections" in done.stdout


def test_each_decision_is_told_with_its_rule_and_place(start: Callable[..., Demo]):
    demo = start("--case", "1")

    assert demo.end() == 0, demo.said
    assert "NetworkPolicy production/allow-tcp-6379 rule 0, policy.yaml:15\n    allowed  production/blue" in demo.said
    assert "refused  production/green → production/red   tcp 6379   green is not blue" in demo.said
    assert "22 connections" in demo.said


def test_it_invites_to_ask_why_a_connection_was_refused(start: Callable[..., Demo]):
    demo = start("--case", "4")

    assert demo.end() == 0, demo.said
    (explain,) = (line.split()[1:] for line in demo.said.splitlines() if "calicod explain " in line)
    assert "DENIED (rule)" in run(*DEMO[:3], *explain, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_at_once_and_nothing_stays(start: Callable[..., Demo], number: signal.Signals):
    demo = start("--case", "8", "--case", "9", "--pace", "60")
    demo.until(BETWEEN)
    pids = demo.processes()
    demo.process.send_signal(number)

    assert len(pids) >= 8
    assert demo.end() == 128 + number
    assert "Traceback" not in demo.said
    assert demo.left() == []
    assert dead(pids, 1.0)


def test_a_signal_while_it_builds_leaves_nothing(start: Callable[..., Demo]):
    demo = start("--case", "1")
    demo.until("calicod demo")
    demo.process.send_signal(signal.SIGINT)

    assert demo.end() == 128 + signal.SIGINT
    assert demo.left() == []


def test_ctrl_c_ends_it_and_more_of_it_does_not_disturb_the_tidying_up(start: Callable[..., Demo]):
    demo = start("--case", "8", "--pace", "60")
    demo.until(BETWEEN)
    pids = demo.processes()
    demo.process.send_signal(signal.SIGINT)
    while demo.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            demo.process.send_signal(signal.SIGINT)
        time.sleep(0.02)

    assert demo.process.returncode == 128 + signal.SIGINT
    assert demo.left() == []
    assert dead(pids, 1.0)


def test_a_terminal_that_is_closed_ends_it_and_nothing_stays(start: Callable[..., Demo]):
    demo = start("--case", "8", "--pace", "60", terminal=True)
    demo.until(BETWEEN)
    pids = demo.processes()
    os.close(demo.terminal)

    assert demo.end() != 0
    assert demo.left() == []
    assert dead(pids, 1.0)


def test_what_is_kept_stays_up_until_ctrl_c(start: Callable[..., Demo]):
    demo = start("--case", "8", "--keep")
    demo.until("-production-green")
    (socket,) = (line.split("=")[1] for line in demo.said.splitlines() if "CALICOD_SOCKET=" in line)
    status = run(*DEMO[:3], "status", "--json", "--socket", socket)
    demo.process.send_signal(signal.SIGINT)

    assert json.loads(status)["healthy"] is True
    assert demo.end() == 0
    assert demo.left() == []


def test_what_a_killed_one_leaves_ends_with_it_and_is_removed_by_the_next(start: Callable[..., Demo]):
    killed = start("--case", "8", "--pace", "60")
    killed.until(BETWEEN)
    pids = killed.processes()
    killed.process.kill()
    killed.process.wait()

    assert dead(pids, 5.0)
    assert killed.left() != []
    following = start("--case", "8")
    assert following.end() == 0, following.said
    assert killed.left() == following.left() == []


@pytest.mark.parametrize(("victim", "code"), [(" run --config ", 3), ("station.py", 4)])
def test_when_a_part_of_it_dies_it_says_so_and_nothing_stays(start: Callable[..., Demo], victim: str, code: int):
    demo = start("--case", "8", "--case", "9", "--pace", "3")
    demo.until(BETWEEN)
    pids = demo.processes()
    command = {pid: Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in pids}
    os.kill(min(pid for pid in pids if victim in command[pid]), signal.SIGKILL)

    assert demo.end() == code, demo.said
    assert "Traceback" not in demo.said
    assert demo.left() == []
    assert dead(pids, 5.0)


def test_an_outcome_that_differs_from_the_policy_is_shown_and_exit_1(start: Callable[..., Demo], tmp_path: Path):
    folder = tmp_path / "08-wrong"
    shutil.copytree(examples() / "08-host-endpoint-alone", folder)
    traffic = (folder / "traffic.jsonl").read_text().splitlines()[0]
    (folder / "traffic.jsonl").write_text(traffic.replace("allow", "deny"))
    demo = start("--examples", str(tmp_path))

    assert demo.end() == 1
    assert "DIFFERS client → node tcp 22 over IPv4: the packet arrived though it was to be refused" in demo.said
    assert "not all is as the policy says" in demo.said
    assert demo.left() == []
