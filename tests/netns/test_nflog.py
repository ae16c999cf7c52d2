"""A log group of a real kernel: one reader at a time, packets many at once, and what it has no room for is counted."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from calicod.daemon.main import logging
from calicod.errors import CalicodError
from calicod.model.hook import Hook
from calicod.netfilter import nflog
from calicod.netfilter.netlink import SO_RCVBUFFORCE
from calicod.netfilter.nflog import AT_ONCE, SNAP_BYTES, Alike, LogGroup, Run
from tests.netns.patience import seconds
from tests.netns.world import inside, run, world
from tests.unit.netfilter.logged import One, singly

pytestmark = pytest.mark.netns
GROUP = 5200
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
AF = {4: socket.AF_INET, 6: socket.AF_INET6}
PROGRAMS = {4: "iptables-legacy", 6: "ip6tables-legacy"}
SHAPE = ("--nflog-group", str(GROUP), "--nflog-size", str(SNAP_BYTES), "--nflog-threshold", str(AT_ONCE))
PATIENCE = seconds(5.0)


@pytest.fixture(scope="module", autouse=True)
def apart() -> Iterator[None]:
    """A namespace whose rules log what comes through its loopback interface: TCP plainly, UDP as a failsafe's."""
    with world("cd-", ["log"]) as made, inside(made.namespaces[0]):
        run("ip", "link", "set", "lo", "up")
        for program in PROGRAMS.values():
            run(program, "-A", "INPUT", "-p", "tcp", "--syn", "-j", "NFLOG", *SHAPE)
            run(program, "-A", "INPUT", "-p", "udp", "-j", "NFLOG", "--nflog-prefix", "failsafe", *SHAPE)
        yield


@pytest.fixture
def group() -> Iterator[LogGroup]:
    with closing(LogGroup(GROUP)) as made:
        yield made


def read(group: LogGroup, count: int) -> list[One]:
    """So many packets, or what has come in time."""
    found, deadline = singly(group.read()), time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < deadline:
        time.sleep(0.01)
        found += singly(group.read())
    return found


def datagrams(family: int, count: int, size: int = 5) -> int:
    """Through the loopback interface, to port 53; their source port."""
    with socket.socket(AF[family], socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(bytes(size), (LOOPBACK[family], 53))
        port: int = sender.getsockname()[1]
        return port


@pytest.mark.parametrize("family", [4, 6])
def test_what_rules_log_is_told(group: LogGroup, family: int) -> None:
    here, ports = socket.inet_pton(AF[family], LOOPBACK[family]), []
    for _ in range(3 * AT_ONCE):
        with socket.socket(AF[family], socket.SOCK_STREAM) as client:
            client.bind((LOOPBACK[family], 0))
            ports.append(client.getsockname()[1])
            assert client.connect_ex((LOOPBACK[family], 99)) != 0
    sport = datagrams(family, 1)

    found = read(group, 3 * AT_ONCE + 1)

    assert found[:-1] == [(Hook.INPUT, False, 6, here, here, port, 99) for port in ports]
    assert found[-1] == (Hook.INPUT, True, 17, here, here, sport, 53)
    assert group.lost == 0
    assert group.read() == []


@pytest.mark.parametrize("family", [4, 6])
def test_of_what_is_forwarded_a_datagram_holds_so_many_that_they_are_read_as_one_run(family: int) -> None:
    """The longest messages: two interfaces, a hardware header, a time."""
    client, server = (("10.7.1.2", "10.7.2.2"), ("fd07:1::2", "fd07:2::2"))[family == 6]
    gateways, length, many = (client[:-1] + "1", server[:-1] + "1"), (24, 64)[family == 6], 5 * AT_ONCE
    with world("cd-", ["lc", "lr", "ls"]) as made:
        near, router, far = made.namespaces
        made.forwarding(router)
        for space, end, gateway in ((near, client, gateways[0]), (far, server, gateways[1])):
            made.link((router, f"to-{space}"), (space, "eth0"))
            made.address(space, "eth0", f"{end}/{length}")
            made.address(router, f"to-{space}", f"{gateway}/{length}")
            made.route(space, "default", "via", gateway)
        made.sysctl(router, "net/netfilter/nf_conntrack_timestamp", 1)
        rule = ("-A", "FORWARD", "-p", "tcp", "--syn", "-m", "conntrack", "--ctstate", "NEW", "-j", "NFLOG", *SHAPE)
        made.run(router, PROGRAMS[family], *rule)
        with inside(router), closing(LogGroup(GROUP)) as group, ExitStack() as open_until:
            clients = [open_until.enter_context(made.socket(near, AF[family], socket.SOCK_STREAM)) for _ in range(many)]
            runs = list[Run | Alike]()
            for each in clients:
                each.setblocking(False)
            for each in clients:
                each.connect_ex((server, 99))
            ports = [each.getsockname()[1] for each in clients]
            deadline = time.monotonic() + PATIENCE
            while len(singly(runs)) < many and time.monotonic() < deadline:
                time.sleep(0.01)
                runs += group.read()

    assert sorted(one[5] for one in singly(runs)) == sorted(ports)
    assert [len(run[-1]) for run in runs if len(run[-1]) > 1] == [AT_ONCE] * 4  # the first one taught the layout


def test_a_group_has_one_reader(group: LogGroup) -> None:
    with pytest.raises(CalicodError, match=f"no log group {GROUP}") as raised:
        LogGroup(GROUP)
    assert (raised.value.code, raised.value.exit_code) == ("K019", 4)

    lacking, (notice,) = logging(GROUP)
    assert lacking is None
    assert notice.startswith("K019")
    assert notice.endswith("the kernel allows nothing by itself")

    group.close()
    made, notices = logging(GROUP)
    assert made is not None
    made.close()
    assert notices == ()


def test_what_the_kernel_has_no_room_for_is_counted(group: LogGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    group.close()
    monkeypatch.setattr(nflog, "ROOM_BYTES", 1 << 14)
    with closing(LogGroup(GROUP)) as small:
        datagrams(4, 1)
        assert len(read(small, 1)) == 1
        many = 4_000
        datagrams(4, many)
        found = read(small, 1)
        time.sleep(0.1)
        found += singly(small.read())
        assert 0 < len(found) < many
        small._netlink.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
        datagrams(4, 1)
        found += read(small, 1)

        assert small.lost == many + 1 - len(found)
