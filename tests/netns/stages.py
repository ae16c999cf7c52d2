"""What `calicod eval` answers about flows of the router of `node`, beside what became of them.

Law: the same resources, the same interfaces, the whole way (`decide_way`): real packets must never disagree.
"""

import socket
from collections.abc import Callable

import msgspec

from calicod.compiler.compile import compile
from calicod.engine.bitmap import BitmapEngine
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.verdict import Verdict
from calicod.packet.value import Packet
from calicod.resources.load import load
from calicod.resources.snapshot import snapshot
from tests.netns.node import INTERFACES, Node, UdpFlow, address, tcp
from tests.netns.running import Running

TCP, UDP = 6, 17
SHORT = 0.15
HOST = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: {name}, labels: {{role: host, name: {name}}}}}
spec: {{node: node, interfaceName: "{interface}"{more}}}
---
"""
POLICY = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: {name}}}
spec: {spec}
---
"""


def host(name: str, interface: str, more: str = "") -> str:
    """A host endpoint with `role: host` and its name as labels."""
    return HOST.format(name=name, interface=interface, more=f", {more}" if more else "")


def policy(name: str, **spec: object) -> str:
    """A global policy that selects every host endpoint, unless it says otherwise."""
    return POLICY.format(name=name, spec=msgspec.json.encode({"selector": "role == 'host'", **spec}).decode())


def rule(action: str, *, protocol: str = "", port: int = 0, source_port: int = 0, nets: tuple[str, ...] = ()) -> object:
    """A rule as JSON; `port`, `nets`: of the destination."""
    made: dict[str, object] = {"action": action}
    if protocol:
        made["protocol"] = protocol
    if port or nets:
        made["destination"] = ({"ports": [port]} if port else {}) | ({"nets": nets} if nets else {})
    if source_port:
        made["source"] = {"ports": [source_port]}
    return made


class Staged:
    """The daemon in its router with the resources in force; `allows` and `passes` are the two answers."""

    def __init__(self, router: Node, daemon: Running) -> None:
        self.router = router
        self.daemon = daemon
        self.engine: BitmapEngine | None = None

    def enforce(self, *texts: str) -> None:
        """Brings exactly these resources into force, and forgets every connection."""
        self.change(*texts)
        self.router.forget()

    def change(self, *texts: str) -> None:
        """The same while connections live."""
        text = "---".join(texts)
        self.daemon.write(stages=text)
        reloaded = self.daemon.reload()
        assert (reloaded.error, reloaded.rejected) == ("", ())
        self.engine = BitmapEngine(
            compile(snapshot(load(text, "stages.yaml").resources), "node").ruleset, here(self.router)
        )

    def allows(self, client: str, server: str, family: int, protocol: int, port: int, source_port: int = 40000) -> bool:
        """What eval answers about the first packet of a flow."""
        assert self.engine is not None
        hook, incoming, outgoing = way(client, server)
        ends = (address(client if client != "node" else server, family, node=client == "node"),)
        ends += (self.router.peer(client, server, family),)
        version = socket.AF_INET if family == 4 else socket.AF_INET6
        source, destination = (socket.inet_pton(version, end) for end in ends)
        packet = Packet(family, protocol, source, destination, source_port, port)
        return self.engine.decide_way(packet, hook, incoming, outgoing).verdict is Verdict.ACCEPT

    def passes(self, client: str, server: str, family: int, protocol: int, port: int) -> bool:
        """What becomes of it: TCP both ways, UDP forth; the same as eval answers."""
        found = self._try(client, server, family, protocol, port)
        assert found == self.allows(client, server, family, protocol, port)
        return found

    def _try(self, client: str, server: str, family: int, protocol: int, port: int) -> bool:
        if protocol == TCP:
            return tcp(self.router, client, server, family, port, SHORT)
        with UdpFlow(self.router, client, server, family, port) as flow:
            return flow.forth()


def here(router: Node) -> tuple[Interface, ...]:
    """The interfaces of the router, and `lo`, with their addresses."""
    found = [Interface(1, "lo", (socket.inet_pton(2, "127.0.0.1"), socket.inet_pton(10, "::1")))]
    for index, name in router.interfaces.items():
        owner = next(host for host, interface in INTERFACES.items() if interface == name)
        texts = (address(owner, family, node=True) for family in (4, 6))
        addresses = tuple(socket.inet_pton(10 if ":" in text else 2, text) for text in texts)
        found.append(Interface(index, name, addresses))
    return tuple(found)


def way(client: str, server: str) -> tuple[Hook, str, str]:
    """Where a packet between these is in the router."""
    if (client, server) == ("node", "node"):
        return Hook.OUTPUT, "", "lo"
    if server == "node":
        return Hook.INPUT, INTERFACES[client], ""
    if client == "node":
        return Hook.OUTPUT, "", INTERFACES[server]
    return Hook.FORWARD, INTERFACES[client], INTERFACES[server]


def settles(condition: Callable[[], bool], tries: int = 20) -> bool:
    """Whether it comes about within so many tries."""
    return any(condition() for _ in range(tries))
