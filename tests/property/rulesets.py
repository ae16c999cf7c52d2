"""RuleSets, packets and places for properties of the engines: few values each, so that much of it meets.

One byte string stands for a whole world: drawn and shrunk by hypothesis as a whole, it takes 1 ms where a strategy
for each part takes 50. Every choice takes one byte; when none are left, the first of all choices is taken.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from hypothesis import strategies as st

from calicod.fields.stretches import merged
from calicod.model.action import Action
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.network import Network
from calicod.model.ports import PortRange
from calicod.model.protocol import ICMP, ICMPV6, IPIP, SCTP, TCP, UDP, UDPLITE
from calicod.packet.value import Packet
from calicod.resources.kinds import Failsafe
from calicod.ruleset.program import (
    CompiledPolicy,
    CompiledRule,
    HostSettings,
    IPSet,
    LocalEndpoint,
    PortMatch,
    Program,
    RuleSet,
    TierStep,
)

Item = TypeVar("Item")
SETS, POLICIES, PROFILES, PROGRAMS = 4, 6, 3, 3
V4 = tuple(number.to_bytes(4) for number in (1, 2, 3, 4, 5, 0, (1 << 32) - 2, (1 << 32) - 1))
V6 = tuple(
    number.to_bytes(16)
    for number in (1, 2, (1 << 64) - 1, 1 << 64, (1 << 64) + 1, 5 << 64, 0, (1 << 128) - 2, (1 << 128) - 1)
)
PROTOCOLS = (TCP, TCP, UDP, ICMP, ICMPV6, SCTP, UDPLITE, IPIP, 47)
PORTS = (80, 81, 79, 90, 22, 4789, 0, 65535)
KINDS = (8, 0, 255, 134, 135)
INTERFACES = ("cali1", "eth0", "cali2", "cali3", "eth1", "lo", "")
PLACES = (
    (Hook.FORWARD, "cali1", "cali2"),
    (Hook.FORWARD, "eth0", "cali1"),
    (Hook.FORWARD, "cali1", "eth0"),
    (Hook.INPUT, "eth0", ""),
    (Hook.OUTPUT, "", "eth0"),
    (Hook.INPUT, "cali1", ""),
    (Hook.PREROUTING, "eth0", ""),
    (Hook.RAW_PREROUTING, "eth0", ""),
    (Hook.FORWARD, "eth0", "eth1"),
)
"""Where somebody judges, mostly."""
PHASES = ("forward_ingress", "forward_egress", "pre_dnat", "untracked_ingress", "untracked_egress")
"""Programs that only host endpoints have, and not all of them all of these."""
CRITERIA = (
    "protocol",
    "source_sets",
    "destination_ports",
    "destination_sets",
    "not_source_sets",
    "families",
    "icmp_type",
    "not_protocol",
    "not_icmp_type",
    "source_ports",
    "not_destination_sets",
    "not_source_ports",
    "not_destination_ports",
    "icmp_code",
    "not_icmp_code",
)


class World(msgspec.Struct, frozen=True):
    """A RuleSet, the interfaces of its host, and packets at their places."""

    ruleset: RuleSet
    interfaces: tuple[Interface, ...]
    events: tuple[tuple[Packet, tuple[Hook, str, str]], ...]


class Choices:
    """Chooses by the bytes that it is given."""

    def __init__(self, data: bytes) -> None:
        self._bytes = iter(data)

    def number(self, below: int) -> int:
        return next(self._bytes, 0) % below

    def one(self, items: Sequence[Item]) -> Item:
        return items[self.number(len(items))]

    def some(self, items: Sequence[Item], most: int) -> list[Item]:
        """Up to `most` of them, none twice, in any order."""
        return list(dict.fromkeys(self.one(items) for _ in range(self.number(most + 1))))

    def times(self, most: int, make: Callable[[], Item]) -> tuple[Item, ...]:
        return tuple(make() for _ in range(self.number(most + 1)))

    def rarely(self) -> bool:
        return self.number(5) == 4

    def world(self) -> World:
        policies = [self.policy(f"p{index}", "default", "NetworkPolicy") for index in range(POLICIES)]
        policies += [self.policy(f"q{index}", "__PROFILE__", "Profile") for index in range(PROFILES)]
        ruleset = RuleSet(
            node="n1",
            settings=self.settings(),
            ip_sets=tuple(self.ip_set() for _ in range(SETS)),
            policies=tuple(policies),
            programs=tuple(self.program() for _ in range(PROGRAMS)),
            workloads=(
                self.endpoint("WorkloadEndpoint", ("cali1",)),
                *self.times(3, lambda: self.endpoint("WorkloadEndpoint", ("cali2", "cali1", "eth1"))),
            ),
            hosts=self.times(3, lambda: self.endpoint("HostEndpoint", ("eth0", "*", "", "lo", "cali1"))),
        )
        names = self.some(("eth0", "eth1", "lo", "cali1"), 4)
        interfaces = tuple(Interface(1, name, tuple(self.some(V4 + V6, 3))) for name in names)
        return World(ruleset, interfaces, tuple((self.packet(), self.place()) for _ in range(1 + self.number(20))))

    def ip_set(self) -> IPSet:
        if self.rarely():
            return IPSet("http", ports=self.times(5, self.port_member))
        return IPSet("some set", self.ranges(V4), self.ranges(V6))

    def ranges(self, addresses: Sequence[bytes]) -> bytes:
        length = len(addresses[0])
        pairs = [sorted((self.one(addresses), self.one(addresses))) for _ in range(self.number(4))]
        whole = merged([(int.from_bytes(first), int.from_bytes(last)) for first, last in pairs])
        return b"".join(bound.to_bytes(length) for pair in whole for bound in pair)

    def port_member(self) -> tuple[bytes, int, int]:
        return self.one(V4 + V6), self.one((TCP, UDP, SCTP)), self.one(PORTS)

    def policy(self, name: str, tier: str, kind: str) -> CompiledPolicy:
        return CompiledPolicy(
            kind=kind,
            tier=tier,
            namespace=self.one(("", "a")),
            name=name,
            staged=kind != "Profile" and self.rarely(),
            ingress=self.times(3, self.rule),
            egress=self.times(3, self.rule),
        )

    def rule(self) -> CompiledRule:
        """Any combination of criteria, most of them few: else nothing would ever match."""
        given = {name: self.criterion(name) for name in self.some(CRITERIA, 3)}
        return CompiledRule(action=self.one(tuple(Action)), index=self.number(4), **given)

    def criterion(self, name: str) -> object:
        if name.endswith("_sets"):
            return tuple(self.some(range(SETS), 2))
        if name.endswith("_ports"):
            pairs = [sorted((self.one(PORTS), self.one(PORTS))) for _ in range(self.number(3))]
            return PortMatch(tuple(PortRange(*pair) for pair in pairs), tuple(self.some(range(SETS), 2)))
        if name == "families":
            return self.number(4)
        return self.one(PROTOCOLS if name.endswith("protocol") else KINDS)

    def program(self) -> Program:
        steps = self.times(3, lambda: TierStep("t", self.one((True, False)), tuple(self.some(range(POLICIES), 3))))
        return Program(steps, tuple(self.some(range(POLICIES, POLICIES + PROFILES), 2)), open_ended=self.rarely())

    def settings(self) -> HostSettings:
        return HostSettings(
            endpoint_to_host_action=self.one(("Accept", "Drop", "Return")),
            failsafe_inbound=self.times(5, self.failsafe),
            failsafe_outbound=self.times(5, self.failsafe),
            allow_vxlan_from_workloads=self.rarely(),
            allow_ipip_from_workloads=self.rarely(),
        )

    def failsafe(self) -> Failsafe:
        net = self.one((None, Network(bytes(4), 30), Network(bytes(16), 64)))
        return Failsafe(protocol=self.one((TCP, UDP)), port=self.one(PORTS), net=net)

    def endpoint(self, kind: str, interfaces: Sequence[str]) -> LocalEndpoint:
        return LocalEndpoint(
            type=kind,
            namespace="a" if kind == "WorkloadEndpoint" else "",
            name=self.one(("e", "f")),
            interface=self.one(interfaces),
            addresses=tuple(self.some(V4 + V6, 5)),
            ingress=self.number(PROGRAMS),
            egress=self.number(PROGRAMS),
            **{name: self.number(PROGRAMS) for name in self.some(PHASES, 4) if kind == "HostEndpoint"},
            active=kind == "HostEndpoint" or not self.rarely(),
        )

    def place(self) -> tuple[Hook, str, str]:
        if self.rarely():
            return self.one(tuple(Hook)), self.one(INTERFACES), self.one(INTERFACES)
        return self.one(PLACES)

    def packet(self) -> Packet:
        """Mostly what `decode` gives; now and then also what no decoder gives, such as ports of an ICMP packet."""
        addresses = self.one((V4, V6))
        family, protocol, fragment = 4 if addresses is V4 else 6, self.one(PROTOCOLS), self.rarely()
        anything = self.rarely() and not fragment
        ports = anything or (protocol in {TCP, UDP, SCTP, UDPLITE} and not fragment)
        message = anything or (protocol == (ICMP if family == 4 else ICMPV6) and not fragment)
        return Packet(
            family,
            protocol,
            self.one(addresses),
            self.one(addresses),
            self.one(PORTS) if ports else -1,
            self.one(PORTS) if ports else -1,
            self.one(KINDS) if message else -1,
            self.one(KINDS) if message else -1,
            fragment,
            self.one((-1, 255, 64)) if message and protocol == ICMPV6 else -1,
        )


DATA = st.binary(min_size=1200, max_size=1200)
"""What a world is made of, with some to spare."""
WORLDS = DATA.map(lambda data: Choices(data).world())
