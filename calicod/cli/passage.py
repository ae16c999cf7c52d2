"""Where a packet passes, as far as its sender did not say: node, hook and interfaces, found from its addresses.

Law: whatever is assumed is told, in words for people; what was given is never changed.
"""

from collections.abc import Iterator

import msgspec

from calicod.cli.judging import Judging, nodes_of, present
from calicod.model.hook import ENTERING, LEAVING, Hook
from calicod.model.interface import Interface
from calicod.model.network import format_address
from calicod.resources.snapshot import Snapshot
from calicod.ruleset.program import LocalEndpoint, RuleSet
from calicod.ruleset.topology import EVERY_INTERFACE, LOOPBACK, is_workload

SOME_NIC = "eth0"
"""The name of an interface of which nothing is known but that no workload is behind it."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the way of a packet."""

    src: bytes
    dst: bytes
    hook: Hook | None = None
    in_interface: str = ""
    out_interface: str = ""

    @property
    def says_where(self) -> bool:
        """Hook or interfaces were given: it passes one node, not the whole cluster."""
        return self.hook is not None or bool(self.in_interface or self.out_interface)


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """A hook and its interfaces; `hook` None: the whole cluster, by address. `assumed`: in words."""

    hook: Hook | None = None
    in_interface: str = ""
    out_interface: str = ""
    assumed: tuple[str, ...] = ()


class Owner(msgspec.Struct, frozen=True):
    """Who has an address on this node: `interface` leads there, unless it `is_host` itself."""

    interface: str
    name: str
    is_host: bool


def node_for(judging: Judging, resources: Snapshot, given: Given) -> tuple[str | None, tuple[str, ...]]:
    """The node to judge on, None for the whole cluster, and what was assumed."""
    if judging.cluster or judging.named is not None:
        return (None if judging.cluster else judging.named), ()
    owners, nodes = owning_nodes(resources, given), nodes_of(resources)
    if len(owners) == 1:
        return owners[0], (f"node {owners[0]}: an endpoint with one of the addresses is there",)
    if owners and not given.says_where:
        return None, (f"the whole cluster (--cluster): the addresses are on the nodes {' and '.join(owners)}",)
    if len(nodes) == 1 and judging.node not in nodes:
        return nodes[0], (f"node {nodes[0]}: every endpoint is there",)
    return judging.node, (f"node {judging.node}: it is this host's name",)


def owning_nodes(resources: Snapshot, given: Given) -> tuple[str, ...]:
    """The nodes of the endpoints that have one of the addresses."""
    addresses = {given.src, given.dst}
    found = {e.node for e in resources.workload_endpoints if not addresses.isdisjoint(e.ip_networks)}
    found |= {e.node for e in resources.host_endpoints if not addresses.isdisjoint(e.expected_ips)}
    return tuple(sorted(found))


def passage(judging: Judging, ruleset: RuleSet, given: Given) -> Passage:
    """Where the packet passes the node of the RuleSet, or the whole cluster when it knows neither address."""
    interfaces = present(judging, ruleset)
    source, destination = (owner(ruleset, interfaces, address) for address in (given.src, given.dst))
    if ruleset.node is None and not given.says_where:
        return Passage()
    hook = given.hook or hook_between(given, source, destination)
    if hook is None:
        sides = f"neither {format_address(given.src)} nor {format_address(given.dst)} belongs to this node"
        return Passage(assumed=(f"the whole cluster (--cluster): {sides}; to choose, give --hook, --in and --out",))
    nic = outward(ruleset, interfaces)
    entering = leaving = ""
    if hook not in LEAVING:
        entering = given.in_interface or interface_towards(source, destination, nic)
    if hook not in ENTERING:
        leaving = given.out_interface or interface_towards(destination, source, nic)
    guesses = [f"hook {hook.value}"] if given.hook is None else []
    guesses += [f"in {entering}"] if entering != given.in_interface else []
    guesses += [f"out {leaving}"] if leaving != given.out_interface else []
    sides = f"{told(source, given.src)}, {told(destination, given.dst)}"
    assumed = (f"{', '.join(guesses)}: {sides}",) if guesses else ()
    return Passage(hook=hook, in_interface=entering, out_interface=leaving, assumed=assumed)


def interface_towards(side: Owner | None, other: Owner | None, nic: str) -> str:
    """The interface between this node and one side of a packet: who is not known comes by the other's, or by a NIC."""
    if side:
        return LOOPBACK if side.is_host else side.interface
    return other.interface if other and other.is_host else nic


def hook_between(given: Given, source: Owner | None, destination: Owner | None) -> Hook | None:
    """The hook of a packet between two owners; None when neither they nor the interfaces say."""
    if source and source.is_host:
        return Hook.OUTPUT
    if destination and destination.is_host:
        return Hook.INPUT
    if source or destination or (given.in_interface and given.out_interface):
        return Hook.FORWARD
    if given.in_interface:
        return Hook.INPUT
    return Hook.OUTPUT if given.out_interface else None


def owner(ruleset: RuleSet, interfaces: tuple[Interface, ...], address: bytes) -> Owner | None:
    """Who has the address: workloads before the host itself."""
    return next(owners(ruleset, interfaces, address), None)


def owners(ruleset: RuleSet, interfaces: tuple[Interface, ...], address: bytes) -> Iterator[Owner]:
    """Everybody on the node who has the address."""
    for workload in ruleset.workloads:
        if address in workload.addresses:
            yield Owner(workload.interface, title(workload), is_host=False)
    for interface in interfaces:
        if address in interface.addresses:
            yield Owner(interface.name, f"the host's {interface.name}", is_host=True)
    for host in ruleset.hosts:
        if address in host.addresses:
            named = host.interface not in {"", EVERY_INTERFACE}
            yield Owner(host.interface if named else outward(ruleset, interfaces), title(host), is_host=True)


def outward(ruleset: RuleSet, interfaces: tuple[Interface, ...]) -> str:
    """An interface to the world outside: the first that is neither a workload's nor the loopback."""
    names = (i.name for i in interfaces if i.name != LOOPBACK and not is_workload(ruleset, i.name))
    return next(names, SOME_NIC)


def title(endpoint: LocalEndpoint) -> str:
    """Kind and name."""
    return f"{endpoint.type} {'/'.join(filter(None, (endpoint.namespace, endpoint.name)))}"


def told(side: Owner | None, address: bytes) -> str:
    """Whose an address is, in words."""
    text = format_address(address)
    return f"{text} is {side.name}" if side else f"{text} is not of this node"
