"""A router with a managed NIC, an unmanaged one, two workloads and one that forwards; sockets to try flows with.

ext ── eth0 (managed)  ┐        ┌ cali1 ── w1
far ── eth1 (unmanaged)┘  node  ├ cali2 ── w2
                                └ caliw3 ─ w3 (forwards)
"""

import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Self

from calicod.model.network import parse_network
from calicod.model.steering import FailsafePort, ForwardingWorkload, Nic, Steering
from calicod.netfilter import probe
from calicod.netfilter.installer import Installer
from calicod.netfilter.translation import chain_name
from tests.netns.judge import Judge
from tests.netns.patience import seconds
from tests.netns.world import World, inside, run, world

TCP, UDP = 6, 17
ETH0, ETH1, W3 = 3, 4, 5
"""Ids in the stamp."""
QUEUE = 5200
PATIENCE = 0.15
"""Seconds to wait for what must not come, on a common machine; here and below."""
AWAITED = 2.0
"""Seconds to wait for what must come."""

HOSTS = {"ext": 1, "far": 2, "w1": 11, "w2": 12, "w3": 13}
INTERFACES = {"ext": "eth0", "far": "eth1", "w1": "cali1", "w2": "cali2", "w3": "caliw3"}
IPTABLES = {"iptables-nft": "-nft", "iptables-legacy": "-legacy", "nft": "-nft"}
"""What others use beside each way of steering."""
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def address(name: str, family: int, *, node: bool = False) -> str:
    """The address of a host, or (`node`) of the router on the link to it."""
    last = 1 if node else 2
    return f"10.65.{HOSTS[name]}.{last}" if family == 4 else f"fd65:{HOSTS[name]}::{HOSTS[name]}:{last}"


class Node:
    """The world, its installer, its judge. `space(name)` is the namespace of a host."""

    def __init__(self, made: World, setting: str) -> None:
        self.world = made
        self.setting = setting
        self.name = f"{made.prefix}node"
        for name, interface in INTERFACES.items():
            made.link((self.name, interface), (self.space(name), "eth0"))
            made.address(self.name, interface, *(f"{address(name, f, node=True)}/{l}" for f, l in ((4, 24), (6, 64))))
            made.address(self.space(name), "eth0", *(f"{address(name, f)}/{l}" for f, l in ((4, 24), (6, 64))))
            for family in FAMILIES:
                made.route(self.space(name), "default", "via", address(name, family, node=True))
        made.forwarding(self.name)
        made.forwarding(self.space("w3"))
        with inside(self.name):
            self.installer: Installer = probe.choose(setting)
            self.interfaces = {socket.if_nametoindex(i): i for i in INTERFACES.values()}
        self.judge: Judge | None = None

    def space(self, name: str) -> str:
        """The namespace of a host, or of the router itself (`node`)."""
        return f"{self.world.prefix}{name}"

    def iptables(self, family: int, *words: str) -> str:
        """The variant's own iptables, in the router; beside native nftables, that of its nft variant."""
        program = ("iptables" if family == 4 else "ip6tables") + IPTABLES[self.setting]
        return self.world.run(self.name, program, *words)

    def rules(self, family: int, chain: str) -> list[str]:
        """The rules of a chain of calicod's in the table `filter`, in the words of whoever shows them."""
        if self.setting != "nft":
            return [line for line in self.iptables(family, "-S", chain).splitlines() if line.startswith("-A")]
        name = chain_name(chain, "filter", family)
        shown = self.world.run(self.name, "nft", "list", "chain", "inet", "calicod", name).splitlines()
        return [line.strip() for line in shown[2:-2]]

    def restore(self, family: int, text: str) -> None:
        """Adds rules as another program does, in the router."""
        program = ("iptables" if family == 4 else "ip6tables") + IPTABLES[self.setting]
        self.world.run(self.name, f"{program}-restore", "--noflush", text=text)

    def save(self, namespace: str = "") -> str:
        """What iptables-save shows of both families (here, or there), without what changes by itself."""
        shown = ""
        for program in ("iptables", "ip6tables"):
            shown += self.world.run(namespace or self.name, f"{program}{IPTABLES[self.setting]}-save")
        return "\n".join(line.split(" [")[0] for line in shown.splitlines() if not line.startswith("#"))

    def install(self, steering: Steering) -> None:
        """Brings the steering into force in the router."""
        with inside(self.name):
            self.installer.install(steering)

    def start(self, steering: Steering | None = None) -> Judge:
        """A clean slate: these rules, nothing tracked, a judge that allows everything."""
        steering = steering or steer()
        self.stop()
        self.install(steering)
        self.forget()
        self.judge = Judge(self.name, tuple(q for n in range(steering.workers) for q in steering.queues(n)))
        return self.judge

    def stop(self) -> None:
        """No worker reads any more."""
        if self.judge is not None:
            self.judge.close()
            self.judge = None

    def forget(self) -> None:
        """No connection is tracked any more."""
        self.world.run(self.name, "conntrack", "-F")

    def names(self, indexes: tuple[int, int]) -> tuple[str, str]:
        """Names of an incoming and an outgoing interface."""
        return self.interfaces.get(indexes[0], ""), self.interfaces.get(indexes[1], "")

    def peer(self, client: str, server: str, family: int) -> str:
        """The address that the client must use to reach the server."""
        if server == "node":
            return address(client, family, node=True)
        return address(server, family)


@contextlib.contextmanager
def node(prefix: str, setting: str) -> Iterator[Node]:
    """The router with its neighbours; everything is removed at the end."""
    with world(prefix, ["node", *HOSTS]) as made:
        built = Node(made, setting)
        try:
            yield built
        finally:
            built.stop()


def steer(generation: int = 1, **changes: object) -> Steering:
    """The steering that fits the node, with changes."""
    prefixes = tuple(parse_network(text)[0] for text in ("10.65.0.0/16", "fd65::/16"))
    values = {
        "nics": (Nic("eth0", ETH0, managed=True), Nic("eth1", ETH1, managed=False)),
        "workload_prefixes": ("cali",),
        "forwarding_workloads": (ForwardingWorkload("caliw3", W3, prefixes),),
        "failsafe_inbound": (FailsafePort(TCP, 22), FailsafePort(UDP, 68)),
        "failsafe_outbound": (FailsafePort(UDP, 53), FailsafePort(TCP, 179)),
        "queue_base": QUEUE,
    }
    return Steering(generation=generation, **(values | changes))


class UdpFlow:
    """A UDP flow between two hosts; both sockets are this test's own."""

    def __init__(self, at: Node, client: str, server: str, family: int, port: int, **options: object) -> None:
        to = options.get("to") or at.peer(client, server, family)
        self.server = at.world.socket(at.space(server), FAMILIES[family], socket.SOCK_DGRAM)
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind(("::" if family == 6 else "", options.get("server_port") or port))
        self.client = at.world.socket(at.space(client), FAMILIES[family], socket.SOCK_DGRAM)
        if options.get("mark"):
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, struct.pack("@I", options["mark"]))
        if options.get("source"):
            self.client.bind((options["source"], 0))
        self.client.connect((to, port))
        self.peer: tuple[object, ...] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.server.close()

    def forth(self, patience: float = PATIENCE) -> bool:
        """Whether a datagram of the client's arrives."""
        self.server.settimeout(seconds(patience))
        with contextlib.suppress(OSError):
            self.client.send(b"forth")
        try:
            _, self.peer = self.server.recvfrom(100)
        except TimeoutError:
            return False
        return True

    def back(self, patience: float = PATIENCE) -> bool:
        """Whether a datagram of the server's arrives."""
        self.client.settimeout(seconds(patience))
        with contextlib.suppress(OSError):
            self.server.sendto(b"back", self.peer)
        try:
            self.client.recv(100)
        except (TimeoutError, ConnectionRefusedError):
            return False
        return True

    def trips(self, count: int = 3) -> bool:
        """Whether that many datagrams each way arrive."""
        return all(self.forth(AWAITED) and self.back(AWAITED) for _ in range(count))


def tcp(
    at: Node, client: str, server: str, family: int, port: int, patience: float = AWAITED, **options: object
) -> bool:
    """Whether a connection comes about and carries a byte each way."""
    to = options.get("to") or at.peer(client, server, family)
    with (
        at.world.socket(at.space(server), FAMILIES[family], socket.SOCK_STREAM) as listener,
        at.world.socket(at.space(client), FAMILIES[family], socket.SOCK_STREAM) as calling,
    ):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::" if family == 6 else "", options.get("server_port") or port))
        listener.listen()
        calling.settimeout(seconds(patience))
        try:
            calling.connect((to, port))
            answering, _ = listener.accept()
        except OSError:
            return False
        with answering:
            answering.settimeout(seconds(patience))
            calling.send(b"a")
            ok = answering.recv(1) == b"a"
            answering.send(b"b")
            return ok and calling.recv(1) == b"b"


def ping(at: Node, client: str, server: str, family: int, count: int = 1, patience: float = PATIENCE) -> bool:
    """Whether echo replies come."""
    options = ("-6",) if family == 6 else ()
    wait = ("-c", str(count), "-i", "0.01", "-W", str(seconds(patience)), "-q")
    shown = at.world.run(at.space(client), "ping", *options, *wait, at.peer(client, server, family), check=False)
    return f" {count} received" in shown


__all__ = ["ETH0", "ETH1", "QUEUE", "W3", "Node", "UdpFlow", "address", "node", "ping", "run", "steer", "tcp"]
