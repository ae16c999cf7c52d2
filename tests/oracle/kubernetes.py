"""Kubernetes read aloud: its own objects, judged by its own documentation, packet by packet.

Law: nothing of Calico and nothing of calicod is used here, no tier, no order, no rule of theirs: NetworkPolicy and
ClusterNetworkPolicy mean what Kubernetes says that they mean, straight from the objects.
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address, ip_network
from typing import Any

Object = dict[str, Any]
GONE = {"Succeeded", "Failed"}
LAST = 1001
UNKNOWN_PEERS = {"nodes", "domainNames"}


class Cluster:
    """Pods, namespaces and policies."""

    def __init__(self, objects: Iterable[Object]) -> None:
        objects = list(objects)
        self.namespaces = {
            o["metadata"]["name"]: o["metadata"].get("labels", {}) for o in of_kind(objects, "Namespace")
        }
        self.pods = [pod for pod in of_kind(objects, "Pod") if has_network(pod)]
        self.by_address = {address: pod for pod in self.pods for address in addresses(pod)}
        self.network_policies = list({identity(o): o for o in of_kind(objects, "NetworkPolicy")}.values())
        cluster = list(of_kind(objects, "ClusterNetworkPolicy"))
        old = list(of_kind(objects, "AdminNetworkPolicy"))
        self.admin = [*(o for o in cluster if o["spec"]["tier"] == "Admin"), *old]
        # The one of the older kind, which has no priority, comes last; who passes on in a tier leaves the tier.
        last = list(of_kind(objects, "BaselineAdminNetworkPolicy"))
        self.baseline = [*(o for o in cluster if o["spec"]["tier"] == "Baseline"), *last]

    def allows(self, packet: Object) -> bool:
        """Whether a connection comes about: its sender may, and its receiver may."""
        source, target = (self.by_address.get(ip_address(packet[side])) for side in ("src", "dst"))
        leaves = source is None or self.judge(source, "egress", packet, target)
        return leaves and (target is None or self.judge(target, "ingress", packet, source))

    def judge(self, pod: Object, direction: str, packet: Object, peer: Object | None) -> bool:
        """Admin policies, then network policies, then baseline policies, then yes."""
        for policies in (self.admin, None, self.baseline):
            if policies is None:
                said = self.by_network_policies(pod, direction, packet, peer)
            else:
                said = self.by_cluster_policies(policies, pod, direction, packet, peer)
            if said is not None:
                return said
        return True

    def by_cluster_policies(
        self, policies: list[Object], pod: Object, direction: str, packet: Object, peer: Object | None
    ) -> bool | None:
        """The first rule that matches, by priority; None: nothing said, or passed on."""
        for policy in sorted(policies, key=lambda p: p["spec"].get("priority", LAST)):
            if not self.is_subject(pod, policy["spec"]["subject"]):
                continue
            for rule in policy["spec"].get(direction, []):
                action = rule["action"]
                peers = rule["from" if direction == "ingress" else "to"]
                if any(not p or UNKNOWN_PEERS & p.keys() for p in peers):
                    if action in {"Accept", "Allow"}:
                        continue  # an implementation that does not know a peer must fail closed
                    return False
                far = packet["src" if direction == "ingress" else "dst"]
                if any(self.is_cluster_peer(p, peer, far) for p in peers) and self.has_cluster_port(rule, packet):
                    return None if action == "Pass" else action in {"Accept", "Allow"}
        return None

    def by_network_policies(self, pod: Object, direction: str, packet: Object, peer: Object | None) -> bool | None:
        """Isolated by any policy, allowed by any rule of any of them; None: not isolated."""
        isolated = False
        for policy in self.network_policies:
            spec, namespace = policy["spec"], policy["metadata"]["namespace"]
            if namespace != pod["metadata"]["namespace"] or not selects(spec.get("podSelector", {}), labels(pod)):
                continue
            types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
            if direction.capitalize() not in types:
                continue
            isolated = True
            for rule in spec.get(direction) or []:
                ports = rule.get("ports") or []
                if any(p.get("endPort", 1) > 65535 for p in ports):
                    continue
                peers = rule.get("from" if direction == "ingress" else "to") or []
                far = packet["src" if direction == "ingress" else "dst"]
                known = not peers or any(self.is_peer(p, namespace, peer, far) for p in peers)
                if known and (not ports or any(self.is_port(p, packet) for p in ports)):
                    return True
        return False if isolated else None

    def is_subject(self, pod: Object, subject: Object) -> bool:
        """The subject of a cluster policy."""
        if "namespaces" in subject:
            return selects(subject["namespaces"], self.labels_of_namespace(pod))
        return self.is_namespaced_pod(subject["pods"], pod)

    def is_namespaced_pod(self, wanted: Object, pod: Object) -> bool:
        """Both selectors."""
        spaces = selects(wanted.get("namespaceSelector", {}), self.labels_of_namespace(pod))
        return spaces and selects(wanted["podSelector"], labels(pod))

    def is_cluster_peer(self, wanted: Object, pod: Object | None, address: str) -> bool:
        """Networks are for any address; the rest is for pods."""
        if "networks" in wanted:
            return any(inside(address, network) for network in wanted["networks"])
        if pod is None:
            return False
        if "namespaces" in wanted:
            return selects(wanted["namespaces"], self.labels_of_namespace(pod))
        return self.is_namespaced_pod(wanted["pods"], pod)

    def is_peer(self, wanted: Object, namespace: str, pod: Object | None, address: str) -> bool:
        """An ipBlock is for any address; a pod selector alone is for pods of the policy's namespace."""
        block = wanted.get("ipBlock")
        if block is not None:
            return inside(address, block["cidr"]) and not any(inside(address, n) for n in block.get("except", []))
        if pod is None:
            return False
        spaces = wanted.get("namespaceSelector")
        there = (
            pod["metadata"]["namespace"] == namespace
            if spaces is None
            else selects(spaces, self.labels_of_namespace(pod))
        )
        return there and selects(wanted.get("podSelector") or {}, labels(pod))

    def is_port(self, wanted: Object, packet: Object) -> bool:
        """Protocol TCP unless another is given; a name is one of the destination's."""
        protocol, port = wanted.get("protocol", "TCP"), wanted.get("port")
        if protocol.lower() != packet["protocol"]:
            return False
        if port is None:
            return True
        if isinstance(port, str):
            return (port, protocol) in self.names_of_destination(packet)
        return port <= packet.get("dport", -1) <= wanted.get("endPort", port)

    def has_cluster_port(self, rule: Object, packet: Object) -> bool:
        """`protocols`, or `ports` of the older kinds; none given: any."""
        given = [cluster_port(p) for p in (*rule.get("protocols", []), *rule.get("ports", []))]
        if not given:
            return True
        names = {name for name, _ in self.names_of_destination(packet)}
        for name, protocol, first, last in given:
            if name is not None and name in names:
                return True
            if protocol == packet["protocol"] and (first is None or first <= packet.get("dport", -1) <= last):
                return True
        return False

    def names_of_destination(self, packet: Object) -> set[tuple[str, str]]:
        """The names, with their protocols, that the pod there has for the port that the packet goes to."""
        pod = self.by_address.get(ip_address(packet["dst"]))
        return {
            (port["name"], port.get("protocol", "TCP"))
            for port in (container_ports(pod) if pod else ())
            if "name" in port
            and port["containerPort"] == packet.get("dport")
            and port.get("protocol", "TCP").lower() == packet["protocol"]
        }

    def labels_of_namespace(self, pod: Object) -> Object:
        """Of the namespace that the pod is in."""
        return self.namespaces[pod["metadata"]["namespace"]]


def cluster_port(entry: Object) -> tuple[str | None, str | None, int | None, int]:
    """Name, or protocol with first and last port; no first: every port."""
    name = entry.get("destinationNamedPort", entry.get("namedPort"))
    if name is not None:
        return name, None, None, 0
    if "portNumber" in entry:
        port = entry["portNumber"]
        return None, port.get("protocol", "TCP").lower(), port["port"], port["port"]
    if "portRange" in entry:
        port = entry["portRange"]
        return None, port.get("protocol", "TCP").lower(), port["start"], port["end"]
    ((protocol, inner),) = entry.items()
    port = inner.get("destinationPort")
    if port is None:
        return None, protocol, None, 0
    if "number" in port:
        return None, protocol, port["number"], port["number"]
    return None, protocol, port["range"]["start"], port["range"]["end"]


def of_kind(objects: Iterable[Object], kind: str) -> Iterator[Object]:
    """Objects of Kubernetes, not those of Calico's that share their kind."""
    return (o for o in objects if o["kind"] == kind and not o["apiVersion"].startswith("projectcalico.org"))


def identity(policy: Object) -> tuple[str, str]:
    """Of two of one name the later is there, for it was applied later."""
    return policy["metadata"]["namespace"], policy["metadata"]["name"]


def has_network(pod: Object) -> bool:
    """Host-networked pods are the host; finished ones have given their addresses back."""
    spec, status = pod["spec"], pod.get("status", {})
    return bool(spec.get("nodeName")) and not spec.get("hostNetwork") and status.get("phase") not in GONE


def addresses(pod: Object) -> list[Any]:
    """All addresses of a pod."""
    return [ip_address(entry["ip"]) for entry in pod.get("status", {}).get("podIPs", [])]


def labels(pod: Object) -> Object:
    """Its own labels."""
    return pod["metadata"].get("labels", {})


def container_ports(pod: Object) -> list[Object]:
    """Ports of all containers."""
    containers = [*pod["spec"].get("containers", []), *pod["spec"].get("initContainers", [])]
    return [port for container in containers for port in container.get("ports", [])]


def inside(address: str, network: str) -> bool:
    """Of the same family, and in it."""
    found, block = ip_address(address), ip_network(network, strict=False)
    return found.version == block.version and found in block


def selects(selector: Object, present: Object) -> bool:
    """A LabelSelector: all of matchLabels and of matchExpressions."""
    if any(present.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(holds(expression, present) for expression in selector.get("matchExpressions", []))


def holds(expression: Object, present: Object) -> bool:
    """NotIn holds where the label is missing."""
    key, values = expression["key"], expression.get("values", [])
    return {
        "In": key in present and present[key] in values,
        "NotIn": key not in present or present[key] not in values,
        "Exists": key in present,
        "DoesNotExist": key not in present,
    }[expression["operator"]]
