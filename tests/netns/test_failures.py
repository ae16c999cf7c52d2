"""What goes wrong around the daemon (docs/design/failures.md): each is provoked, and nothing forbidden passes.

Processes that are killed are in test_kills.py and test_processes.py, broken policy and others' rules in test_daemon.py
and test_hostile.py, a sink that nobody reads in test_events.py.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from calicod.intercept.counters import read_counters
from tests.kernel import needs_kernel
from tests.netns.kept import freeze
from tests.netns.node import Node, UdpFlow, address, node
from tests.netns.rewriting import latencies, many, percentile, rewriting
from tests.netns.running import Running, running_in, wait_for
from tests.netns.test_daemon import ALLOW, TcpFlow, endpoints, flooding, switch
from tests.netns.world import inside

pytestmark = [pytest.mark.netns, pytest.mark.security]
CLOSED = "{action: Deny, protocol: UDP, destination: {ports: [4000]}}"
"""Everything is allowed but this port."""
ROOM = 8


@pytest.fixture(scope="module")
def router() -> Iterator[Node]:
    with node("cx-", "auto") as built:
        yield built


@contextlib.contextmanager
def started(router: Node, folder: Path, **options: object) -> Iterator[Running]:
    """A daemon under which only one port is closed, with nothing tracked."""
    with running_in(router, folder, options) as daemon:
        daemon.write(endpoints=endpoints(), switch=switch(CLOSED, ALLOW))
        daemon.start()
        router.forget()
        yield daemon


@contextlib.contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """These processes do not run."""
    for pid in pids:
        freeze(pid)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # replaced meanwhile
                os.kill(pid, signal.SIGCONT)


def passes(router: Node, port: int, family: int = 4) -> bool:
    """Whether a new datagram from outside reaches the workload."""
    with UdpFlow(router, "ext", "w1", family, port) as flow:
        return flow.forth(1.0 if port != 4000 else 0.15)


def waiting(router: Node) -> int:
    with inside(router.name):
        return sum(queue.waiting for queue in read_counters().values())


# Processes that stand still


def test_a_frozen_worker_is_told_and_lets_nothing_through_until_it_thaws_with_the_newest_policy(
    router: Node, tmp_path: Path
) -> None:
    with started(router, tmp_path) as daemon, UdpFlow(router, "ext", "w1", 4, 4010) as live:
        assert live.trips(1)
        (worker,) = daemon.status().workers
        with frozen(worker.pid):
            assert live.trips(3)
            daemon.write(switch=switch("{action: Deny, protocol: UDP, destination: {ports: [4011]}}", ALLOW))
            with UdpFlow(router, "ext", "w1", 4, 4011) as refused, UdpFlow(router, "ext", "w1", 4, 4012) as late:
                assert not refused.forth()
                assert not late.forth()
                status = daemon.until(lambda status: any("does not answer" in why for why in status.reasons))
                assert status.state == "degraded"
                os.kill(worker.pid, signal.SIGCONT)
                late.server.settimeout(3.0)
                assert late.server.recv(10) == b"forth", "what waited is judged when it thaws"
                assert not refused.forth(0.3)
        daemon.until(lambda status: status.healthy)
        assert live.trips(1)


@pytest.mark.parametrize("mode", ["closed", "open"])
def test_a_full_queue_refuses_or_passes_what_finds_no_room_and_tells_it(
    router: Node, tmp_path: Path, mode: str
) -> None:
    with (
        started(router, tmp_path, queue_length=ROOM, failure_mode=mode) as daemon,
        router.world.socket(router.space("w1"), socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        server.bind(("", 4000))
        server.settimeout(0.3)
        (worker,) = daemon.status().workers
        with frozen(worker.pid), contextlib.ExitStack() as stack:
            for number in range(2 * ROOM):
                sender = router.world.socket(router.space("ext"), socket.AF_INET, socket.SOCK_DGRAM)
                stack.enter_context(sender).sendto(b"%d" % number, (address("w1", 4), 4000))
            found = []
            with contextlib.suppress(TimeoutError):
                while True:
                    found.append(int(server.recv(10)))
            assert found == (list(range(ROOM, 2 * ROOM)) if mode == "open" else [])
            assert waiting(router) == ROOM
        with pytest.raises(TimeoutError):
            server.recv(10)
        dropped = [event for event in daemon.events("queue.dropped") if event["reason"] == "queue-full"]
        if mode == "closed":
            dropped = daemon.told("queue.dropped")
        assert sum(event["count"] for event in dropped) == (ROOM if mode == "closed" else 0)


# Where events go


def test_a_full_disk_loses_events_and_no_verdict_and_says_so_when_there_is_room(router: Node, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    sink = {"type": "file", "path": str(small / "events.jsonl")}
    with running_in(router, tmp_path, {"events": [sink]}) as daemon:
        mount = f'mount -t tmpfs -o size=16k,mode=755 tmpfs {small} && exec "$0" "$@"'
        daemon.wrapper = ("sh", "-c", mount)
        daemon.write(endpoints=endpoints(), switch=switch(CLOSED, ALLOW))
        daemon.start()
        router.forget()
        assert daemon.process is not None
        daemon.events_file = Path(f"/proc/{daemon.process.pid}/root{small}/events.jsonl")
        for number in range(60):
            assert passes(router, 4100 + number)
        assert not passes(router, 4000)
        status = daemon.until(lambda status: status.events_lost > 0)
        assert status.healthy
        daemon.events_file.rename(daemon.events_file.with_name("full"))
        daemon.events_file.with_name("full").unlink()
        assert passes(router, 4200)
        lost = daemon.told("events.lost")
        assert lost[-1]["count"] > 0
        wait_for(lambda: any(event.get("dst_port") == 4200 for event in daemon.events("connection.allowed")))


# Others on this host


def test_a_foreign_table_that_is_deleted_costs_what_waits_and_opens_nothing(router: Node, tmp_path: Path) -> None:
    nft = ("nft", "-f", "-")
    chain = "table ip foreign { chain in { type filter hook forward priority 10; policy accept; }; }"
    with started(router, tmp_path) as daemon, UdpFlow(router, "ext", "w1", 4, 4020) as live:
        assert live.trips(1)
        router.world.run(router.name, *nft, text=chain)
        (worker,) = daemon.status().workers
        with UdpFlow(router, "ext", "w1", 4, 4021) as late:
            with frozen(worker.pid):
                assert not late.forth()
                router.world.run(router.name, "nft", "delete", "table", "ip", "foreign")
            assert late.forth(2.0), "its next packet is judged"
        assert not passes(router, 4000)
        assert live.trips(1)
        daemon.until(lambda status: status.healthy)


@pytest.mark.parametrize("table", ["filter", "mangle", "raw"])
def test_our_rules_in_a_table_that_another_program_deletes_are_put_back(
    router: Node, tmp_path: Path, table: str
) -> None:
    needs_kernel("iptables-nft")
    with started(router, tmp_path, steering="iptables-nft") as daemon:
        for family in ("ip", "ip6"):
            router.world.run(router.name, "nft", "delete", "table", family, table)
        daemon.told("steering.reset")
        wait_for(lambda: "calicod-" in router.world.run(router.name, "iptables-nft-save", "-t", table))
        daemon.until(lambda status: status.healthy)
        assert not passes(router, 4000)
        assert not passes(router, 4000, family=6)
        assert passes(router, 4030)


# Interfaces


def test_an_interface_that_flaps_is_judged_whenever_it_is_there(router: Node, tmp_path: Path) -> None:
    batch = "".join(f"link set cali1 {state}\n" for state in ("down", "up") * 10)
    neighbour = f"neigh replace {address('w1', 4)} lladdr {mac(router)} dev cali1 nud permanent\n"
    with started(router, tmp_path) as daemon, UdpFlow(router, "ext", "w1", 4, 4000) as refused:
        with flooding(refused.client):
            for _ in range(3):
                router.world.run(router.name, "ip", "-batch", "-", text=batch + neighbour)
                refused.server.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    refused.server.recv(10)
        daemon.until(lambda status: status.healthy)
        wait_for(lambda: passes(router, 4040))
        assert not passes(router, 4000)


def mac(router: Node) -> str:
    with inside(router.space("w1")), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        return str(raw.getsockname()[4].hex(":"))


def test_an_interface_that_is_renamed_is_judged_by_its_new_name(router: Node, tmp_path: Path) -> None:
    with started(router, tmp_path) as daemon:
        assert passes(router, 4050)
        rename(router, "cali1", "caliother")
        try:
            daemon.told("endpoint.down")
            daemon.until(lambda status: status.healthy)
            assert not passes(router, 4051), "an unknown workload"
        finally:
            rename(router, "caliother", "cali1")
        wait_for(lambda: passes(router, 4052))
        assert not passes(router, 4000)


def rename(router: Node, old: str, new: str) -> None:
    """The routes and addresses stay: the interface is up all the while."""
    router.world.run(router.name, "ip", "link", "set", old, "name", new)


# Time

CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, now);
    if (clock == CLOCK_REALTIME) {
        FILE *file = fopen(OFFSET, "r");
        long seconds = 0;
        if (file) { if (fscanf(file, "%ld", &seconds) == 1) now->tv_sec += seconds; fclose(file); }
    }
    return done;
}
"""


def test_a_clock_that_jumps_changes_no_verdict_and_is_in_the_times_of_events(router: Node, tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    assert compiler, "gcc is not installed: run `scripts/setup test`"
    offset, library = tmp_path / "offset", tmp_path / "clock.so"
    (tmp_path / "clock.c").write_text(CLOCK)
    words = ("-shared", "-fPIC", f'-DOFFSET="{offset}"', str(tmp_path / "clock.c"), "-o", str(library), "-ldl")
    subprocess.run([compiler, *words], check=True, capture_output=True)
    offset.write_text("0")
    with running_in(router, tmp_path) as daemon, contextlib.ExitStack() as stack:
        daemon.wrapper = ("env", f"LD_PRELOAD={library}")
        daemon.write(endpoints=endpoints(), switch=switch(CLOSED, ALLOW))
        daemon.start()
        router.forget()
        live = stack.enter_context(TcpFlow(router, "ext", "w1", 4, 4060))
        for number, seconds in enumerate((86_400 * 400, -86_400 * 400, 0)):
            offset.write_text(str(seconds))
            assert live.forth(1.0) and live.back(1.0)
            assert passes(router, 4061 + number)
            assert not passes(router, 4000)
            daemon.write(switch=switch(CLOSED, f"{{action: Allow, protocol: UDP, notProtocol: {number + 40}}}", ALLOW))
            assert daemon.reload().error == ""
            wait_for(lambda port=4061 + number: any(e["dst_port"] == port for e in daemon.events("connection.allowed")))
        daemon.until(lambda status: status.healthy)
        events = {event["dst_port"]: event["time"][:4] for event in daemon.events("connection.allowed")}
    assert events[4061] > events[4063] > events[4062]


# Generations


def test_when_generations_wrap_round_an_old_flow_is_judged_like_any_other(router: Node, tmp_path: Path) -> None:
    """The narrowest mask has 5 bits for the generation: the 32nd policy has the number of the first again."""
    with (
        started(router, tmp_path, connection_mark_mask=0x3FFF) as daemon,
        UdpFlow(router, "ext", "w1", 4, 4070) as refused,
        UdpFlow(router, "ext", "w1", 4, 4071) as allowed,
    ):
        assert refused.trips(1) and allowed.trips(1)
        begun = daemon.status().generation
        for number in range(31):
            rules = (f"{{action: Allow, protocol: TCP, destination: {{ports: [{number + 1}]}}}}", CLOSED, ALLOW)
            if number == 30:
                rules = (rules[0], "{action: Deny, protocol: UDP, destination: {ports: [4070]}}", ALLOW)
            daemon.write(switch=switch(*rules))
            assert daemon.reload().error == ""
        assert daemon.status().generation == begun, "it has come round"
        assert not refused.forth()
        assert not refused.back()
        assert allowed.trips(2)


# Too many changes


@pytest.mark.slow
def test_ten_thousand_policies_rewritten_each_second_hold_up_no_verdict_and_the_newest_wins(
    router: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with started(router, tmp_path) as daemon:
        rest = percentile(latencies(router, 2.0), 0.99)
        before = daemon.status().revision
        with rewriting(daemon, 5.0) as written:
            busy, count = percentile(latencies(router, 5.0), 0.99), written()
        daemon.write(many=many(0))
        assert daemon.reload().error == ""
        applied = daemon.status().revision - before
        with capsys.disabled():
            print(
                f"\n{count} times 10,000 policies, {applied} changes in force; "
                f"new flows take {rest * 1000:.2f} ms (p99) at rest, {busy * 1000:.2f} ms meanwhile"
            )
        assert applied <= count + 1, "changes that come together are one"
        assert not passes(router, 4080), "the newest is in force"
        assert busy < max(1.0, 20 * rest), "far from twice as at rest, even for a busy machine"
