"""RuleSets, packets and engines for tests, in few words."""

from calicod.engine.bitmap import BitmapEngine
from calicod.engine.linear import LinearEngine
from calicod.fields.stretches import merged
from calicod.model.action import Action
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.network import parse_address, parse_network
from calicod.model.ports import PortRange
from calicod.model.protocol import ICMP, ICMPV6, TCP, UDP
from calicod.packet.value import Packet
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

ENGINES = (LinearEngine, BitmapEngine)
W, V, HOST, OUTSIDE = "10.65.0.1", "10.65.0.2", "192.0.2.1", "198.51.100.7"
W6, OUTSIDE6 = "fd00:65::1", "2001:db8::7"
TO_W = (Hook.FORWARD, "eth0", "caliw")
FROM_W = (Hook.FORWARD, "caliw", "eth0")
W_TO_V = (Hook.FORWARD, "caliw", "caliv")
W_TO_HOST = (Hook.INPUT, "caliw", "")
HOST_TO_W = (Hook.OUTPUT, "", "caliw")
TO_HOST = (Hook.INPUT, "eth0", "")
FROM_HOST = (Hook.OUTPUT, "", "eth0")
INTERFACES = (Interface(1, "lo"), Interface(2, "eth0", (parse_address(HOST),)), Interface(3, "caliw"))


def ip_set(*networks: str, text: str = "some set") -> IPSet:
    """Of addresses: CIDRs."""
    packed = {4: b"", 16: b""}
    for length in packed:
        found = [network for network, _ in map(parse_network, networks) if len(network.address) == length]
        ranges = merged([(int.from_bytes(network.first), int.from_bytes(network.last)) for network in found])
        packed[length] = b"".join(bound.to_bytes(length) for pair in ranges for bound in pair)
    return IPSet(text, packed[4], packed[16])


def port_set(*members: tuple[str, int, int], text: str = "http") -> IPSet:
    """Of a named port: (address, protocol, port)."""
    return IPSet(text, ports=tuple((parse_address(address), protocol, port) for address, protocol, port in members))


def ports(*numbers: int | tuple[int, int], named: tuple[int, ...] = ()) -> PortMatch:
    """A ports list: numbers, (first, last), indexes of named-port sets."""
    pairs = [(number, number) if isinstance(number, int) else number for number in numbers]
    return PortMatch(tuple(PortRange(first, last) for first, last in pairs), named)


def rule(action: str = "Allow", **criteria: object) -> CompiledRule:
    """A rule; the policy that gets it numbers it."""
    return CompiledRule(action=Action(action), **{"index": 0, **criteria})


def policy(
    *rules: CompiledRule, name: str = "p", kind: str = "GlobalNetworkPolicy", **fields: object
) -> CompiledPolicy:
    """A policy with the same rules for both directions, unless `ingress` or `egress` is given."""
    given = {"tier": "default", "namespace": "", "ingress": rules, "egress": rules, **fields}
    for direction in ("ingress", "egress"):
        given[direction] = tuple(
            CompiledRule(**{f: getattr(r, f) for f in r.__struct_fields__} | {"index": index})
            for index, r in enumerate(given[direction])
        )
    return CompiledPolicy(kind=kind, name=name, **given)


def profile(*rules: CompiledRule, name: str = "kns.a") -> CompiledPolicy:
    """A profile."""
    return policy(*rules, name=name, kind="Profile", tier="__PROFILE__")


class Tier:
    """A tier with its policies, as `ruleset` wants it."""

    def __init__(self, name: str, *policies: CompiledPolicy, default: str = "Deny") -> None:
        self.name, self.policies, self.default_deny = name, policies, default == "Deny"


def ruleset(*parts: Tier | CompiledPolicy, sets: tuple[IPSet, ...] = (), **fields: object) -> RuleSet:
    """Tiers, then profiles: the program of workloads `caliw` and `caliv` and of a host endpoint on `eth0`."""
    policies: list[CompiledPolicy] = []
    steps, profiles = [], []
    for part in parts:
        start = len(policies)
        if isinstance(part, Tier):
            policies += part.policies
            steps.append(TierStep(part.name, part.default_deny, tuple(range(start, len(policies)))))
        else:
            policies.append(part)
            profiles.append(start)
    given = {
        "node": "n1",
        "ip_sets": sets,
        "policies": tuple(policies),
        "programs": (Program(tuple(steps), tuple(profiles)),),
        "workloads": (workload("w", W, W6), workload("v", V)),
        "hosts": (host("h", "eth0", HOST),),
    }
    return RuleSet(**(given | fields))


def workload(name: str, *addresses: str, **fields: object) -> LocalEndpoint:
    """A workload endpoint on `cali<name>`."""
    return endpoint("WorkloadEndpoint", name, f"cali{name}", addresses, {"namespace": "a", **fields})


def host(name: str, interface: str, *addresses: str, **fields: object) -> LocalEndpoint:
    """A host endpoint."""
    return endpoint("HostEndpoint", name, interface, addresses, {"namespace": "", **fields})


def endpoint(
    kind: str, name: str, interface: str, addresses: tuple[str, ...], fields: dict[str, object]
) -> LocalEndpoint:
    """Either, with the first program for both directions."""
    packed = tuple(parse_address(text) for text in addresses)
    given = {"type": kind, "name": name, "interface": interface, "addresses": packed, "ingress": 0, "egress": 0}
    return LocalEndpoint(**(given | fields))


def settings(**fields: object) -> HostSettings:
    """A FelixConfiguration in force."""
    return HostSettings(**fields)


def packet(protocol: int, src: str = OUTSIDE, dst: str = W, sport: int = -1, dport: int = -1, **rest: int) -> Packet:
    """A packet of the family of its addresses."""
    source = parse_address(src)
    return Packet(4 if len(source) == 4 else 6, protocol, source, parse_address(dst), sport, dport, **rest)


def tcp(dport: int, src: str = OUTSIDE, dst: str = W, sport: int = 40000) -> Packet:
    """A TCP packet."""
    return packet(TCP, src, dst, sport, dport)


def udp(dport: int, src: str = OUTSIDE, dst: str = W, sport: int = 40000) -> Packet:
    """A UDP packet."""
    return packet(UDP, src, dst, sport, dport)


def icmp(kind: int, code: int = 0, src: str = OUTSIDE, dst: str = W) -> Packet:
    """An ICMP packet of the family of its addresses."""
    return packet(ICMP if ":" not in src else ICMPV6, src, dst, icmp_type=kind, icmp_code=code)
