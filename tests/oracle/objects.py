"""Random clusters as Kubernetes has them, as JSON: few namespaces, few labels, many policies.

Law: everything comes from the given random generator, and everything is what the API would accept.
"""

from random import Random
from typing import Any

Object = dict[str, Any]
SPACES = ("x", "y", "z")
NAMES = ("http", "dns")
PROTOCOLS = ("TCP", "UDP", "SCTP")
OUTSIDE = ("203.0.113.9", "2001:db8::9")
GROUP = "policy.networking.k8s.io"
CIDRS = ("10.0.0.0/30", "10.0.0.4/30", "10.0.0.2/32", "203.0.113.0/24", "0.0.0.0/0", "fd00::/126", "::/0")


class Forge:
    """Makes the objects of one cluster."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def one(self, *choices: Any) -> Any:
        """Any of them."""
        return self.random.choice(choices)

    def some(self, make: Any, least: int, most: int) -> list[Any]:
        """So many made."""
        return [make() for _ in range(self.random.randint(least, most))]

    def cluster(self) -> list[Object]:
        """Namespaces, pods, and policies of all kinds."""
        spaces = [self.head("v1", "Namespace", name, labels={"name": name, **self.labels()}) for name in SPACES]
        pods = [self.pod(number) for number in range(7)]
        policies = [self.network_policy(number) for number in range(self.random.randint(0, 4))]
        priorities = self.random.sample(range(1001), 6)
        clusters = [self.cluster_policy(priority) for priority in priorities[: self.random.randint(0, 3)]]
        admins = [self.admin_policy(priority) for priority in priorities[3 : 3 + self.random.randint(0, 2)]]
        last = [self.baseline()] if self.random.random() < 0.3 else []
        return [*spaces, *pods, *policies, *clusters, *admins, *last]

    def head(self, version: str, kind: str, name: str, namespace: str = "", **more: Any) -> Object:
        """An object without its spec."""
        metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more}
        return {"apiVersion": version, "kind": kind, "metadata": metadata}

    def labels(self) -> dict[str, str]:
        """Few keys, few values."""
        return {key: self.one("1", "2", "") for key in ("k", "l") if self.random.random() < 0.6}

    def pod(self, number: int) -> Object:
        """A pod with two addresses, now and then one that has no network of its own."""
        ports = [
            {"name": name, "containerPort": self.one(53, 80), "protocol": self.one(*PROTOCOLS)}
            for name in NAMES
            if self.random.random() < 0.7
        ]
        if number % 2 and ports:
            del ports[0]["protocol"]
        spec = {"nodeName": self.one("n1", "n2"), "hostNetwork": self.random.random() < 0.1}
        spec[self.one("containers", "initContainers")] = [{"name": "c", "image": "i", "ports": ports}]
        status = {
            "phase": self.one(*["Running"] * 9, "Succeeded"),
            "podIPs": [{"ip": f"10.0.0.{number + 1}"}, {"ip": f"fd00::{number + 1}"}],
        }
        return {
            **self.head("v1", "Pod", f"p{number}", self.one(*SPACES), labels=self.labels()),
            "spec": spec,
            "status": status,
        }

    def selector(self) -> Object:
        """A LabelSelector; an empty one now and then."""
        found: Object = {}
        if self.random.random() < 0.4:
            found["matchLabels"] = self.labels()
        if self.random.random() < 0.4:
            found["matchExpressions"] = self.some(self.expression, 1, 2)
        return found

    def expression(self) -> Object:
        """One requirement."""
        operator = self.one("In", "NotIn", "Exists", "DoesNotExist")
        values = {"values": self.random.sample(["1", "2", ""], self.random.randint(1, 2))}
        return {"key": self.one("k", "l"), "operator": operator, **(values if operator.endswith("In") else {})}

    def network_policy(self, number: int) -> Object:
        """A NetworkPolicy."""
        spec: Object = {"podSelector": self.selector()}
        if self.random.random() < 0.8:
            spec["ingress"] = self.some(lambda: self.entry("from"), 0, 3)
        if self.random.random() < 0.6:
            spec["egress"] = self.some(lambda: self.entry("to"), 0, 3)
        if self.random.random() < 0.6:
            spec["policyTypes"] = self.one(["Ingress"], ["Egress"], ["Egress", "Ingress"])
        return {**self.head("networking.k8s.io/v1", "NetworkPolicy", f"n{number}", self.one(*SPACES)), "spec": spec}

    def entry(self, side: str) -> Object:
        """An entry of a NetworkPolicy."""
        found: Object = {}
        if self.random.random() < 0.7:
            found[side] = self.some(self.peer, 0, 2)
        if self.random.random() < 0.7:
            found["ports"] = self.some(self.port, 0, 3)
        return found

    def peer(self) -> Object:
        """A peer of a NetworkPolicy."""
        if self.random.random() < 0.3:
            cidr, excepted = self.one(("10.0.0.0/29", "10.0.0.2/31"), ("fd00::/64", "fd00::2/127"), ("0.0.0.0/0", None))
            return {"ipBlock": {"cidr": cidr, **({"except": [excepted]} if excepted else {})}}
        kinds = self.one(("podSelector",), ("namespaceSelector",), ("podSelector", "namespaceSelector"))
        return {kind: self.selector() for kind in kinds}

    def port(self) -> Object:
        """A port of a NetworkPolicy."""
        found: Object = {"protocol": self.one(*PROTOCOLS)} if self.random.random() < 0.7 else {}
        port = self.one(None, 53, 80, 79, *NAMES)
        if port is not None:
            found["port"] = port
        if isinstance(port, int) and self.random.random() < 0.3:
            found["endPort"] = port + self.one(0, 1, 40)
        return found

    def subject(self) -> Object:
        """The subject, or a peer, of a policy of the cluster."""
        if self.random.random() < 0.5:
            return {"namespaces": self.selector()}
        return {"pods": {"namespaceSelector": self.selector(), "podSelector": self.selector()}}

    def far(self, side: str) -> Object:
        """A peer of a policy of the cluster; of the kinds that nobody knows, now and then."""
        chance = self.random.random()
        if side == "from" or chance < 0.6:
            return self.subject()
        networks = {"networks": self.random.sample(CIDRS, self.random.randint(1, 2))}
        return self.one({"nodes": {}}, {"domainNames": ["example.org"]}) if chance > 0.95 else networks

    def rules(self, actions: tuple[str, ...], side: str, ports: Any) -> list[Object]:
        """Rules of a policy of the cluster."""

        def rule() -> Object:
            found = {"action": self.one(*actions), side: self.some(lambda: self.far(side), 1, 2)}
            return found | ports() if self.random.random() < 0.6 else found

        return self.some(rule, 0, 3)

    def cluster_policy(self, priority: int) -> Object:
        """A ClusterNetworkPolicy."""
        spec = {"tier": self.one("Admin", "Baseline"), "priority": priority, "subject": self.subject()}
        actions = ("Accept", "Deny", "Pass")
        ports = lambda: {"protocols": self.some(self.protocol, 1, 2)}  # noqa: E731  named for the reader
        spec |= {"ingress": self.rules(actions, "from", ports), "egress": self.rules(actions, "to", ports)}
        return {**self.head(f"{GROUP}/v1alpha2", "ClusterNetworkPolicy", f"c{priority}"), "spec": spec}

    def protocol(self) -> Object:
        """A protocol of a ClusterNetworkPolicy."""
        if self.random.random() < 0.2:
            return {"destinationNamedPort": self.one(*NAMES)}
        port = self.one(None, {"number": 80}, {"number": 53}, {"range": {"start": 54, "end": 80}})
        return {self.one("tcp", "udp", "sctp"): {} if port is None else {"destinationPort": port}}

    def admin_policy(self, priority: int) -> Object:
        """An AdminNetworkPolicy."""
        spec = {"priority": priority, "subject": self.subject(), **self.old_rules(("Allow", "Deny", "Pass"))}
        return {**self.head(f"{GROUP}/v1alpha1", "AdminNetworkPolicy", f"a{priority}"), "spec": spec}

    def baseline(self) -> Object:
        """The BaselineAdminNetworkPolicy."""
        spec = {"subject": self.subject(), **self.old_rules(("Allow", "Deny"))}
        return {**self.head(f"{GROUP}/v1alpha1", "BaselineAdminNetworkPolicy", "default"), "spec": spec}

    def old_rules(self, actions: tuple[str, ...]) -> Object:
        """Rules of the older kinds."""
        ports = lambda: {"ports": self.some(self.old_port, 1, 2)}  # noqa: E731  as above
        return {"ingress": self.rules(actions, "from", ports), "egress": self.rules(actions, "to", ports)}

    def old_port(self) -> Object:
        """A port of the older kinds."""
        protocol = {"protocol": self.one(*PROTOCOLS)}
        return self.one(
            {"namedPort": self.one(*NAMES)},
            {"portNumber": {**protocol, "port": self.one(53, 80)}},
            {"portRange": {**protocol, "start": 54, "end": 80}},
        )

    def packet(self) -> Object:
        """A packet between different addresses of one family."""
        family = self.one(0, 1)
        known = [*(f"{('10.0.0.', 'fd00::')[family]}{number}" for number in range(1, 8)), OUTSIDE[family]]
        source, target = self.random.sample(known, 2)
        protocol = self.one("tcp", "udp", "sctp", "icmp" if not family else "icmpv6")
        ports = {} if protocol.startswith("icmp") else {"sport": 40000, "dport": self.one(53, 54, 80, 81)}
        types = {"icmp_type": 8 if not family else 128, "icmp_code": 0} if protocol.startswith("icmp") else {}
        return {"src": source, "dst": target, "protocol": protocol, **ports, **types}
