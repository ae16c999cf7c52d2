"""Random clusters and packets that have much to do with each other: few addresses, few labels, many policies.

Law: everything comes from the given random generator, so a number is enough to see a case again.
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from calicod.model.action import Action
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.network import Network
from calicod.model.ports import PortRange
from calicod.model.protocol import ICMP, ICMPV6, IPIP, SCTP, TCP, UDP, Protocol
from calicod.packet.value import Packet
from calicod.resources import kinds
from calicod.resources.kinds import Metadata, Resource
from calicod.selector.parser import parse

T = TypeVar("T")

NODE = "n1"
V4 = [bytes([10, 0, 0, n]) for n in range(6)]
V6 = [bytes(15) + bytes([n]) for n in range(6)]
NETS = [Network(V4[0], 31), Network(V4[2], 31), Network(bytes(4), 0), Network(V6[0], 126), Network(V6[4], 127)]
SELECTORS = [
    parse(text)
    for text in (
        "all()",
        "k == '1'",
        "k != '1'",
        "has(l)",
        "!has(k)",
        "k in {'1','2'} && l == '1'",
        "k == '1' || !all()",
        "k not in {'2'}",
        "k starts with '1' || l ends with ''",
        "k contains '' && !(l == '2')",
    )
]
OWN_SELECTORS = [
    *SELECTORS,
    parse("projectcalico.org/namespace == 'x'"),
    parse("projectcalico.org/orchestrator == 'k8s'"),
]
SPACE_SELECTORS = [*SELECTORS, parse("global()"), parse("projectcalico.org/name == 'x'")]
PROTOCOLS = [None, None, None, None, TCP, TCP, UDP, SCTP, ICMP, ICMPV6]
PORTS = [PortRange(80, 90), PortRange(53, 53), PortRange(22, 80), "http", "dns"]
INTERFACES = (Interface(1, "lo", (V4[5],)), Interface(2, "eth0", (V4[3], V6[3])), Interface(3, "eth1", (V4[4],)))
PLACES = [
    (Hook.INPUT, "eth0", ""),
    (Hook.INPUT, "cali1", ""),
    (Hook.INPUT, "lo", ""),
    (Hook.OUTPUT, "", "eth0"),
    (Hook.OUTPUT, "", "cali2"),
    (Hook.FORWARD, "eth0", "cali1"),
    (Hook.FORWARD, "cali2", "eth1"),
    (Hook.FORWARD, "cali1", "cali2"),
    (Hook.FORWARD, "eth0", "cali9"),
    (Hook.FORWARD, "eth0", "eth1"),
    (Hook.FORWARD, "tap1", "cali2"),
    (Hook.FORWARD, "eth1", "eth0"),
    (Hook.FORWARD, "cali1", "eth0"),
    (Hook.OUTPUT, "", "lo"),
    (Hook.PREROUTING, "eth0", ""),
    (Hook.PREROUTING, "cali1", ""),
    (Hook.RAW_PREROUTING, "eth0", ""),
    (Hook.RAW_PREROUTING, "cali9", ""),
    (Hook.RAW_OUTPUT, "", "eth0"),
    (Hook.RAW_OUTPUT, "", "cali1"),
]
PHASES = [
    {},
    {},
    {},
    {"apply_on_forward": True},
    {"apply_on_forward": True},
    {"apply_on_forward": True, "pre_dnat": True},
    {"apply_on_forward": True, "do_not_track": True},
]
"""What a global policy may be for (semantics 1.3)."""


STAGED = 0.4
"""How many policies may be staged."""


class Forge:
    """Makes things of one cluster."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def one(self, *choices: T) -> T:
        """Any of them."""
        return self.random.choice(choices)

    def some(self, choices: Sequence[T], most: int) -> tuple[T, ...]:
        """Up to `most` of them, each once."""
        return tuple(self.random.sample(choices, self.random.randint(0, min(most, len(choices)))))

    def rarely(self, choices: Sequence[T], chance: float = 0.1) -> T | None:
        """One of them, now and then."""
        return self.random.choice(choices) if self.random.random() < chance else None

    def cluster(self) -> list[Resource]:
        """Two workloads and a host, nearly always of this node, and what is said about them."""
        workloads = self.workload("cali1", "a", 0), self.workload("cali2", "b", 1)
        found: list[Resource] = [*workloads, self.host("eth0", "eth0", "*", "lo", "")]
        makers = (
            self.host,
            lambda: self.workload("cali2", "c", 2),
            self.tier,
            self.network_set,
            self.profile,
            self.felix,
            lambda: kinds.Node(metadata=Metadata(name=self.one(NODE, "n2"), labels=self.labels())),
        )
        found += [self.random.choice(makers)() for _ in range(self.random.randint(0, 5))]
        found += [self.endpoint_slice() for _ in range(self.random.randint(0, 3))]
        return found + [self.policy() for _ in range(self.random.randint(0, 6))]

    def labels(self) -> dict[str, str]:
        """Own labels; one that no workload may give itself among them."""
        return {key: self.one("1", "2", "") for key in self.some(["k", "l", "pcns.k"], 2)}

    def workload(self, interface: str, name: str, address: int) -> kinds.WorkloadEndpoint:
        """A workload with an address of each family, and perhaps somebody else's."""
        own = (V4[address], V6[address], *self.some([*V4, *V6], 1))
        return kinds.WorkloadEndpoint(
            metadata=Metadata(name=name, namespace=self.one("x", "y"), labels=self.labels()),
            node=self.one(*[NODE] * 9, "n2"),
            orchestrator=self.one("k8s", ""),
            workload=name,
            interface_name=interface,
            interface_hash=self.one("", interface.removeprefix("cali")),
            ip_networks=tuple(dict.fromkeys(own)),
            profiles=self.profiles(),
            ports=self.endpoint_ports(),
            service_account_name=self.one("", "sa"),
            allow_spoofed_source_prefixes=self.one(*[()] * 9, (Network(bytes(4), 0),)),
        )

    def host(self, *interfaces: str) -> kinds.HostEndpoint:
        """A host endpoint by name, by address or for all."""
        return kinds.HostEndpoint(
            metadata=Metadata(name=self.one("a", "b", "c"), labels=self.labels()),
            node=self.one(*[NODE] * 9, "n2"),
            interface_name=self.one(*interfaces or ("", "*", "eth0", "lo")),
            expected_ips=self.some([*V4, *V6], 3),
            profiles=self.profiles(),
            ports=self.endpoint_ports(),
        )

    def profiles(self) -> tuple[str, ...]:
        """Profiles that endpoints list, one of them nobody's."""
        return self.some(["kns.x", "kns.y", "gone", "projectcalico-default-allow"], 2)

    def endpoint_ports(self) -> tuple[kinds.EndpointPort, ...]:
        """Named ports."""
        choices = [kinds.EndpointPort(n, p, port) for n in ("http", "dns") for p in (TCP, UDP) for port in (53, 80)]
        return self.some(choices, 3)

    def tier(self) -> kinds.Tier:
        """One of two tiers."""
        action = self.one(Action.DENY, Action.PASS)
        return kinds.Tier(
            metadata=Metadata(name=self.one("t", "u")), order=self.one(None, 1.0, 2e6), default_action=action
        )

    def network_set(self) -> kinds.NetworkSet:
        """A set, namespaced or not."""
        namespace = self.one("", "x", "y")
        return kinds.NetworkSet(
            kind="NetworkSet" if namespace else "GlobalNetworkSet",
            metadata=Metadata(name=self.one("a", "b"), namespace=namespace, labels=self.labels()),
            nets=self.some(NETS, 2),
        )

    def profile(self) -> kinds.Profile:
        """A profile of a namespace, as somebody may write it."""
        name = self.one("x", "y")
        inherited = {key: self.one("1", "2") for key in self.some(["pcns.k", "pcns.l", "k"], 2)}
        return kinds.Profile(
            metadata=Metadata(name=f"kns.{name}"),
            ingress=self.rules(),
            egress=self.rules(),
            labels_to_apply={"pcns.projectcalico.org/name": name, **inherited},
        )

    def endpoint_slice(self) -> kinds.EndpointSlice:
        """Some of what is behind one of two services."""
        return kinds.EndpointSlice(
            metadata=Metadata(name=self.one("a", "b"), namespace=self.one("x", "y")),
            service=self.one("web", "dns", ""),
            addresses=self.some([*V4, *V6], 4),
            ports=self.some([(protocol, port) for protocol in (TCP, UDP, SCTP) for port in (53, 80)], 3),
        )

    def services(self) -> kinds.EntityRule:
        """A side of a rule that means a service."""
        return kinds.EntityRule(services=kinds.ServiceMatch(self.one("web", "dns"), self.one("x", "y", "")))

    def felix(self) -> kinds.FelixConfiguration:
        """What a node may be told."""
        name = self.one("default", f"node.{NODE}", "chosen", "too")
        return kinds.FelixConfiguration(
            metadata=Metadata(name=name),
            node_selector=self.one(*SELECTORS) if name in {"chosen", "too"} else None,
            creation_timestamp=self.one("", "2026"),
            workload_source_spoofing=self.one(None, "Any"),
            default_endpoint_to_host_action=self.one(None, "Accept", "Return"),
            failsafe_inbound_host_ports=self.one(None, (), (kinds.Failsafe(TCP, 80, Network(V4[0], 31)),)),
            interface_prefix=self.one(*[None] * 9, ("cali", "eth"), ("tap", "cali")),
            allow_vxlan_packets_from_workloads=self.one(None, True),
        )

    def policy(self) -> kinds.Policy:
        """A policy of any tier, also of one that does not exist."""
        namespace = self.one("", "", "x", "y")
        kind = "NetworkPolicy" if namespace else "GlobalNetworkPolicy"
        staged = self.one("", "", "Set", "Learn", "Ignore", "Delete") if self.random.random() < STAGED else ""
        kind = f"Staged{kind}" if staged else kind
        phase = {} if namespace else self.one(*PHASES)
        return kinds.Policy(
            kind=kind,
            staged_action=staged,
            metadata=Metadata(name=self.one("a", "a-b", "b", "c"), namespace=namespace),
            tier=self.one("default", "default", "t", "ghost", "kube-baseline"),
            order=self.one(None, 1.0, 2.0, -1.0),
            selector=self.rarely(OWN_SELECTORS, 0.4),
            namespace_selector=None if namespace else self.rarely(SELECTORS),
            service_account_selector=self.rarely(SELECTORS, 0.1),
            governs_ingress=self.random.random() < 0.7,
            governs_egress=self.random.random() < 0.7,
            ingress=self.rules(),
            egress=self.rules(),
            **phase,
        )

    def rules(self) -> tuple[kinds.Rule, ...]:
        """Up to three rules."""
        return tuple(self.rule() for _ in range(self.random.randint(0, 3)))

    def rule(self) -> kinds.Rule:
        """A rule that the loader would accept."""
        number, family = self.one(*PROTOCOLS), self.one(4, 6)
        icmp = number in {ICMP, ICMPV6}
        implied = {ICMP: 4, ICMPV6: 6}.get(number) if self.random.random() < 0.5 else None
        of_service = self.one("source", "destination", *[""] * 8)
        types = [kinds.IcmpMatch(kind, code) for kind in (8, 0, 128) for code in (None, 0)]
        return kinds.Rule(
            action=self.one(*Action),
            ip_version=None if icmp else self.one(None, None, family),
            protocol=None if number is None else Protocol(number, implied),
            not_protocol=self.rarely([Protocol(TCP), Protocol(ICMP, 4), Protocol(UDP)], 0.1),
            icmp=self.rarely(types, 0.5) if icmp else None,
            not_icmp=self.rarely(types, 0.1),
            source=self.services() if of_service == "source" else self.entity(number, family),
            destination=self.services() if of_service == "destination" else self.entity(number, family),
        )

    def entity(self, protocol: int | None, family: int) -> kinds.EntityRule:
        """One side of a rule."""
        nets = [net for net in NETS if net.family == family]
        ports: list[kinds.Port] = list(PORTS) if protocol in {TCP, UDP, SCTP} else ["http", "dns"]
        ports = [] if protocol in {ICMP, ICMPV6} else ports
        accounts = [kinds.ServiceAccountMatch(names, s) for names in ((), ("sa",)) for s in (None, *SELECTORS)][1:]
        seldom = self.random.random
        return kinds.EntityRule(
            nets=self.some(nets, 2) if seldom() < 0.1 else (),
            not_nets=self.some(nets[:2], 1) if seldom() < 0.05 else (),
            ports=self.some(ports, 2) if seldom() < 0.15 else (),
            not_ports=self.some(ports, 2) if seldom() < 0.05 else (),
            selector=self.rarely(OWN_SELECTORS),
            not_selector=self.rarely(OWN_SELECTORS, 0.15),
            namespace_selector=self.rarely(SPACE_SELECTORS),
            service_accounts=self.rarely(accounts, 0.1),
        )

    def packet(self) -> Packet:
        """A packet of either family."""
        family = self.one(4, 6)
        known = V4 if family == 4 else V6
        source, target, protocol = (
            self.one(*known),
            self.one(*known),
            self.one(TCP, TCP, UDP, SCTP, ICMP, ICMPV6, 47, IPIP),
        )
        if self.random.random() < 0.05:
            return Packet(family, protocol, source, target, fragment=True)
        if protocol in {TCP, UDP, SCTP}:
            ports = (22, 53, 80, 81, 90, 4789)
            return Packet(family, protocol, source, target, self.one(*ports), self.one(*ports))
        if (family, protocol) in {(4, ICMP), (6, ICMPV6)}:
            kind = self.one(8, 0, 3) if family == 4 else self.one(128, 135, 1)
            return Packet(family, protocol, source, target, -1, -1, kind, self.one(0, 1))
        return Packet(family, protocol, source, target)
