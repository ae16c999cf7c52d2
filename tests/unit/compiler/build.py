"""Resources for compiler tests, in few words."""

from calicod.compiler.compile import Compilation, compile
from calicod.errors import Place
from calicod.model.action import Action
from calicod.model.network import Network, parse_address, parse_network
from calicod.model.ports import PortRange
from calicod.model.protocol import TCP, Protocol
from calicod.resources.kinds import (
    EndpointPort,
    EndpointSlice,
    EntityRule,
    HostEndpoint,
    Metadata,
    NetworkSet,
    Node,
    Policy,
    Profile,
    Resource,
    Rule,
    Tier,
    WorkloadEndpoint,
)
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import IPSet, LocalEndpoint, Program, RuleSet
from calicod.selector.parser import parse
from calicod.selector.tree import Selector

NODE = "n1"


def sel(text: str | None) -> Selector | None:
    return None if text is None else parse(text)


def net(text: str) -> Network:
    return parse_network(text)[0]


def addr(text: str) -> bytes:
    return parse_address(text)


def entity(
    selector: str | None = None,
    not_selector: str | None = None,
    namespace_selector: str | None = None,
    nets: tuple[str, ...] = (),
    not_nets: tuple[str, ...] = (),
    ports: tuple[str | int, ...] = (),
    not_ports: tuple[str | int, ...] = (),
) -> EntityRule:
    return EntityRule(
        selector=sel(selector),
        not_selector=sel(not_selector),
        namespace_selector=sel(namespace_selector),
        nets=tuple(net(text) for text in nets),
        not_nets=tuple(net(text) for text in not_nets),
        ports=tuple(PortRange(p, p) if isinstance(p, int) else p for p in ports),
        not_ports=tuple(PortRange(p, p) if isinstance(p, int) else p for p in not_ports),
    )


def rule(action: str = "Allow", **fields: object) -> Rule:
    return Rule(action=Action(action), **fields)


def tcp_rule(action: str = "Allow", **fields: object) -> Rule:
    return rule(action, protocol=Protocol(TCP), **fields)


def policy(name: str = "p", namespace: str = "", selector: str | None = None, **fields: object) -> Policy:
    kind = "NetworkPolicy" if namespace else "GlobalNetworkPolicy"
    return Policy(kind=kind, metadata=Metadata(name=name, namespace=namespace), selector=sel(selector), **fields)


def tier(name: str, order: float | None = None, default: str = "Deny") -> Tier:
    return Tier(metadata=Metadata(name=name), order=order, default_action=Action(default))


def profile(name: str, labels: dict[str, str] | None = None, **fields: object) -> Profile:
    return Profile(metadata=Metadata(name=name), labels_to_apply=labels or {}, **fields)


def workload(
    name: str = "w",
    namespace: str = "a",
    addresses: tuple[str, ...] = ("10.65.0.2",),
    labels: dict[str, str] | None = None,
    **fields: object,
) -> WorkloadEndpoint:
    given = {"node": NODE, "orchestrator": "k8s", "workload": name, "endpoint": "eth0", "interface_name": f"cali{name}"}
    return WorkloadEndpoint(
        metadata=Metadata(name=f"n1-k8s-{name}-eth0", namespace=namespace, labels=labels or {}),
        ip_networks=tuple(addr(text) for text in addresses),
        **{**given, **fields},
    )


def host(
    name: str = "h",
    interface: str = "eth0",
    addresses: tuple[str, ...] = (),
    labels: dict[str, str] | None = None,
    node: str = NODE,
    **fields: object,
) -> HostEndpoint:
    return HostEndpoint(
        metadata=Metadata(name=name, labels=labels or {}),
        node=node,
        interface_name=interface,
        expected_ips=tuple(addr(text) for text in addresses),
        **fields,
    )


def network_set(name: str, namespace: str, nets: tuple[str, ...], labels: dict[str, str] | None = None) -> NetworkSet:
    return NetworkSet(
        kind="NetworkSet" if namespace else "GlobalNetworkSet",
        metadata=Metadata(name=name, namespace=namespace, labels=labels or {}),
        nets=tuple(net(text) for text in nets),
    )


def endpoint_slice(
    service: str,
    namespace: str = "a",
    addresses: tuple[str, ...] = (),
    ports: tuple[tuple[int, int], ...] = (),
    name: str = "s",
) -> EndpointSlice:
    return EndpointSlice(
        metadata=Metadata(name=name, namespace=namespace),
        service=service,
        addresses=tuple(addr(text) for text in addresses),
        ports=ports,
    )


def node(name: str = NODE, **labels: str) -> Node:
    return Node(metadata=Metadata(name=name, labels=labels))


def port(name: str, number: int, protocol: int = TCP) -> EndpointPort:
    return EndpointPort(name, protocol, number)


def compilation(*resources: Resource) -> Compilation:
    return compile(snapshot(resources), NODE)


def ruleset(*resources: Resource) -> RuleSet:
    return compilation(*resources).ruleset


def codes(*resources: Resource) -> list[str]:
    return [diagnostic.code for diagnostic in compilation(*resources).diagnostics]


def ingress(rules: RuleSet, endpoint: LocalEndpoint) -> Program:
    return rules.programs[endpoint.ingress]


def egress(rules: RuleSet, endpoint: LocalEndpoint) -> Program:
    return rules.programs[endpoint.egress]


def names(rules: RuleSet, program: Program) -> list[tuple[str, list[str]]]:
    """Tiers with the names of their policies."""
    return [(step.name, [rules.policies[index].name for index in step.policies]) for step in program.tiers]


def governed(rules: RuleSet) -> list[str]:
    """The endpoints that run any policy, either way."""
    return [e.name for e in (*rules.workloads, *rules.hosts) if ingress(rules, e).tiers or egress(rules, e).tiers]


def texts(ip_set: IPSet) -> list[str]:
    """The IPv4 ranges of a set."""
    parts = [ip_set.v4[at : at + 4] for at in range(0, len(ip_set.v4), 4)]
    dotted = [".".join(str(octet) for octet in part) for part in parts]
    return [f"{first}-{last}" for first, last in zip(dotted[::2], dotted[1::2], strict=True)]


def place(line: int) -> Place:
    return Place("f.yaml", line, 1)
