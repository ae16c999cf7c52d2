"""A node with its pods behind veth pairs and a client before it, each in a network namespace of its own.

    client (and partner) ── eth0 ─┐        ┌─ calired ── eth0 of production/red
                                   └─ node ─┼─ caliblue ─ eth0 of production/blue
                                            └─ …

As Calico wires them: a pod has one address of each family, with a /32 and a /128, and reaches all else through its
gateway 169.254.1.1 or fe80::1; the node has a route to each pod. Nothing is translated on the way.

Law: the pods are those of the WorkloadEndpoint resources that are given: an example adds a pod by writing it down. Of a
kernel without IPv6 nothing of IPv6 is asked.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from calicod.cli.demo.cases import FAMILIES
from calicod.cli.demo.space import add_namespace, batch, settings
from calicod.model.interface import Interface
from calicod.model.network import family_of, format_address, parse_address
from calicod.resources.kinds import Resource, WorkloadEndpoint

NODE, CLIENT, PARTNER = "node", "client", "partner"
UPLINK = "eth0"
GATEWAYS = MappingProxyType({4: "169.254.1.1", 6: "fe80::1"})
FORWARDING = MappingProxyType({4: "net/ipv4/ip_forward=1", 6: "net/ipv6/conf/all/forwarding=1"})
SHARED, WHOLE = MappingProxyType({4: 24, 6: 64}), MappingProxyType({4: 32, 6: 128})
"""Prefix lengths: of a link that several share, and of an address alone."""
ADDRESSES: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        NODE: {4: "192.0.2.1", 6: "2001:db8:2::1"},
        CLIENT: {4: "192.0.2.10", 6: "2001:db8:2::10"},
        PARTNER: {4: "198.51.100.7", 6: "2001:db8:100::7"},
    }
)
"""Documentation addresses (RFC 5737, RFC 3849). The partner is another address of the client's namespace."""


class Pod(msgspec.Struct, frozen=True):
    """`name` is `namespace/pod`; `interface` the node's end; one address of each family."""

    name: str
    interface: str
    addresses: dict[int, str]


def pods_of(resources: Iterable[Resource], node: str = NODE) -> tuple[Pod, ...]:
    """The pods of the workload endpoints of a node, each once, in order."""
    found: dict[str, Pod] = {}
    for resource in resources:
        if isinstance(resource, WorkloadEndpoint) and resource.node == node:
            name = f"{resource.metadata.namespace}/{pod_name(resource)}"
            addresses = {family_of(a): format_address(a) for a in resource.ip_networks}
            pod = Pod(name, resource.interface_name, addresses)
            if found.setdefault(name, pod) != pod:
                raise ValueError(f"{resource.place}: {name} is another endpoint than the one of that name before")
    return tuple(found.values())


def pod_name(endpoint: WorkloadEndpoint) -> str:
    """The pod of `node-k8s-red-eth0` (semantics 1.11): `-` inside a part is doubled."""
    marked = endpoint.metadata.name.replace("--", "\0")
    return marked.split("-")[2].replace("\0", "-")


class World:
    """Everything that can be reached by name: node, client, partner and pods. `prefix` begins every namespace."""

    def __init__(self, prefix: str, pods: Iterable[Pod], families: tuple[int, ...] = FAMILIES) -> None:
        self.prefix = prefix
        self.pods = {pod.name: pod for pod in pods}
        self.families = families

    @property
    def places(self) -> tuple[str, ...]:
        """Those with a namespace of their own."""
        return (NODE, CLIENT, *self.pods)

    def space(self, name: str) -> str:
        """The namespace of somebody."""
        return self.prefix + self.home(name).replace("/", "-")

    def home(self, name: str) -> str:
        """The place whose namespace this one shares."""
        return CLIENT if name == PARTNER else name

    def address(self, name: str, family: int) -> str:
        """The address of somebody. Raises KeyError for who is not here."""
        return self.pods[name].addresses[family] if name in self.pods else ADDRESSES[name][family]

    @property
    def known_addresses(self) -> frozenset[str]:
        """Every address of everybody."""
        return frozenset(self.address(name, f) for name in (PARTNER, *self.places) for f in self.families)

    def interface(self, name: str) -> str:
        """The node's interface towards somebody; "" for the node itself."""
        if name in self.pods:
            return self.pods[name].interface
        return "" if name == NODE else UPLINK

    def interfaces(self) -> tuple[Interface, ...]:
        """The node's interfaces as the offline engine is told of them."""
        uplink = Interface(1, UPLINK, tuple(map(parse_address, self._known(ADDRESSES[NODE]).values())))
        return (uplink, *(Interface(number, pod.interface) for number, pod in enumerate(self.pods.values(), 2)))

    def build(self) -> None:
        """Makes it all. What was made when it fails is removed with the lease."""
        for place in self.places:
            add_namespace(self.space(place))
        node, client = self.space(NODE), self.space(CLIENT)
        settings(node, self._known(FORWARDING).values())
        batch(node, [f"link add {UPLINK} type veth peer name {UPLINK} netns {client}", *self._up(NODE)])
        batch(client, [*self._up(CLIENT), *self._addresses(ADDRESSES[PARTNER], WHOLE), *self._default(ADDRESSES[NODE])])
        # The kernel answers ARP for 169.254.1.1 only if it knows a way to it elsewhere.
        batch(node, self._default(ADDRESSES[CLIENT]))
        for pod in self.pods.values():
            self._connect(pod)

    def _connect(self, pod: Pod) -> None:
        """A pod's link, addresses and routes, on both sides."""
        node, space, name = self.space(NODE), self.space(pod.name), pod.interface
        link = f"link add {name} type veth peer name {UPLINK} netns {space}"
        batch(node, [link, f"link set {name} addrgenmode none"])
        settings(node, [f"net/ipv4/conf/{name}/proxy_arp=1", f"net/ipv4/neigh/{name}/proxy_delay=0"])
        own = self._known(pod.addresses).values()
        gateway = [f"address add {via}/64 dev {name} nodad" for via in self._known({6: GATEWAYS[6]}).values()]
        batch(node, [f"link set {name} up", *gateway, *(f"route add {address} dev {name}" for address in own)])
        way = f"route add {GATEWAYS[4]} dev {UPLINK} scope link"
        batch(
            space,
            [f"link set {UPLINK} up", *self._addresses(pod.addresses, WHOLE), way, *self._default(GATEWAYS)],
        )

    def _known(self, by_family: Mapping[int, str]) -> dict[int, str]:
        return {family: text for family, text in by_family.items() if family in self.families}

    def _up(self, name: str) -> list[str]:
        return [f"link set {UPLINK} up", *self._addresses(ADDRESSES[name], SHARED)]

    def _addresses(self, given: Mapping[int, str], lengths: Mapping[int, int]) -> list[str]:
        known = self._known(given).items()
        return [f"address add {text}/{lengths[family]} dev {UPLINK} nodad" for family, text in known]

    def _default(self, gateways: Mapping[int, str]) -> list[str]:
        return [f"route add default via {via} dev {UPLINK}" for via in self._known(gateways).values()]


def known_families(proof: Path = Path("/proc/net/if_inet6")) -> tuple[int, ...]:
    """The families that this kernel speaks."""
    return FAMILIES if proof.exists() else FAMILIES[:1]
