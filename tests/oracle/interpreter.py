"""The specification read aloud: policy judged straight from resources and labels, packet by packet.

Law: written from the semantics alone. Nothing of the compiler or the engines is used: no IP sets, no programs, no woven
selectors; every label is looked up, every address compared, every time anew. Slow, and meant to be.
"""

from collections.abc import Iterable, Mapping

import msgspec

from calicod.model.action import Action
from calicod.model.interface import Interface
from calicod.model.network import Network
from calicod.model.ports import PortRange
from calicod.packet.value import Packet
from calicod.resources import kinds
from calicod.selector import tree

NAMESPACE, ORCHESTRATOR = "projectcalico.org/namespace", "projectcalico.org/orchestrator"
SERVICE_ACCOUNT = "projectcalico.org/serviceaccount"
RESERVED = ("pcns.", "pcsa.")
TCP, UDP, SCTP, ICMP, ICMPV6, IPIP = 6, 17, 132, 1, 58, 4
BUILT_IN = {"kube-admin": (1_000.0, False), "default": (1_000_000.0, True), "kube-baseline": (10_000_000.0, False)}
BOTH_WAYS = [(TCP, port, None) for port in (179, 2379, 2380, 5473, 6443, 6666, 6667)]
INBOUND = [(TCP, 22, None), (UDP, 68, None), *BOTH_WAYS]
OUTBOUND = [(UDP, 53, None), (UDP, 67, None), *BOTH_WAYS]
DISCOVERY = {130, 131, 132, 133, 135, 136}
LINK_ONLY = range(133, 138)  # D27; what no packet here says is that its hop limit is 255

Endpoint = kinds.WorkloadEndpoint | kinds.HostEndpoint


class Answer(msgspec.Struct, frozen=True):
    """Whether the packet passes, why, and the deciding rule: kind, namespace, name, index (-1: the end of a tier).

    `hits`: hit strings (6.3) without their numbers.
    """

    allow: bool
    reason: str
    rule: tuple[str, str, str, int] | None = None
    hits: tuple[str, ...] = ()


PASSED = Answer(allow=True, reason="no-endpoint")
EARLY = {"input": ("untracked", "preDNAT"), "forward": ("untracked", "preDNAT"), "output": ("untracked",)}
EARLY |= {"prerouting": ("untracked", "preDNAT"), "raw-prerouting": ("untracked",), "raw-output": ("untracked",)}
OPEN = {"no-endpoint", "no-verdict"}


def later(first: Answer, second: Answer) -> Answer:
    """The answer of two in turn, the first of which let the packet pass: the last that came to a verdict."""
    told = first if second.reason in OPEN and first.reason != "no-endpoint" else second
    return msgspec.structs.replace(told, hits=first.hits + second.hits)


class Member(msgspec.Struct, frozen=True):
    """What a selector may match: labels, and addresses or networks."""

    labels: dict[str, str]
    networks: tuple[Network, ...]
    ports: tuple[kinds.EndpointPort, ...] = ()


class Interpreter:
    """One cluster, seen from one node (None: every endpoint is local)."""

    def __init__(self, resources: Iterable[kinds.Resource], node: str | None, interfaces: Iterable[Interface]) -> None:
        self.node = node
        self.interfaces = tuple(interfaces)
        resources = tuple(resources)
        self.policies = [r for r in resources if isinstance(r, kinds.Policy) and r.staged_action != "Delete"]
        self.enforces_staged = False
        self.met_staged = False
        self.profiles = {r.metadata.name: r for r in resources if isinstance(r, kinds.Profile)}
        self.tiers = dict(BUILT_IN)
        for r in resources:
            if isinstance(r, kinds.Tier):
                order = 1_000_000.0 if r.order is None else r.order
                self.tiers[r.metadata.name] = (order, r.default_action is not Action.PASS)
        self.slices = [r for r in resources if isinstance(r, kinds.EndpointSlice)]
        labels = next(
            (r.metadata.labels for r in resources if isinstance(r, kinds.Node) and r.metadata.name == node), None
        )
        self.felix = self.configuration([r for r in resources if isinstance(r, kinds.FelixConfiguration)], labels)
        spoofing = self.felix.get("workload_source_spoofing") == "Any"
        workloads = [self.named(r) for r in resources if isinstance(r, kinds.WorkloadEndpoint)]
        self.workloads = [
            w
            for w in workloads
            if w.ip_networks and w.interface_name and (spoofing or not w.allow_spoofed_source_prefixes)
        ]
        self.hosts = sorted(
            (r for r in resources if isinstance(r, kinds.HostEndpoint)), key=lambda h: h.metadata.name.encode()
        )
        self.sets = [r for r in resources if isinstance(r, kinds.NetworkSet)]
        self.members = [
            *(Member(self.labels(e), hosts_of(addresses(e)), e.ports) for e in (*self.workloads, *self.hosts)),
            *(Member(self.labels(s), s.nets) for s in self.sets),
        ]

    def named(self, workload: kinds.WorkloadEndpoint) -> kinds.WorkloadEndpoint:
        """1.12: a pod's interface has the first prefix that is given, then the hash."""
        given = [p for p in self.felix.get("interface_prefix") or () if p]
        if not (workload.interface_hash and given):
            return workload
        return msgspec.structs.replace(workload, interface_name=given[0] + workload.interface_hash)

    def configuration(self, given: list[kinds.FelixConfiguration], labels: dict[str, str] | None) -> dict[str, object]:
        """1.13: `default`, then the oldest that selects the node, then the node's own, field by field."""
        chosen = [f for f in given if f.node_selector is not None and chooses(f.node_selector, labels)]
        oldest = sorted(chosen, key=lambda f: (f.creation_timestamp, f.metadata.name))[:1]
        merged: dict[str, object] = {}
        for felix in (
            *(f for f in given if f.metadata.name == "default"),
            *oldest,
            *(f for f in given if f.metadata.name == f"node.{self.node}"),
        ):
            merged |= {name: value for name, value in msgspec.structs.asdict(felix).items() if value is not None}
        return merged

    # Labels (1.7 to 1.12, 3.6)

    def labels(self, thing: Endpoint | kinds.NetworkSet) -> dict[str, str]:
        """Own labels, those that Calico adds, those of profiles."""
        own = dict(thing.metadata.labels)
        parents: tuple[str, ...] = ()
        if isinstance(thing, kinds.WorkloadEndpoint):
            own = {k: v for k, v in own.items() if not k.startswith(RESERVED)}
            own[NAMESPACE] = thing.metadata.namespace
            if thing.orchestrator:
                own[ORCHESTRATOR] = thing.orchestrator
            if 0 < len(thing.service_account_name) < 63:
                own[SERVICE_ACCOUNT] = thing.service_account_name
            parents = thing.profiles
        elif isinstance(thing, kinds.HostEndpoint):
            parents = thing.profiles
        elif thing.metadata.namespace:
            own[NAMESPACE] = thing.metadata.namespace
            parents = (f"kns.{thing.metadata.namespace}",)
        for parent in reversed(parents):
            profile = self.profiles.get(parent)
            if profile is not None:
                own = {**own, **{k: v for k, v in profile.labels_to_apply.items() if not self.is_own(thing, k)}}
        return own

    def is_own(self, thing: Endpoint | kinds.NetworkSet, label: str) -> bool:
        """An endpoint's own label wins over a profile's."""
        if label in {NAMESPACE, ORCHESTRATOR, SERVICE_ACCOUNT} and label in self.forced(thing):
            return True
        workload = isinstance(thing, kinds.WorkloadEndpoint)
        return label in thing.metadata.labels and not (workload and label.startswith(RESERVED))

    def forced(self, thing: Endpoint | kinds.NetworkSet) -> set[str]:
        """Labels that Calico itself sets."""
        found = {NAMESPACE} if thing.metadata.namespace else set()
        if isinstance(thing, kinds.WorkloadEndpoint):
            found |= {NAMESPACE}
            found |= {ORCHESTRATOR} if thing.orchestrator else set()
            found |= {SERVICE_ACCOUNT} if 0 < len(thing.service_account_name) < 63 else set()
        return found

    # Which policies govern an endpoint (3.6, 4.2)

    def governs(self, policy: kinds.Policy, labels: Mapping[str, str], direction: str) -> bool:
        """The effective selector matches, and the policy has this direction."""
        if not getattr(policy, f"governs_{direction}"):
            return False
        namespace = policy.metadata.namespace
        accounts = policy.service_account_selector
        if namespace:
            inside = labels.get(NAMESPACE) == namespace
            chosen = policy.selector is None or holds(policy.selector, labels)
            served = accounts is None or holds(accounts, labels, "pcsa.")
            return inside and chosen and served
        # `all()` becomes a test for a namespace, then for a service account, in whatever stands there by then
        every: list[str] = []
        every += [NAMESPACE] if policy.namespace_selector is not None else []
        if not every and accounts is not None:
            every = [SERVICE_ACCOUNT]
        bearer = every[0] if every else None
        chosen = policy.selector is None or holds(policy.selector, labels, every=bearer)
        spaced = policy.namespace_selector is None or holds(policy.namespace_selector, labels, "pcns.", every=NAMESPACE)
        served = accounts is None or holds(accounts, labels, "pcsa.", every=SERVICE_ACCOUNT)
        return chosen and spaced and served

    # One endpoint, one direction (4.4)

    def run(self, endpoint: Endpoint, direction: str, packet: Packet, stage: str = "normal") -> Answer:
        """Tiers in order, profiles in order, deny. Nobody is asked in another stage without a policy for it (D11)."""
        mine = self.taking_part(endpoint, direction, stage)
        if not mine and stage != "normal":
            return PASSED
        hits: list[str] = []
        names = {*self.tiers, *(p.tier for p in self.policies)}
        ghost = (0.0, True)
        order = sorted(names, key=lambda n: (n not in self.tiers, self.tiers.get(n, ghost)[0], n.encode()))
        for name in order:
            inside = sorted((p for p in mine if p.tier == name), key=policy_order)
            if not inside:
                continue
            found = self.first(inside, direction, packet)
            if found is not None:
                policy, index, action = found
                hits.append(hit(name, policy, action, index))
                if action is Action.PASS:
                    continue
                return Answer(action is Action.ALLOW, "rule", (*key(policy), index), tuple(hits))
            # 6.3: told of the last enforced policy; in the pending trace of the first that did not match
            told = inside[0] if self.enforces_staged else inside[-1]
            denies = self.tiers.get(name, ghost)[1] and stage in {"normal", "forward"}
            hits.append(hit(name, told, Action.DENY if denies else Action.PASS, -1))
            if denies:
                return Answer(allow=False, reason="end-of-tier", rule=(*key(told), -1), hits=tuple(hits))
        if stage != "normal":
            return Answer(allow=True, reason="no-verdict", hits=tuple(hits))
        return self.by_profiles(endpoint, direction, packet, hits)

    def taking_part(self, endpoint: Endpoint, direction: str, stage: str) -> list[kinds.Policy]:
        """1.5: staged policies are evaluated only where one asks what they would do."""
        labels = self.labels(endpoint)
        mine = [p for p in self.policies if self.governs(p, labels, direction) and self.is_for(p, stage, endpoint)]
        self.met_staged = self.met_staged or any(p.kind.startswith("Staged") for p in mine)
        return [p for p in mine if self.enforces_staged or not p.kind.startswith("Staged")]

    def asks(self, endpoint: Endpoint, direction: str, stage: str) -> bool:
        """Whether any policy takes part; the question alone meets no staged one."""
        met = self.met_staged
        asked = stage == "normal" or bool(self.taking_part(endpoint, direction, stage))
        self.met_staged = met
        return asked

    @staticmethod
    def is_for(policy: kinds.Policy, stage: str, endpoint: Endpoint) -> bool:
        """The table of 4.2."""
        if policy.do_not_track:
            return stage == "untracked" and isinstance(endpoint, kinds.HostEndpoint) and endpoint.interface_name != "*"
        if policy.pre_dnat:
            return stage == "preDNAT" and isinstance(endpoint, kinds.HostEndpoint)
        return stage == "normal" or (stage == "forward" and policy.apply_on_forward)

    def pending(self, packet: Packet, hook: str, inbound: str, outbound: str) -> Answer | None:
        """6.3: the answer if staged policies were enforced; None where none of them takes part, nor has an effect."""
        now = self.judge(packet, hook, inbound, outbound)
        self.enforces_staged, self.met_staged = True, False
        answer = self.judge(packet, hook, inbound, outbound)
        self.enforces_staged = False
        return answer if self.met_staged or answer.allow is not now.allow else None

    def first(
        self, policies: Iterable[kinds.Policy], direction: str, packet: Packet
    ) -> tuple[kinds.Policy, int, Action] | None:
        """The first rule that matches and is not Log."""
        for policy in policies:
            for index, rule in enumerate(getattr(policy, direction)):
                if rule.action is not Action.LOG and self.matches(rule, policy.metadata.namespace, packet):
                    return policy, index, rule.action
        return None

    def by_profiles(self, endpoint: Endpoint, direction: str, packet: Packet, hits: list[str]) -> Answer:
        """A profile that is not there denies; a Pass goes on with the next one (D10)."""

        def answer(name: str, action: Action, index: int) -> Answer:
            told = (*hits, f"__PROFILE__|pro:{name}|{action.value.lower()}|{index}")
            return Answer(action is Action.ALLOW, "profile", ("Profile", "", name, index), told)

        for name in endpoint.profiles:
            profile = self.profiles.get(name)
            if name == "projectcalico-default-allow":
                return answer(name, Action.ALLOW, 0)
            if profile is None:
                return answer(name, Action.DENY, 0)
            for index, rule in enumerate(getattr(profile, direction)):
                if rule.action is Action.LOG or not self.matches(rule, "", packet):
                    continue
                if rule.action is Action.PASS:
                    hits.append(f"__PROFILE__|pro:{name}|pass|{index}")
                    break
                return answer(name, rule.action, index)
        return Answer(allow=False, reason="no-profile", hits=(*hits, "__PROFILE__|pro:|deny|-1"))

    # One rule (section 2)

    def matches(self, rule: kinds.Rule, namespace: str, packet: Packet) -> bool:
        """Every criterion holds."""
        if rule.ip_version not in {None, packet.family}:
            return False
        protocol = rule.protocol
        if protocol is not None:
            family = protocol.family or icmp_family(rule)
            if protocol.number != packet.protocol or family not in {None, packet.family}:
                return False
        if rule.not_protocol is not None and rule.not_protocol.number == packet.protocol:
            return False
        own = packet.protocol == (ICMP if packet.family == 4 else ICMPV6)
        if rule.icmp is not None and rule.icmp.type is not None and not (own and icmp_equal(rule.icmp, packet)):
            return False
        if (
            rule.not_icmp is not None
            and rule.not_icmp.type is not None
            and not (own and not icmp_equal(rule.not_icmp, packet))
        ):
            return False
        return all(self.side(rule, side, namespace, packet) for side in ("source", "destination"))

    def side(self, rule: kinds.Rule, side: str, namespace: str, packet: Packet) -> bool:
        """nets, ports, selectors of one side."""
        entity: kinds.EntityRule = getattr(rule, side)
        address, port = (packet.src, packet.sport) if side == "source" else (packet.dst, packet.dport)
        for nets, wanted in ((entity.nets, True), (entity.not_nets, False)):
            mine = [net for net in nets if net.family == packet.family]
            if nets and not mine:
                return False  # 2.4: the rule is skipped for a family of which a list has no network
            if nets and any(address in net for net in mine) is not wanted:
                return False
        if entity.services is not None and not self.behind(entity.services, side, namespace, packet):
            return False
        positive = self.positive(entity, namespace)
        if positive is not None or entity.not_selector is not None:
            covering = [m for m in self.members if any(address in net for net in m.networks)]
            refused = entity.not_selector
            if positive is not None:
                if not any(positive(m.labels) and not (refused and holds(refused, m.labels)) for m in covering):
                    return False
            elif refused is not None and any(holds(refused, m.labels) for m in covering):
                return False
        # 2.8 (2): the positive selector, with the notSelector folded in, limits whose names count
        eligible = [
            m
            for m in self.members
            if positive is None
            or (positive(m.labels) and not (entity.not_selector and holds(entity.not_selector, m.labels)))
        ]
        return self.ports(rule, entity, eligible, (address, packet.protocol, port))

    def behind(self, service: kinds.ServiceMatch, side: str, namespace: str, packet: Packet) -> bool:
        """2.12: of the source the address alone, of the destination address, protocol and port of one slice."""
        mine = [s for s in self.slices if s.service == service.name]
        mine = [s for s in mine if s.metadata.namespace == (service.namespace or namespace)]
        if side == "source":
            return any(packet.src in s.addresses for s in mine)
        return any(packet.dst in s.addresses and (packet.protocol, packet.dport) in s.ports for s in mine)

    def ports(
        self, rule: kinds.Rule, entity: kinds.EntityRule, eligible: list[Member], seen: tuple[bytes, int, int]
    ) -> bool:
        """In `ports`, not in `notPorts`."""
        if entity.ports and not self.in_ports(rule, entity.ports, eligible, seen):
            return False
        if not entity.not_ports:
            return True
        if seen[2] < 0 and any(isinstance(p, PortRange) for p in entity.not_ports):
            return False
        return not self.in_ports(rule, entity.not_ports, eligible, seen)

    @staticmethod
    def in_ports(
        rule: kinds.Rule, ports: Iterable[kinds.Port], eligible: list[Member], seen: tuple[bytes, int, int]
    ) -> bool:
        """A number, a range, or a name that the address has for this protocol and port."""
        address, protocol, port = seen
        counted = {rule.protocol.number} if rule.protocol is not None else {TCP, UDP, SCTP}
        for wanted in ports:
            if isinstance(wanted, PortRange):
                if port >= 0 and wanted.first <= port <= wanted.last:
                    return True
                continue
            for member in eligible:
                has = any(address in net for net in member.networks)
                for own in member.ports:
                    if (
                        has
                        and own.name == wanted
                        and own.protocol in counted
                        and (own.protocol, own.port) == (protocol, port)
                    ):
                        return True
        return False

    def positive(self, entity: kinds.EntityRule, namespace: str):
        """2.10: the positive selector of a side as a function of labels; None: no criterion."""
        accounts, parts = entity.service_accounts, []
        if accounts is not None and accounts.names:
            parts.append(lambda labels: labels.get(SERVICE_ACCOUNT) in accounts.names)
        if accounts is not None and accounts.selector is not None:
            parts.append(lambda labels: holds(accounts.selector, labels, "pcsa."))
        if entity.selector is not None:
            parts.append(lambda labels: holds(entity.selector, labels))
        if entity.namespace_selector is not None:
            spaces = entity.namespace_selector
            parts.append(lambda labels: holds(spaces, labels, "pcns.", every=NAMESPACE, outside=True))
        elif namespace and (parts or entity.not_selector is not None):
            parts.append(lambda labels: labels.get(NAMESPACE) == namespace)
        return (lambda labels: all(part(labels) for part in parts)) if parts else None

    # A packet's way through the node (4.6 to 4.11) and through a cluster

    def judge(self, packet: Packet, hook: str, inbound: str, outbound: str) -> Answer:
        """The answer to a packet on its way past a hook; interfaces by name. What is on `lo` is on it twice (D30)."""
        if (hook, inbound) != ("input", "lo") and (hook, outbound) != ("output", "lo"):
            return self.way(packet, hook, inbound, outbound)
        sent, got = self.way(packet, "output", "", "lo"), self.way(packet, "input", "lo", "")
        return later(sent, got) if sent.allow else sent

    def way(self, packet: Packet, hook: str, inbound: str, outbound: str) -> Answer:
        """4.7: the early stages, then the hook, in which an allow of an early one spares some (4.8).

        Also what the packet does not get to is asked: its staged policies are on the way.
        """
        told, spared = PASSED, False
        direction, interface = ("egress", outbound) if hook.endswith("output") else ("ingress", inbound)
        for stage in EARLY[hook]:
            answer = self.early(packet, stage, direction, interface)
            if told.allow and not spared:
                told, spared = later(told, answer), answer.allow and answer.reason == "rule"
        whole = self.at(packet, hook, inbound, outbound, spared=False)
        if not told.allow:
            return told
        return later(told, self.at(packet, hook, inbound, outbound, spared=True) if spared else whole)

    def at(self, packet: Packet, hook: str, inbound: str, outbound: str, *, spared: bool) -> Answer:
        """What a hook says that comes behind the early stages."""
        if hook == "input":
            return self.to_host(packet, inbound, spared=spared)
        if hook == "output":
            return self.from_host(packet, outbound, spared=spared)
        return self.forwarded(packet, inbound, outbound, spared=spared) if hook == "forward" else PASSED

    def early(self, packet: Packet, stage: str, direction: str, interface: str) -> Answer:
        """4.11, 4.13, 4.14: `*` has no untracked policy; its preDNAT policy is for all who have none."""
        host = None if self.is_workload(interface) else self.own_host(interface)
        if stage == "preDNAT" and interface != "lo" and (host is None or not self.asks(host, direction, stage)):
            host = self.wild_host()
        if host is None or not self.asks(host, direction, stage):
            return PASSED
        far, back = (packet.src, "egress") if direction == "ingress" else (packet.dst, "ingress")
        if self.is_failsafe(direction, packet.protocol, packet.dport, far):
            return Answer(allow=True, reason="failsafe")
        if stage == "untracked" and self.is_failsafe(back, packet.protocol, packet.sport, far):
            return Answer(allow=True, reason="failsafe")
        advertises = packet.icmp_type == 134 and self.is_workload(interface)
        if packet.family == 6 and packet.protocol == ICMPV6 and packet.icmp_type in LINK_ONLY and not advertises:
            return Answer(allow=True, reason="neighbour-discovery")
        return Answer(allow=False, reason="fragment") if packet.fragment else self.run(host, direction, packet, stage)

    def forwarded(self, packet: Packet, inbound: str, outbound: str, *, spared: bool) -> Answer:
        """D18: host endpoint of the way in, sending workload, receiving workload, host endpoint of the way out."""
        entering: list[tuple[Endpoint, str, str]] = []
        leaving: list[tuple[Endpoint, str, str]] = []
        for name, direction, stages in ((inbound, "egress", entering), (outbound, "ingress", leaving)):
            if self.is_workload(name):
                workload = self.workload(name)
                if workload is None:
                    return Answer(allow=False, reason="unknown-interface")
                stages.append((workload, direction, "normal"))
        way_in, way_out = None if spared else self.host(inbound), self.host(outbound)
        entering[:0] = [(way_in, "ingress", "forward")] if way_in else []
        leaving += [(way_out, "egress", "forward")] if way_out else []
        asked = [stage for stage in (*entering, *leaving) if self.asks(*stage)]
        if not asked:
            return PASSED
        if packet.fragment:
            return Answer(allow=False, reason="fragment")
        if self.is_workload(inbound) and self.is_tunnel(packet):
            return Answer(allow=False, reason="tunnel-from-workload")
        return self.through(asked, packet)

    def through(self, stages: list[tuple[Endpoint, str, str]], packet: Packet) -> Answer:
        """D18: the first denial is final, else the last verdict."""
        told = PASSED
        for endpoint, direction, stage in stages:
            self.taking_part(endpoint, direction, stage)  # one that nobody gets to has its staged policies too
            if told.allow:
                told = later(told, self.run(endpoint, direction, packet, stage))
        return told

    def to_host(self, packet: Packet, inbound: str, *, spared: bool) -> Answer:
        """From a workload: its egress policy, then the endpoint-to-host action; else the host endpoint."""
        if self.is_workload(inbound):
            return self.workload_to_host(packet, self.workload(inbound))
        host = self.host(inbound)
        return PASSED if host is None or spared else self.by_host(host, "ingress", packet, packet.src)

    def workload_to_host(self, packet: Packet, workload: kinds.WorkloadEndpoint | None) -> Answer:
        """4.9: discovery, then egress policy, then DefaultEndpointToHostAction."""
        if workload is None:
            return Answer(allow=False, reason="unknown-interface")
        if packet.family == 6 and packet.protocol == ICMPV6 and packet.icmp_type in DISCOVERY:
            return Answer(allow=True, reason="neighbour-discovery")
        if packet.fragment:
            return Answer(allow=False, reason="fragment")
        if self.is_tunnel(packet):
            return Answer(allow=False, reason="tunnel-from-workload")
        answer = self.run(workload, "egress", packet)
        action = str(self.felix.get("default_endpoint_to_host_action") or "Drop").lower()
        refused = Answer(allow=False, reason="endpoint-to-host", hits=answer.hits)
        return refused if answer.allow and action == "drop" else answer

    def from_host(self, packet: Packet, outbound: str, *, spared: bool) -> Answer:
        """4.8: the host reaches its workloads unjudged."""
        if self.is_workload(outbound):
            return Answer(allow=True, reason="host-to-workload")
        host = self.host(outbound)
        return PASSED if host is None or spared else self.by_host(host, "egress", packet, packet.dst)

    def by_host(self, host: kinds.HostEndpoint, direction: str, packet: Packet, far: bytes) -> Answer:
        """Failsafes (4.11) and neighbour discovery (D27) first."""
        if self.is_failsafe(direction, packet.protocol, packet.dport, far):
            return Answer(allow=True, reason="failsafe")
        if packet.family == 6 and packet.protocol == ICMPV6 and packet.icmp_type in LINK_ONLY:
            return Answer(allow=True, reason="neighbour-discovery")
        return Answer(allow=False, reason="fragment") if packet.fragment else self.run(host, direction, packet)

    def is_failsafe(self, direction: str, protocol: int, port: int, far: bytes) -> bool:
        """4.11: an entry names protocol and port, and the far side if it has a network."""
        name = "inbound" if direction == "ingress" else "outbound"
        given = self.felix.get(f"failsafe_{name}_host_ports")
        usual = INBOUND if direction == "ingress" else OUTBOUND
        entries = usual if given is None else [(f.protocol, f.port, f.net) for f in given]
        return any((p, number) == (protocol, port) and (net is None or far in net) for p, number, net in entries)

    def is_workload(self, name: str) -> bool:
        """The name begins with a workload prefix."""
        prefixes = [p for p in self.felix.get("interface_prefix") or () if p] or ["cali"]
        return any(name.startswith(p) for p in prefixes)

    def is_tunnel(self, packet: Packet) -> bool:
        """4.6: VXLAN and IPIP."""
        vxlan = packet.protocol == UDP and packet.dport == (self.felix.get("vxlan_port") or 4789)
        if vxlan:
            return not self.felix.get("allow_vxlan_packets_from_workloads")
        return packet.protocol == IPIP and not self.felix.get("allow_ipip_packets_from_workloads")

    def here(self, endpoint: Endpoint) -> bool:
        """Of this node."""
        return self.node in {None, endpoint.node}

    def workload(self, interface: str) -> kinds.WorkloadEndpoint | None:
        """Of two on one interface, the one that Felix makes active."""

        def felix_order(w: kinds.WorkloadEndpoint) -> tuple[bytes, ...]:
            name = f"{w.metadata.namespace}/{w.workload}"
            return tuple(x.encode() for x in (w.orchestrator, name, w.endpoint, w.node, w.metadata.name))

        found = [w for w in self.workloads if w.interface_name == interface and self.here(w)]
        return min(found, key=felix_order, default=None)

    def host(self, interface: str) -> kinds.HostEndpoint | None:
        """1.8: its own host endpoint, else the `*` unless it is `lo` (D6)."""
        own = None if self.is_workload(interface) else self.own_host(interface)
        return own or (None if interface == "lo" else self.wild_host())

    def own_host(self, interface: str) -> kinds.HostEndpoint | None:
        """1.8: the smallest name of those that name the interface, or one of its addresses."""
        known = next((i for i in self.interfaces if i.name == interface), None)
        for host in self.hosts if known is not None else ():
            by_name = host.interface_name == interface
            by_address = not host.interface_name and interface != "lo" and {*host.expected_ips} & {*known.addresses}
            if self.here(host) and (by_name or by_address):
                return host
        return None

    def wild_host(self) -> kinds.HostEndpoint | None:
        """The smallest name of the `*`."""
        return next((h for h in self.hosts if h.interface_name == "*" and self.here(h)), None)


TESTS = {
    tree.Has: lambda _, value: value is not None,
    tree.Equals: lambda node, value: value == node.value,
    tree.NotEquals: lambda node, value: value != node.value,
    tree.In: lambda node, value: value is not None and value in node.values,
    tree.NotIn: lambda node, value: value is None or value not in node.values,
    tree.Contains: lambda node, value: value is not None and node.value in value,
    tree.StartsWith: lambda node, value: value is not None and value[: len(node.value)] == node.value,
    tree.EndsWith: lambda node, value: value is not None and value.endswith(node.value),
}
"""What a test of one label means for its value, None where the label is missing (3.4)."""


def holds(
    selector: tree.Selector,
    labels: Mapping[str, str],
    prefix: str = "",
    every: str | None = None,
    *,
    outside: bool = False,
) -> bool:
    """A selector on labels. `every`: `all()` means to have this label; `outside`: `global()` means no namespace."""

    def ask(node: tree.Selector) -> bool:
        match node:
            case tree.All():
                return every is None or every in labels
            case tree.Global():
                return not outside or NAMESPACE not in labels
            case tree.Not(operand):
                return not ask(operand)
            case tree.And(operands):
                return all(map(ask, operands))
            case tree.Or(operands):
                return any(map(ask, operands))
        return TESTS[type(node)](node, labels.get(prefix + node.label))

    return ask(selector)


def chooses(selector: tree.Selector, labels: dict[str, str] | None) -> bool:
    """A node whose labels nobody told is chosen by `all()` alone."""
    return isinstance(selector, tree.All) if labels is None else holds(selector, labels)


def policy_order(policy: kinds.Policy) -> tuple[bool, float, bytes]:
    """4.1: no order is last; then the text `name/namespace/kind`."""
    text = f"{policy.metadata.name}/{policy.metadata.namespace}/{policy.kind}".encode()
    return policy.order is None, policy.order or 0.0, text


SHORT = {
    "NetworkPolicy": "np",
    "GlobalNetworkPolicy": "gnp",
    "StagedNetworkPolicy": "snp",
    "StagedGlobalNetworkPolicy": "sgnp",
    "StagedKubernetesNetworkPolicy": "sknp",
}


def hit(tier: str, policy: kinds.Policy, action: Action, index: int) -> str:
    """6.3: a policy hit string without its number."""
    _, namespace, name = key(policy)
    return f"{tier}|{SHORT[policy.kind]}:{namespace}{'/' * bool(namespace)}{name}|{action.value.lower()}|{index}"


def key(policy: kinds.Policy) -> tuple[str, str, str]:
    """What names a policy."""
    return policy.kind, policy.metadata.namespace, policy.metadata.name


def addresses(endpoint: Endpoint) -> tuple[bytes, ...]:
    """ipNetworks or expectedIPs."""
    return endpoint.ip_networks if isinstance(endpoint, kinds.WorkloadEndpoint) else endpoint.expected_ips


def hosts_of(given: Iterable[bytes]) -> tuple[Network, ...]:
    """Single addresses as networks."""
    return tuple(Network(address, len(address) * 8) for address in given)


def icmp_family(rule: kinds.Rule) -> int | None:
    """2.3: a number with icmp fields means the family that it belongs to."""
    has = any(m is not None and m.type is not None for m in (rule.icmp, rule.not_icmp))
    return {ICMP: 4, ICMPV6: 6}.get(rule.protocol.number) if has and rule.protocol else None


def icmp_equal(match: kinds.IcmpMatch, packet: Packet) -> bool:
    """Type, and code if there is one."""
    return match.type == packet.icmp_type and match.code in {None, packet.icmp_code}
