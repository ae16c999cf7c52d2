"""What senders of refused packets, and both ends of cut connections, get to hear on the wire."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.node import FAMILIES, Node, address, node
from tests.netns.patience import seconds
from tests.netns.running import Running, running_in, wait_for
from tests.netns.test_daemon import ALLOW, DENY, TcpFlow, endpoints, switch
from tests.netns.variants import IPTABLES, needs_variant

pytestmark = [pytest.mark.netns, pytest.mark.security]
PATHS = [("ext", "node"), ("node", "ext"), ("ext", "w1"), ("w1", "ext"), ("w1", "w2"), ("w1", "node")]
PORT = 5100
QUICK = seconds(1.0)
SHORT = seconds(0.2)
TCP_ANSWER, ICMP_ANSWER = 6, 1


@pytest.fixture(scope="module", params=IPTABLES)
def rejecting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with daemon("cd-j", request.param, tmp_path_factory.mktemp("rejecting"), {"deny_action": "reject"}) as running:
        running.write(switch=switch(DENY))
        running.reload()
        yield running


@pytest.fixture(scope="module", params=IPTABLES)
def resetting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with daemon("cd-k", request.param, tmp_path_factory.mktemp("resetting"), {"cut_with_reset": True}) as running:
        yield running


@contextlib.contextmanager
def daemon(prefix: str, variant: str, folder: Path, options: dict[str, object]) -> Iterator[Running]:
    """Runs on a router of its own, with everything allowed."""
    needs_variant(variant)
    with node(prefix, variant) as router, running_in(router, folder, options) as running:
        running.write(endpoints=endpoints(), switch=switch(ALLOW))
        running.start()
        yield running


def refused(router: Node, client: str, server: str, family: int, kind: int) -> bool:
    """Whether the client hears at once that it may not."""
    with router.world.socket(router.space(client), FAMILIES[family], kind) as calling:
        calling.settimeout(QUICK)
        try:
            calling.connect((router.peer(client, server, family), PORT))
            calling.send(b"x")
            calling.recv(1)
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            return False
    return False


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("client", "server"), PATHS)
def test_who_sends_what_is_refused_hears_so_at_once(
    rejecting: Running, client: str, server: str, family: int, kind: int
) -> None:
    told = len(rejecting.events("connection.denied"))
    target = rejecting.router.peer(client, server, family)

    assert refused(rejecting.router, client, server, family, kind)

    wait_for(lambda: len(rejecting.events("connection.denied")) > told)
    event = rejecting.events("connection.denied")[told]
    assert (event["verdict"], event["dst_ip"], event["dst_port"]) == ("deny", target, PORT)


def test_nobody_answers_what_comes_to_many_or_cannot_be_read_or_is_spoofed(rejecting: Running) -> None:
    router = rejecting.router
    gate = address("ext", 4, node=True)
    with (
        router.world.socket(router.space("ext"), socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as heard,
        router.world.socket(router.space("ext"), socket.AF_INET, socket.SOCK_DGRAM) as sender,
        router.world.socket(router.space("ext"), socket.AF_INET, socket.SOCK_RAW, 6) as raw,
        router.world.socket(router.space("w1"), socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as spoofing,
    ):
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.setsockopt(socket.SOL_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address("ext", 4)))
        for silent in (address("ext", 4).rpartition(".")[0] + ".255", "224.0.0.5", "255.255.255.255"):
            with contextlib.suppress(OSError):
                sender.sendto(b"to many", (silent, PORT))
        raw.sendto(b"\0\1\2", (gate, 0))  # no TCP header
        spoofing.sendto(spoofed(router), (address("ext", 4), 0))
        assert answers(heard) == []
        sender.sendto(b"to one", (gate, PORT))
        assert answers(heard) == [ICMP_ANSWER]


def spoofed(router: Node) -> bytes:
    """A datagram of w1's that says it is w2's."""
    source, target = (socket.inet_aton(address(name, 4)) for name in ("w2", "ext"))
    return bytes.fromhex("4500001c000000004011") + b"\0\0" + source + target + bytes.fromhex("13ec13ec00080000")


def answers(heard: socket.socket) -> list[int]:
    """The protocols of the answers that came within a moment: resets and ICMP errors."""
    found = []
    heard.settimeout(SHORT)
    deadline = time.monotonic() + 3 * SHORT
    with contextlib.suppress(TimeoutError):
        while time.monotonic() < deadline:
            packet, about = heard.recvfrom(2000)
            if about[2] == socket.PACKET_HOST and packet[9] in {TCP_ANSWER, ICMP_ANSWER}:
                found.append(packet[9])
    return found


def ended(sock: socket.socket) -> bool:
    """Whether the socket hears that its connection was reset."""
    sock.settimeout(QUICK)
    try:
        sock.recv(10)
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return False


@pytest.mark.parametrize("speaker", ["client", "server"])
@pytest.mark.parametrize("family", FAMILIES)
def test_both_ends_of_a_cut_connection_hear_of_it_when_one_of_them_speaks(
    resetting: Running, family: int, speaker: str
) -> None:
    resetting.write(switch=switch(ALLOW))
    resetting.reload()
    told = len(resetting.events("connection.cut"))
    with contextlib.ExitStack() as stack:
        live = {
            path: stack.enter_context(TcpFlow(resetting.router, *path, family, PORT + 1 + number))
            for number, path in enumerate(PATHS)
        }
        assert all(flow.forth(2.0) and flow.back(2.0) for flow in live.values())
        resetting.change(switch=switch(DENY))
        for flow in live.values():
            getattr(flow, speaker).send(b"speaks")

        deaf = [
            (path, end) for path, flow in live.items() for end in ("client", "server") if not ended(getattr(flow, end))
        ]

    assert deaf == []
    events = resetting.told("connection.cut", told + len(PATHS))[told:]
    assert {(e["policy"]["name"], e["old_policy"]["name"], e["verdict"]) for e in events} == {
        ("switch", "switch", "deny")
    }


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("speaker", ["client", "server"])
@pytest.mark.parametrize("translation", ["destination", "source"])
def test_resets_are_translated_as_the_connection_is(
    resetting: Running, family: int, speaker: str, translation: str
) -> None:
    router = resetting.router
    resetting.write(switch=switch(ALLOW))
    resetting.reload()
    target = address("w1", family)
    client, server, rule = (
        (
            "ext",
            "w1",
            (
                "PREROUTING",
                "-t",
                "nat",
                "-p",
                "tcp",
                "--dport",
                str(PORT + 20),
                "-j",
                "DNAT",
                "--to-destination",
                target,
            ),
        )
        if translation == "destination"
        else ("w1", "ext", ("POSTROUTING", "-t", "nat", "-o", "eth0", "-j", "MASQUERADE"))
    )
    router.iptables(family, "-A", *rule)
    try:
        with TcpFlow(
            Gate(router) if translation == "destination" else router, client, server, family, PORT + 20
        ) as flow:
            assert flow.forth(2.0)
            assert flow.back(2.0)
            resetting.change(switch=switch(DENY))
            getattr(flow, speaker).send(b"speaks")
            assert (ended(flow.client), ended(flow.server)) == (True, True)
    finally:
        router.iptables(family, "-D", *rule)


class Gate:
    """The router, to whose own address clients connect."""

    def __init__(self, router: Node) -> None:
        self.world, self.space = router.world, router.space

    def peer(self, client: str, _: str, family: int) -> str:
        return address(client, family, node=True)


def test_a_new_connection_that_is_refused_hears_nothing_where_only_cuts_are_told(resetting: Running) -> None:
    resetting.write(switch=switch(DENY))
    resetting.reload()

    assert not refused(resetting.router, "ext", "w1", 4, socket.SOCK_STREAM)
