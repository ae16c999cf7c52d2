"""A Pod becomes the workload endpoint that Calico makes of it (semantics 1.12).

Law: a pod on the host's network, or on no node yet, is no endpoint; one that is over keeps its name and has no
addresses any more. What of a pod bears on a verdict and cannot be read refuses it.
"""

from collections.abc import Callable, Iterable
from hashlib import sha1

import msgspec

from calicod.model.protocol import TCP
from calicod.resources.document import Mapping, Node, Scalar
from calicod.resources.endpoints import without_reserved, workload_name
from calicod.resources.kinds import EndpointPort, Metadata, WorkloadEndpoint
from calicod.resources.kubernetes import ACCOUNT_PROFILE, NAMESPACE_PROFILE
from calicod.resources.names import name
from calicod.resources.networks import single_network
from calicod.resources.objects import read_some, words
from calicod.resources.podnotes import addresses, check_floating, check_limits, prefixes
from calicod.resources.ports import port_name, port_number, port_protocol
from calicod.resources.report import Report
from calicod.resources.scalars import boolean, integer, text
from calicod.resources.table import Field, Fields, find, is_mapping, list_of, read

ORCHESTRATOR = "k8s"
ENDPOINT = "eth0"
PREFIX = "cali"
"""Of interface names, where no FelixConfiguration says otherwise."""
HASH_DIGITS = 11

OVER = frozenset({"Succeeded", "Failed", "Completed"})
NOT_YET = frozenset({"Pending"})


class _Pod(msgspec.Struct):
    """What of `spec` and `status` is read."""

    node: str = ""
    host_network: bool = False
    service_account: str = ""
    former_account: str = ""
    containers: tuple[tuple[EndpointPort, ...], ...] = ()
    init_containers: tuple[tuple[EndpointPort, ...], ...] = ()
    phase: str = ""
    address: bytes = b""
    addresses: tuple[bytes, ...] = ()


class _Port(msgspec.Struct):
    name: str = ""
    protocol: int = TCP
    port: int = 0


def pod(spec: Mapping, metadata: Metadata, report: Report) -> WorkloadEndpoint | None:
    """The endpoint of a pod, or None if it has none of its own."""
    make: Callable[..., _Pod] = _Pod
    status = find(report.root, "status")
    values = read_some(spec, SPEC, SPEC_ELSE, report)
    found = make(**values, **(read_some(status, STATUS, STATUS_ELSE, report) if status is not None else {}))
    if report.refused or found.host_network or not found.node:
        return None
    notes = find(report.root, "metadata", "annotations")
    over = is_over(found.phase, metadata, report)
    given = () if over else found.addresses or _one(found.address) or addresses(notes, report)
    check_floating(notes, report)
    check_limits(notes, report)
    if not given and not over and found.phase not in NOT_YET:
        _tell_of_no_address(status or spec, report)
    return _endpoint(metadata, found, given, report)


def _endpoint(metadata: Metadata, found: _Pod, given: Iterable[bytes], report: Report) -> WorkloadEndpoint:
    """The endpoint under the name, and on the interface, that Calico gives it."""
    own, account = without_reserved(metadata, report), found.service_account or found.former_account
    digest = interface_hash(metadata.namespace, metadata.name)
    ports = (port for group in (*found.containers, *found.init_containers) for port in group if port.name)
    return WorkloadEndpoint(
        metadata=msgspec.structs.replace(own, name=endpoint_name(found.node, metadata.name)),
        node=found.node,
        orchestrator=ORCHESTRATOR,
        workload=metadata.name,
        endpoint=ENDPOINT,
        interface_name=PREFIX + digest,
        interface_hash=digest,
        ip_networks=tuple(dict.fromkeys(given)),
        profiles=profiles(metadata.namespace, account),
        ports=tuple(ports),
        service_account_name=account,
        allow_spoofed_source_prefixes=prefixes(find(report.root, "metadata", "annotations"), report),
        place=report.place(report.root),
    )


def endpoint_name(node: str, pod_name: str) -> str:
    """The name of a pod's endpoint (semantics 1.11).

    >>> endpoint_name("node-1", "web-0")
    'node--1-k8s-web--0-eth0'
    """
    return workload_name((node, ORCHESTRATOR, pod_name, ENDPOINT))


def interface_hash(namespace: str, pod_name: str) -> str:
    """What follows the prefix in the name of a pod's interface.

    >>> interface_hash("default", "web")
    '68caf03a5f4'
    """
    digest = sha1(f"{namespace}.{pod_name}".encode(), usedforsecurity=False)
    return digest.hexdigest()[:HASH_DIGITS]


def profiles(namespace: str, account: str) -> tuple[str, ...]:
    """Those of the namespace and of the service account."""
    of_namespace = f"{NAMESPACE_PROFILE}{namespace}"
    return (of_namespace, f"{ACCOUNT_PROFILE}{namespace}.{account}") if account else (of_namespace,)


def is_over(phase: str, metadata: Metadata, report: Report) -> bool:
    """It has ended, or is being deleted and the network took its addresses back."""
    deleted = find(report.root, "metadata", "deletionTimestamp") is not None
    taken = any(metadata.annotations.get(note) == "" for note in TAKEN_BACK)
    return phase in OVER or (deleted and taken)


def identity(report: Report) -> None:
    """The pod's findings are those of its endpoint, by which a last good version is found."""
    node = find(report.root, "spec", "nodeName")
    if report.name:
        report.name = endpoint_name(node.value if isinstance(node, Scalar) else "", report.name)


def _one(address: bytes) -> tuple[bytes, ...]:
    return (address,) if address else ()


def _tell_of_no_address(place: Node, report: Report) -> None:
    message = "a Pod without addresses is ignored: all traffic of its interface is dropped"
    report.warning("W005", place, message, hint="give status: { podIPs: [ { ip: … } ] }")


def _container(node: Node, report: Report) -> tuple[EndpointPort, ...] | None:
    ports = read_some(node, CONTAINER, CONTAINER_ELSE, report).get("ports", ())
    return ports if isinstance(ports, tuple) else None


def _port(node: Node, report: Report) -> EndpointPort | None:
    if not is_mapping(node, report):
        return None
    make: Callable[..., _Port] = _Port
    found = make(**read(node, PORT, report))
    return EndpointPort(found.name, found.protocol, found.port)


def _pod_ip(node: Node, report: Report) -> bytes | None:
    return read_some(node, POD_IP, frozenset(), report).get("ip") or None  # type: ignore[return-value]  # what _ADDRESS reads


def _address(node: Node, report: Report) -> bytes | None:
    return None if node.value == "" else _ADDRESS(node, report)


_ADDRESS = single_network("P027")
_NAME = name("P001")
TAKEN_BACK = ("cni.projectcalico.org/podIP", "vpc.amazonaws.com/pod-ips")
POD_IP: Fields = {"ip": Field("ip", _address)}
PORT: Fields = {
    "name": Field("name", port_name),
    "protocol": Field("protocol", port_protocol),
    "containerPort": Field("port", port_number, required="P026", placeholder=0),
    "hostPort": Field("", integer),
    "hostIP": Field("", text),
}
CONTAINER: Fields = {"ports": Field("ports", list_of(_port))}
SPEC: Fields = {
    "nodeName": Field("node", _NAME),
    "hostNetwork": Field("host_network", boolean),
    "serviceAccountName": Field("service_account", _NAME),
    "serviceAccount": Field("former_account", _NAME),
    "containers": Field("containers", list_of(_container)),
    "initContainers": Field("init_containers", list_of(_container)),
}
STATUS: Fields = {
    "phase": Field("phase", text),
    "podIP": Field("address", _address),
    "podIPs": Field("addresses", list_of(_pod_ip)),
}
SPEC_ELSE = words(
    "activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks "
    "ephemeralContainers hostAliases hostIPC hostPID hostUsers hostname hostnameOverride imagePullSecrets "
    "nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates resourceClaims resources "
    "restartPolicy runtimeClassName schedulerName schedulingGates securityContext setHostnameAsFQDN "
    "shareProcessNamespace subdomain terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes "
    "workloadRef"
)
CONTAINER_ELSE = words(
    "args command env envFrom image imagePullPolicy lifecycle livenessProbe name readinessProbe resizePolicy "
    "resources restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath "
    "terminationMessagePolicy tty volumeDevices volumeMounts workingDir"
)
STATUS_ELSE = words(
    "allocatedResources conditions containerStatuses ephemeralContainerStatuses extendedResourceClaimStatus hostIP "
    "hostIPs initContainerStatuses message nominatedNodeName observedGeneration qosClass reason resize "
    "resourceClaimStatuses resources startTime"
)
