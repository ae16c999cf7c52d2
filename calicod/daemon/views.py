"""What `endpoints` and `policies` answer: the RuleSet in force, as lists for people and scripts.

Law: pure; every name and order comes from the RuleSet that is enforced, never from the sources.
"""

from collections import defaultdict
from collections.abc import Mapping

from calicod.daemon.state import EndpointState, PolicyName, PolicyState
from calicod.model.interface import Interface
from calicod.model.network import format_address
from calicod.ruleset.enforcement import Enforcement
from calicod.ruleset.program import CompiledPolicy, LocalEndpoint, Program, RuleSet
from calicod.ruleset.topology import Topology, host_endpoint, resolve

PolicyKey = tuple[str, str, str]
Hits = Mapping[PolicyKey, tuple[int, int, int]]
"""(kind, namespace, name) -> flows allowed, denied and packets logged by its rules."""


def title(endpoint: LocalEndpoint) -> str:
    """`namespace/name`, or the name alone for host endpoints."""
    return f"{endpoint.namespace}/{endpoint.name}" if endpoint.namespace else endpoint.name


def interfaces_of(topology: Topology, interfaces: tuple[Interface, ...]) -> dict[tuple[str, int], tuple[str, ...]]:
    """(workload|host, index of the endpoint) -> the present interfaces that it judges."""
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for interface in interfaces:
        if interface.name in topology.workloads:
            found["workload", topology.workloads[interface.name]].append(interface.name)
        elif (host := host_endpoint(topology, interface.name)) is not None:
            found["host", host].append(interface.name)
    return {key: tuple(names) for key, names in found.items()}


def states_of(enforcement: Enforcement) -> tuple[EndpointState, ...]:
    """Every endpoint of this node, under this enforcement."""
    ruleset, interfaces = enforcement.ruleset, enforcement.interfaces
    return endpoint_states(ruleset, resolve(ruleset, interfaces), interfaces)


def endpoint_states(
    ruleset: RuleSet, topology: Topology, interfaces: tuple[Interface, ...]
) -> tuple[EndpointState, ...]:
    """Every endpoint of this node; `up` when an interface of its own is present."""
    present = interfaces_of(topology, interfaces)
    states = []
    for group, endpoints in (("workload", ruleset.workloads), ("host", ruleset.hosts)):
        for index, endpoint in enumerate(endpoints):
            names = present.get((group, index), ())
            ingress, egress = ruleset.programs[endpoint.ingress], ruleset.programs[endpoint.egress]
            states.append(
                EndpointState(
                    type=endpoint.type,
                    namespace=endpoint.namespace,
                    name=endpoint.name,
                    state="up" if names else "down",
                    interface=endpoint.interface,
                    interfaces=names,
                    addresses=tuple(format_address(a) for a in endpoint.addresses),
                    labels=endpoint.labels,
                    ingress=ordered(ruleset, ingress),
                    egress=ordered(ruleset, egress),
                    profiles=tuple(ruleset.policies[p].name for p in ingress.profiles),
                )
            )
    return tuple(states)


def ordered(ruleset: RuleSet, program: Program) -> tuple[PolicyName, ...]:
    """The policies of a program in the order they are tried."""
    return tuple(name_of(ruleset.policies[p]) for tier in program.tiers for p in tier.policies)


def name_of(policy: CompiledPolicy) -> PolicyName:
    """What identifies a policy in lists."""
    return PolicyName(policy.kind, policy.tier, policy.namespace, policy.name, policy.staged)


def policy_states(ruleset: RuleSet, hits: Hits) -> tuple[PolicyState, ...]:
    """Every policy and profile, with the local endpoints that run it."""
    users: dict[int, list[str]] = defaultdict(list)
    used_by = [used(program) for program in ruleset.programs]
    for endpoint in (*ruleset.workloads, *ruleset.hosts):
        for index in used_by[endpoint.ingress] | used_by[endpoint.egress]:
            users[index].append(title(endpoint))
    states = []
    for index, policy in enumerate(ruleset.policies):
        allowed, denied, logged = hits.get((policy.kind, policy.namespace, policy.name), (0, 0, 0))
        states.append(
            PolicyState(
                kind=policy.kind,
                tier=policy.tier,
                namespace=policy.namespace,
                name=policy.name,
                file=policy.place.file,
                line=policy.place.line,
                ingress_rules=len(policy.ingress),
                egress_rules=len(policy.egress),
                endpoints=tuple(sorted(users[index])),
                allowed=allowed,
                denied=denied,
                logged=logged,
                staged=policy.staged,
            )
        )
    return tuple(states)


def used(program: Program) -> frozenset[int]:
    """Indexes of the policies and profiles that a program runs."""
    return frozenset(p for tier in program.tiers for p in tier.policies) | frozenset(program.profiles)
