"""The node of the recorded clusters: a NIC, four workloads, and a client that answers for everything beyond.

client ── eth0 ┐      ┌ caliw1 ── w1
               └  n1  ├ caliw2 ── w2
                      ├ caliw3 ── w3
                      └ caliw4 ── w4

Law: a packet leaves where its first hop says, by a raw socket, and has arrived where its last hop says when somebody
there read it: on the wire of client and workloads, behind the INPUT hook of the node. Neighbours are known beforehand,
so that nothing waits for them.
"""

import contextlib
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6Unknown, IPv6
from scapy.layers.sctp import SCTP
from scapy.packet import Packet, Raw

from tests.netns.node import FAMILIES
from tests.netns.world import World, inside, world

WORKLOADS = (1, 2, 3, 4)
NODE_MAC = "ee:ee:ee:ee:ee:ee"
GATEWAYS = {4: "169.254.1.1", 6: "fe80::ecee:eeff:feee:eeee"}
CLIENT = {4: "192.0.2.2", 6: "fd00:192::2"}
BEYOND = (
    *("192.0.2.128/25", "198.18.0.0/15", "10.65.1.0/24"),
    *("fd00:192::8000/113", "fd00:198::/32", "fd00:65:1::/64"),
)
"""What the client answers for besides its own addresses."""
NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132}
RECEIVED = (*NUMBERS.values(), 50, 112)
"""Protocols that the node's raw sockets read."""
SO_RCVBUFFORCE = 33
TOKEN = re.compile(rb"<<([^<>]+)>>")
INIT_CHUNK = 1
MOST = 1 << 16


class Cluster:
    """The namespaces, a sender in each of them, and what was heard where. `setting` is for the daemon's steering."""

    def __init__(self, made: World, setting: str) -> None:
        self.world = made
        self.setting = setting
        self.name = self.space("n1")
        self._connect("client", "eth0")
        for number in WORKLOADS:
            self._connect(f"w{number}", f"caliw{number}")
        made.address(self.name, "eth0", "192.0.2.1/24", "fd00:192::1/64")
        made.address(self.space("client"), "eth0", f"{CLIENT[4]}/24", f"{CLIENT[6]}/64")
        for network in BEYOND:
            made.route(self.space("client"), "local", network, "dev", "lo")
            made.route(self.name, network, "via", CLIENT[6 if ":" in network else 4])
        self._default_route("client", {4: "192.0.2.1", 6: "fd00:192::1"})
        for number in WORKLOADS:
            self._workload(number)
        made.forwarding(self.name)
        self._ears = dict.fromkeys(self._node_ears(), "node")
        for name in self.hosts():
            self._ears[self._wire_ear(name)] = name
        self._mouths = {
            (name, family): self._mouth(name, family) for name in ("n1", *self.hosts()) for family in (4, 6)
        }

    def space(self, name: str) -> str:
        """The namespace of a host, or of the node (`n1`)."""
        return f"{self.world.prefix}{name}"

    @staticmethod
    def hosts() -> tuple[str, ...]:
        """Everybody but the node."""
        return ("client", *(f"w{number}" for number in WORKLOADS))

    def _connect(self, name: str, interface: str) -> None:
        self.world.link((self.name, interface), (self.space(name), "eth0"))
        self.world.run(self.name, "ip", "link", "set", interface, "address", NODE_MAC)
        for space, link in ((self.name, interface), (self.space(name), "eth0")):
            self.world.sysctl(space, f"net/ipv4/conf/{link}/rp_filter", 0)
            self.world.sysctl(space, "net/ipv4/conf/all/rp_filter", 0)

    def _workload(self, number: int) -> None:
        name, interface = f"w{number}", f"caliw{number}"
        addresses = {4: f"10.65.0.{number + 1}", 6: f"fd00:65::{number + 1:x}"}
        self.world.address(self.space(name), "eth0", f"{addresses[4]}/32", f"{addresses[6]}/128")
        self.world.address(self.name, interface, f"{GATEWAYS[6]}/64")
        self.world.route(self.space(name), GATEWAYS[4], "dev", "eth0", "scope", "link")
        self._default_route(name, GATEWAYS)
        self.world.sysctl(self.name, f"net/ipv4/conf/{interface}/proxy_arp", 1)
        for address in addresses.values():
            self.world.route(self.name, address, "dev", interface)
        self._neighbours(self.name, interface, self._mac(name), addresses.values())

    def _default_route(self, name: str, gateways: Mapping[int, str]) -> None:
        self._neighbours(self.space(name), "eth0", NODE_MAC, gateways.values())
        for gateway in gateways.values():
            self.world.route(self.space(name), "default", "via", gateway, "dev", "eth0")
        if name == "client":
            self._neighbours(self.name, "eth0", self._mac(name), CLIENT.values())

    def _neighbours(self, space: str, interface: str, mac: str, addresses: Iterable[str]) -> None:
        for address in addresses:
            self.world.run(
                space, "ip", "neigh", "replace", address, "lladdr", mac, "dev", interface, "nud", "permanent"
            )

    def _mac(self, name: str) -> str:
        with inside(self.space(name)), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind(("eth0", 0))
            return str(raw.getsockname()[4].hex(":"))

    def _node_ears(self) -> Iterator[socket.socket]:
        for family in FAMILIES.values():
            for number in RECEIVED:
                yield ready(self.world.socket(self.name, family, socket.SOCK_RAW, number))

    def _wire_ear(self, name: str) -> socket.socket:
        made = self.world.socket(self.space(name), socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        made.bind(("eth0", 3))
        return ready(made)

    def _mouth(self, name: str, family: int) -> socket.socket:
        made = self.world.socket(self.space(name), FAMILIES[family], socket.SOCK_RAW, socket.IPPROTO_RAW)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        return made

    def send(self, fields: Mapping[str, Any], token: str) -> None:
        """A packet in the words of `calicod eval`, with a token in it, from where it begins its way."""
        family = 6 if ":" in fields["src"] else 4
        self._mouths[source_of(fields), family].sendto(bytes(written(fields, token)), (fields["dst"], 0))

    def heard(self) -> set[tuple[str, str]]:
        """(where, token) of what arrived since the last time; where is `node`, `client`, `w1`…"""
        found = set()
        for ear, name in self._ears.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, about = ear.recvfrom(MOST)
                    if ear.family == socket.AF_PACKET and about[2] == socket.PACKET_OUTGOING:
                        continue
                    found |= {(name, token.decode()) for token in TOKEN.findall(data)}
        return found

    def close(self) -> None:
        """Gives every socket back."""
        for made in (*self._ears, *self._mouths.values()):
            made.close()


def ready(ear: socket.socket) -> socket.socket:
    """A socket that holds much and waits for nothing."""
    ear.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    ear.setblocking(False)
    return ear


def host_behind(interface: str) -> str:
    """Who is at the other end of an interface of the node."""
    return "client" if interface == "eth0" else interface.removeprefix("cali")


def source_of(fields: Mapping[str, Any]) -> str:
    """Who sends it."""
    return host_behind(fields["in"]) if fields.get("in") else "n1"


def target_of(fields: Mapping[str, Any]) -> str:
    """Where it arrives, if it does."""
    return host_behind(fields["out"]) if fields.get("out") else "node"


def written(fields: Mapping[str, Any], token: str) -> Packet:
    """The first packet of a flow: SYN, datagram, INIT, a request with an identifier of its own, or mere bytes."""
    protocol = fields["protocol"]
    number = NUMBERS.get(protocol, protocol)
    mark = Raw(f"<<{token}>>")
    if ":" in fields["src"]:
        outer: Packet = IPv6(src=fields["src"], dst=fields["dst"], nh=number)
    else:
        outer = IP(src=fields["src"], dst=fields["dst"], proto=number)
    ports = {"sport": fields.get("sport"), "dport": fields.get("dport")}
    identifier = int(fields["id"])
    match protocol:
        case "tcp":
            return outer / TCP(**ports, flags="S", seq=1) / mark
        case "udp":
            return outer / UDP(**ports) / mark
        case "sctp":
            return outer / SCTP(**ports, tag=0) / Raw(init_chunk(token))
        case "icmp":
            return outer / ICMP(type=fields["icmp_type"], code=fields["icmp_code"], id=identifier, seq=1) / mark
        case "icmpv6":
            body = identifier.to_bytes(2, "big") + b"\x00\x01" + bytes(mark)
            return outer / ICMPv6Unknown(type=fields["icmp_type"], code=fields["icmp_code"], msgbody=body)
    return outer / mark


def init_chunk(token: str) -> bytes:
    """An INIT (RFC 9260, 3.3.2) with a parameter that the receiver skips, which holds the token."""
    text = f"<<{token}>>".encode()
    text += bytes(-len(text) % 4)
    fixed = b"\x00\x00\x00\x01\x00\x01\x00\x00\x00\x01\x00\x01\x00\x00\x00\x01"
    parameter = b"\x80\x99" + (4 + len(text)).to_bytes(2, "big") + text
    return bytes([INIT_CHUNK, 0]) + (4 + len(fixed) + len(parameter)).to_bytes(2, "big") + fixed + parameter


@contextlib.contextmanager
def cluster(prefix: str, setting: str) -> Iterator[Cluster]:
    """The node with its neighbours; everything is removed at the end."""
    with world(prefix, ["n1", *Cluster.hosts()]) as made:
        built = Cluster(made, setting)
        try:
            yield built
        finally:
            built.close()
