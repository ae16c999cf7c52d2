"""TCP connections that policy allows often: the kernel allows them alone, and each is told (ADR 0025)."""

import contextlib
import json
import os
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Self

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from calicod.daemon.kernelmemory import BUSY
from calicod.daemon.state import Status
from tests.netns.node import FAMILIES, Node, address, node, tcp
from tests.netns.patience import seconds
from tests.netns.running import Running, running_in, wait_for
from tests.netns.stages import policy, rule
from tests.netns.test_daemon import ALLOW, TcpFlow, endpoints, switch
from tests.netns.test_hostile import send
from tests.netns.twofold import shown_in, twofold
from tests.netns.variants import IPTABLES, needs_variant

pytestmark = [pytest.mark.netns, pytest.mark.security]
LONG = 120.0
LOOKS = 3
"""So many seconds in which they came often enough show that it is for another reason that nothing is remembered."""
SYN = 2
PAUSE = 0.001
"""Seconds between two connections: some hundred a second."""
PATHS = [("ext", "w1", 4), ("ext", "w1", 6), ("ext", "node", 4), ("ext", "node", 6)]
RESET = struct.pack("@ii", 1, 0)
"""SO_LINGER by which closing leaves no TIME-WAIT behind: ports come round again."""
FIRST, LAST = 10_000, 60_000
"""Source ports of the callers: each one is used once, so that an event is known by it."""
SAME: tuple[str, ...] = (
    "flow_id",
    "src_ip",
    "src_port",
    "dst_ip",
    "dst_port",
    "policy",
    "reporter",
    "hook",
    "reason",
    "src",
    "dst",
)
SAME += ("in_interface", "out_interface", "protocol", "verdict", "revision")
ALIKE = tuple(key for key in SAME if key not in {"flow_id", "src_port"})


@pytest.fixture(scope="module", params=IPTABLES)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    needs_variant(request.param)
    with node("cd-k", request.param) as router, running_in(router, tmp_path_factory.mktemp("allow")) as running:
        running.write(endpoints=endpoints(), switch=switch(ALLOW))
        running.start()
        yield running


@pytest.fixture
def daemon(shared: Running) -> Running:
    """Runs, everything allowed, nothing tracked or remembered."""
    if shared.process is None or shared.process.poll() is not None:
        shared.write(endpoints=endpoints(), switch=switch(ALLOW))
        shared.start()
    for rules in ((ALLOW, ALLOW), (ALLOW,)):  # another policy than before, so nothing of before is remembered
        shared.write(endpoints=endpoints(), switch=switch(*rules))
        assert shared.reload().error == ""
    assert remembered(shared, 4) + remembered(shared, 6) == []
    shared.router.forget()
    os.truncate(shared.events_file, 0)  # or it would be rotated among thousands of connections
    return shared


class Calls:
    """Connections without a pause from a host to one port. `made`: by source port, those that came about.

    `callers`: how many wait for an answer at a time. `refused`: those that did not, with the time when they began.
    """

    def __init__(self, at: Node, client: str, server: str, family: int, port: int, callers: int = 1) -> None:
        self.made: list[int] = []
        self.refused: list[tuple[int, float]] = []
        self._listener = at.world.socket(at.space(server), FAMILIES[family], socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("", port))
        self._listener.listen(4096)
        self._to = (at.peer(client, server, family), port)
        self._call: Callable[[], socket.socket] = lambda: at.world.socket(
            at.space(client), FAMILIES[family], socket.SOCK_STREAM
        )
        self._over = threading.Event()
        going = (threading.Thread(target=self._go, args=(range(FIRST + n, LAST, callers),)) for n in range(callers))
        self._threads = [threading.Thread(target=self._accept), *going]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._listener.close()

    def end(self) -> None:
        """No more of them."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def goes_on(self, count: int = 50) -> None:
        """Waits for so many more."""
        before = len(self.made)
        wait_for(lambda: len(self.made) >= before + count, LONG)

    def _accept(self) -> None:
        self._listener.settimeout(0.2)
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                self._listener.accept()[0].close()

    def _go(self, sources: range) -> None:
        for port in sources:
            if self._over.is_set():
                return
            began = time.monotonic()
            time.sleep(PAUSE)
            with self._call() as calling:
                calling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                calling.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                calling.bind(("", port))
                try:
                    calling.connect(self._to)
                except OSError:
                    self.refused.append((port, began))
                else:
                    self.made.append(port)


def remembered(daemon: Running, family: int) -> list[str]:
    """The rules by which the kernel allows alone."""
    names = ("calicod-allowed", "calicod-in-allowed")
    return [line for name in names for line in daemon.router.rules(family, name) if line.endswith("-tell")]


def concerns(rule: str, target: str) -> bool:
    """Whether it is for that address, in the words of iptables or of nft."""
    return f"-d {target}/" in rule or f"daddr {target} " in rule


def about(daemon: Running, port: int) -> list[dict[str, Any]]:
    """What was told of connections to this port."""
    with daemon.events_file.open() as lines:
        return [json.loads(line) for line in lines if f'"dst_port":{port},' in line and line.endswith("}\n")]


def ports(daemon: Running, port: int, name: str) -> Counter[object]:
    """How often connections to this port were told so, by their source port."""
    return Counter(event["src_port"] for event in about(daemon, port) if event["event"] == name)


def replaced(pid: int, status: Status) -> bool:
    """Whether another supervisor is well."""
    return status.healthy and status.supervisor_pid != pid


def lost(daemon: Running) -> int:
    """Events that were told as lost."""
    return sum(int(str(event["count"])) for event in daemon.events("events.lost"))


@pytest.mark.parametrize(("client", "server", "family"), PATHS)
def test_the_kernel_allows_what_comes_often_alone_and_each_connection_is_told_once(
    daemon: Running, client: str, server: str, family: int
) -> None:
    port = 6000 + PATHS.index((client, server, family))
    with Calls(daemon.router, client, server, family, port) as calls:
        wait_for(lambda: remembered(daemon, family) != [], LONG)
        (line,) = remembered(daemon, family)
        judged = sum(worker.judged for worker in daemon.status().workers)
        calls.goes_on(1000)
        assert calls.refused == []
    assert concerns(line, daemon.router.peer(client, server, family))
    assert f"dport {port} " in line

    wait_for(lambda: len(ports(daemon, port, "connection.allowed")) >= len(calls.made), LONG)
    daemon.router.forget()
    wait_for(lambda: len(ports(daemon, port, "connection.closed")) >= len(calls.made), LONG)
    expected = Counter(calls.made)
    assert ports(daemon, port, "connection.allowed") == expected
    assert ports(daemon, port, "connection.closed") == expected
    told = about(daemon, port)
    assert {event["event"] for event in told} == {"connection.allowed", "connection.closed"}
    alike = {json.dumps([event[key] for key in ALIKE]) for event in told}
    assert len(alike) == 1
    ends = {event["src_port"]: event for event in told if event["event"] == "connection.closed"}
    begun = [event for event in told if event["event"] == "connection.allowed"]
    assert [e for e in begun if [e[k] for k in SAME] != [ends[e["src_port"]][k] for k in SAME]] == []
    assert len({event["flow_id"] for event in begun}) == len(calls.made)
    assert begun[0]["policy"] is not None
    time.sleep(1.2)  # counters are told each second
    assert sum(worker.judged for worker in daemon.status().workers) < judged + 1000


@pytest.mark.parametrize(("client", "server", "family"), PATHS)
def test_another_policy_refuses_the_very_next_connection_and_cuts_those_that_live(
    daemon: Running, client: str, server: str, family: int
) -> None:
    port, router = 6100 + PATHS.index((client, server, family)), daemon.router
    begun = len(daemon.events())
    with Calls(router, client, server, family, port) as calls:
        wait_for(lambda: remembered(daemon, family) != [], LONG)
        calls.goes_on(10)
        calls.end()
    with TcpFlow(router, client, server, family, port) as live:
        assert live.forth(4.0)
        assert live.back(4.0)
        _, source = live.client.getsockname()[:2]
        assert remembered(daemon, family) != []
        daemon.write(switch=switch(f"{{action: Deny, protocol: TCP, destination: {{ports: [{port}]}}}}", ALLOW))
        assert daemon.reload().error == ""
        assert not tcp(router, client, server, family, port, 0.3)
        assert remembered(daemon, family) == []
        assert not live.forth()
        assert not live.back()
        wait_for(lambda: ports(daemon, port, "connection.cut")[source] == 1)
    (cut,) = [e for e in about(daemon, port) if e["event"] == "connection.cut" and e["src_port"] == source]
    assert cut["old_policy"] is not None
    assert cut["old_policy"]["name"] == "switch"
    allowed = [e for e in daemon.events()[begun:] if e["event"] == "connection.allowed" and e["dst_port"] == port]
    assert [e["flow_id"] for e in allowed if e["src_port"] == source] == [cut["flow_id"]]
    wait_for(lambda: len(ports(daemon, port, "connection.denied")) >= 1)


def test_a_connection_that_begins_while_policy_changes_is_refused_from_the_answer_on(daemon: Running) -> None:
    """Not only when the callers rest: none that began after the reload was answered comes about."""
    port, denied = 6150, "{action: Deny, protocol: TCP, destination: {ports: [6150]}}"
    with Calls(daemon.router, "ext", "w1", 4, port) as calls:
        wait_for(lambda: remembered(daemon, 4) != [], LONG)
        daemon.write(switch=switch(denied, ALLOW))
        assert daemon.reload().error == ""
        made = len(calls.made)
        time.sleep(1.0)
        assert len(calls.made) <= made + 1  # one may have had its SYN answered before
        daemon.write(switch=switch(ALLOW))
        daemon.reload()
        wait_for(lambda: len(calls.made) > made + 1, LONG)


@pytest.mark.parametrize("lacking", ["nothing", "Log rule", "source ports", "preDNAT"])
def test_nothing_is_remembered_that_must_be_logged_or_that_policy_tells_apart(daemon: Running, lacking: str) -> None:
    port = 6200 + len(lacking)
    early = policy("early", preDNAT=True, applyOnForward=True, order=1, types=["Ingress"], ingress=[rule("Allow")])
    texts = {
        "nothing": switch(ALLOW),
        "Log rule": switch("{action: Log, protocol: TCP}", ALLOW),
        "source ports": switch("{action: Deny, protocol: TCP, source: {ports: [1]}}", ALLOW),
        "preDNAT": f"{switch(ALLOW)}---{early}",
    }
    daemon.write(switch=texts[lacking])
    assert daemon.reload().error == ""
    often, deadline = 0, time.monotonic() + LONG
    with Calls(daemon.router, "ext", "w1", 4, port, callers=8) as calls:
        while not remembered(daemon, 4) if lacking == "nothing" else often < LOOKS:
            assert time.monotonic() < deadline, "they did not come often: nothing is proved"
            made = len(calls.made)
            time.sleep(1.0)
            often += len(calls.made) - made >= BUSY * 5 // 4  # the daemon's seconds begin at other moments
        assert (remembered(daemon, 4) != []) == (lacking == "nothing")


def test_what_was_learned_of_the_host_is_no_word_for_a_workload_that_has_its_address(daemon: Running) -> None:
    """TPROXY in reverse: for one mark the host takes what it else forwards; the same ends, another judge."""
    router, port = daemon.router, 6300
    target = address("w1", 4)
    away = f"{{action: Deny, protocol: TCP, destination: {{ports: [{port}]}}}}"
    spec = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {{name: {0}}}\nspec:\n"
    spec += '  {{order: {1}, selector: "{2}", types: [Ingress], ingress: [{3}]}}\n---\n'
    daemon.write(switch=spec.format("work", 0, "role == 'work'", f"{away}, {ALLOW}") + switch(ALLOW))
    assert daemon.reload().error == ""
    world, name = router.world, router.name
    world.run(name, "ip", "address", "add", f"{target}/32", "dev", "lo")
    try:
        wait_for(lambda: daemon.status().healthy)
        with Aimed(router, target, port):
            wait_for(lambda: any(concerns(line, target) for line in remembered(daemon, 4)), LONG)
            # from now on the same address is beyond an interface, for whoever may look there first
            world.run(name, "ip", "rule", "add", "pref", "0", "to", target, "lookup", "77")
            world.run(name, "ip", "route", "add", f"{target}/32", "dev", "cali1", "table", "77")
            world.run(name, "ip", "rule", "del", "pref", "0", "lookup", "local")
            world.run(name, "ip", "rule", "add", "pref", "10", "lookup", "local")
            assert any(concerns(line, target) for line in remembered(daemon, 4))
            assert not tcp(router, "ext", "w1", 4, port, 0.5)
            assert any(concerns(line, target) for line in remembered(daemon, 4))
    finally:
        for words in (("rule", "add", "pref", "0", "lookup", "local"), ("rule", "del", "pref", "10")):
            world.run(name, "ip", *words, check=False)
        world.run(name, "ip", "rule", "del", "to", target, "lookup", "77", check=False)
        world.run(name, "ip", "route", "flush", "table", "77", check=False)
        world.run(name, "ip", "address", "del", f"{target}/32", "dev", "lo", check=False)


class Aimed(Calls):
    """Calls from `ext` to an address that is the router's for now."""

    def __init__(self, at: Node, target: str, port: int) -> None:
        super().__init__(at, "ext", "node", 4, port)
        self._to = (target, port)


def test_a_packet_that_linux_reads_in_another_way_opens_no_other_port_by_what_is_remembered(daemon: Running) -> None:
    router, port, hidden = daemon.router, 8080, 6666
    source, target = address("ext", 6), address("ext", 6, node=True)
    daemon.write(switch=switch(f"{{action: Deny, protocol: TCP, destination: {{ports: [{hidden}]}}}}", ALLOW))
    daemon.reload()
    packet = twofold(source, target, "tcp", port, hidden, b"hidden")
    with (
        Calls(router, "ext", "node", 6, port),
        router.world.socket(router.name, socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_TCP) as ear,
    ):
        wait_for(lambda: remembered(daemon, 6) != [], LONG)
        ear.settimeout(0.3)
        for sent in (packet, IPv6(src=source, dst=target) / shown_in(packet), packet):
            send(router, "ext", sent)
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                data = ear.recv(4096)
                assert not (int.from_bytes(data[2:4]) == hidden and data.endswith(b"hidden"))
        assert remembered(daemon, 6) != []


def test_a_spoofed_source_and_another_interface_are_judged_as_ever(daemon: Running) -> None:
    """`w2` calls in the name of `ext`, and `ext` itself a moment later: only the latter is remembered."""
    router, port = daemon.router, 6400
    with Calls(router, "ext", "w1", 4, port):
        wait_for(lambda: remembered(daemon, 4) != [], LONG)
        (line,) = remembered(daemon, 4)
        assert "-i eth0 " in line or 'iifname "eth0" ' in line
        assert "-o cali1 " in line or 'oifname "cali1" ' in line
        senders, arrived = {"w2": 5, "w3": 6, "far": 7}, set[int]()
        with router.world.socket(router.space("w1"), socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as ear:
            ear.bind(("eth0", 3))
            ear.settimeout(0.05)
            for name, source in senders.items():
                call = TCP(sport=source, dport=port, flags="S")
                send(router, name, IP(src=address("ext", 4), dst=address("w1", 4)) / call)
            deadline = time.monotonic() + seconds(1.5)
            while time.monotonic() < deadline:
                with contextlib.suppress(TimeoutError):
                    data = ear.recv(100)
                    if data[9] == socket.IPPROTO_TCP and data[33] == SYN:
                        arrived.add(int.from_bytes(data[20:22]))
        # all of w3's network may send as anybody of 10.65.0.0/16, nobody asks who is `far`, and everything is allowed:
        # that these pass is the queue's word, on their own paths
        assert arrived & set(senders.values()) == {6, 7}

        def paths() -> set[object]:
            return {event["in_interface"] for event in about(daemon, port) if event["src_port"] in senders.values()}

        wait_for(lambda: paths() >= {"caliw3", "eth1"})
        assert "cali2" not in paths()


@pytest.mark.parametrize("server", ["w1", "node"])
def test_what_began_while_no_supervisor_was_alive_is_told_or_its_loss_is(daemon: Running, server: str) -> None:
    port = 6500 + len(server)
    before, killed = lost(daemon), list[int]()
    with Calls(daemon.router, "ext", server, 4, port) as calls:
        wait_for(lambda: remembered(daemon, 4) != [], LONG)
        for _ in range(2):
            pid = daemon.status().supervisor_pid
            os.kill(pid, signal.SIGKILL)
            killed.append(len(calls.made))
            calls.goes_on()
            daemon.until(partial(replaced, pid))
            calls.goes_on(300)
    wait_for(lambda: ports(daemon, port, "connection.allowed")[calls.made[-1]] == 1)
    told = ports(daemon, port, "connection.allowed")
    untold = [number for number, source in enumerate(calls.made) if source not in told]
    # what the killed supervisor had read and not written yet is gone with it, unless its loss is told
    assert len(untold) <= lost(daemon) - before or all(any(at - 400 < n <= at for at in killed) for n in untold)
    assert set(told) <= set(calls.made)
    assert [number for number, count in told.items() if count > 1] == []
    names = Counter((e["policy"] or {}).get("name") for e in about(daemon, port) if e["event"] == "connection.allowed")
    assert set(names) == {"switch"}


def test_a_daemon_that_ends_leaves_nothing_by_which_the_kernel_allows(daemon: Running) -> None:
    port = 6600
    with Calls(daemon.router, "ext", "w1", 4, port) as calls:
        wait_for(lambda: remembered(daemon, 4) != [], LONG)
        calls.goes_on(10)
        sure = tuple(calls.made)
        assert daemon.stop() == 0
        assert remembered(daemon, 4) == []
        made = len(calls.made)
        time.sleep(0.7)
        assert len(calls.made) <= made + 1
        calls.end()
        assert not tcp(daemon.router, "ext", "w1", 4, 6601, 0.3)
        daemon.start()
    wait_for(lambda: set(sure) <= set(ports(daemon, port, "connection.allowed")))
    told = ports(daemon, port, "connection.allowed")
    assert set(told) <= set(calls.made)
    assert set(told.values()) == {1}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_failsafe_connection_is_told_once_whether_or_not_it_is_answered(daemon: Running, family: int) -> None:
    router, node_address = daemon.router, address("ext", family, node=True)
    daemon.write(switch=switch("{action: Deny}"))
    daemon.reload()
    begun = len(daemon.events())
    assert tcp(router, "ext", "node", family, 22)
    router.iptables(family, "-A", "OUTPUT", "-p", "tcp", "--sport", "22", "-j", "DROP")
    sockets = []
    try:
        silent = router.world.socket(router.space("ext"), FAMILIES[family], socket.SOCK_STREAM)
        sockets.append(silent)
        listener = router.world.socket(router.name, FAMILIES[family], socket.SOCK_STREAM)  # a reset would end it
        sockets.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", 22))
        listener.listen()
        silent.bind(("", 40022))
        silent.settimeout(3.4)
        with pytest.raises(OSError, match="timed out"):
            silent.connect((node_address, 22))  # SYNs at 0, 1 and 3 s
        asking = router.world.socket(router.name, FAMILIES[family], socket.SOCK_DGRAM)
        sockets.append(asking)
        asking.connect((address("ext", family), 53))
        for _ in range(3):
            with contextlib.suppress(OSError):
                asking.send(b"?")
            time.sleep(0.1)
        source = asking.getsockname()[1]
    finally:
        for made in sockets:
            made.close()
        router.iptables(family, "-D", "OUTPUT", "-p", "tcp", "--sport", "22", "-j", "DROP")

    def told(destination: int) -> list[dict[str, object]]:
        return [e for e in daemon.events("connection.allowed") if e["dst_port"] == destination][-20:]

    wait_for(lambda: any(e["src_port"] == source for e in told(53)))
    time.sleep(0.3)
    mine = [e for e in daemon.events()[begun:] if e["event"] == "connection.allowed"]
    assert len([e for e in mine if e["dst_port"] == 53 and e["src_port"] == source]) == 1
    assert len([e for e in mine if e["dst_port"] == 22 and e["src_port"] == 40022]) == 1
    assert len([e for e in mine if e["dst_port"] == 22]) == 2
    assert {e["reason"] for e in mine if e["dst_port"] in {22, 53}} == {"failsafe"}
    router.forget()
    wait_for(lambda: len([e for e in daemon.events("connection.closed") if e["src_port"] == source]) == 1)
    (closed,) = [e for e in daemon.events("connection.closed") if e["src_port"] == source]
    (opened,) = [e for e in mine if e["src_port"] == source]
    assert closed["flow_id"] == opened["flow_id"]
