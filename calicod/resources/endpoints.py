"""HostEndpoint and WorkloadEndpoint (semantics 1.8, 1.10, 1.11).

Law: an endpoint is what Felix would program, or it is told why it is not.
"""

import re
from collections.abc import Callable, Iterable

import msgspec

from calicod.model.network import Network
from calicod.resources.document import Mapping, Node
from calicod.resources.kinds import EndpointPort, HostEndpoint, Metadata, WorkloadEndpoint
from calicod.resources.metadata import reserved_own_label
from calicod.resources.names import MAX_NAME, container, interface, name, required_name
from calicod.resources.networks import address, any_network, masked_network, single_network
from calicod.resources.ports import MAX_PORT, port_name, port_number, port_protocol
from calicod.resources.report import Report
from calicod.resources.scalars import Reader, between, quoted, text
from calicod.resources.shapes import ADDRESS, NETWORK, TEXT, or_empty, shape_of, shaped
from calicod.resources.table import Field, Fields, find, is_mapping, list_of, mapping, read

_PROFILES = list_of(required_name("P001", limit=MAX_NAME), unique=True)
_PORT: Fields = {
    "name": Field("name", port_name, required="P026", placeholder=""),
    "protocol": Field("protocol", port_protocol, required="P026", placeholder=0),
    "port": Field("port", port_number, required="P026", placeholder=0),
}
_MAC = re.compile(
    r"([0-9a-fA-F]{2}([:-]))(?:[0-9a-fA-F]{2}\2)*[0-9a-fA-F]{2}|(?:[0-9a-fA-F]{4}\.)+[0-9a-fA-F]{4}|[0-9a-fA-F]+"
)
_MAC_DIGITS = {12, 16, 40}
_INTERFACE = interface("P024")


@shaped(lambda: mapping(_PORT, "Port"))
def _port(node: Node, report: Report) -> EndpointPort | None:
    make: Callable[..., EndpointPort] = EndpointPort
    return make(**read(node, _PORT, report)) if is_mapping(node, report) else None


@shaped(lambda: or_empty(shape_of(_INTERFACE)))
def _interface(node: Node, report: Report) -> str | None:
    """Of a host endpoint: empty text counts as absent."""
    return None if node.value == "" else _INTERFACE(node, report)


HOST: Fields = {
    "node": Field("node", required_name("P023", limit=MAX_NAME), required="P023", placeholder=""),
    "interfaceName": Field("interface_name", _interface),
    "expectedIPs": Field("expected_ips", list_of(address("P025"), unique=True)),
    "profiles": Field("profiles", _PROFILES),
    "ports": Field("ports", list_of(_port)),
}


@shaped(lambda: mapping(HOST))
def host_endpoint(spec: Mapping, metadata: Metadata, report: Report) -> HostEndpoint:
    """A host endpoint, by interface, by address, or `*`."""
    make: Callable[..., HostEndpoint] = HostEndpoint
    found = make(**read(spec, HOST, report), metadata=metadata, place=report.place(report.root))
    if not any(getattr(find(spec, field), "value", None) for field in ("interfaceName", "expectedIPs")):
        report.error("P022", spec, "at least one of interfaceName and expectedIPs is needed")
    return found


class _WorkloadPort(msgspec.Struct):
    name: str = ""
    protocol: int = 0
    port: int = 0
    host_port: int = 0


@shaped(or_empty(NETWORK))
def _host_ip(node: Node, report: Report) -> Network | None:
    return None if node.value == "" else _MASKED(node, report)


_MASKED = masked_network("P026")
_WORKLOAD_PORT: Fields = _PORT | {
    "name": Field("name", port_name),
    "hostPort": Field("host_port", between(0, MAX_PORT, "P026", "port")),
    "hostIP": Field("", _host_ip),
}


@shaped(lambda: mapping(_WORKLOAD_PORT, "Port"))
def _workload_port(node: Node, report: Report) -> EndpointPort | None:
    """A named port; one without a name serves only its host port, and rules cannot mean it."""
    if not is_mapping(node, report):
        return None
    make: Callable[..., _WorkloadPort] = _WorkloadPort
    port = make(**read(node, _WORKLOAD_PORT, report))
    if not port.name and not port.host_port and find(node, "name") is None:
        report.error("P029", node, "a port needs a name, or a hostPort", field="name")
    return EndpointPort(port.name, port.protocol, port.port)


class _Nat(msgspec.Struct):
    internal: bytes = b""
    external: bytes = b""


_NAT: Fields = {
    "internalIP": Field("internal", address("P028"), required="P028", placeholder=b""),
    "externalIP": Field("external", address("P028"), required="P028", placeholder=b""),
}


@shaped(lambda: mapping(_NAT))
def _nat(node: Node, report: Report) -> _Nat | None:
    if not is_mapping(node, report):
        return None
    make: Callable[..., _Nat] = _Nat
    nat = make(**read(node, _NAT, report))
    if nat.internal and nat.external and len(nat.internal) != len(nat.external):
        report.error("P028", node, "internalIP and externalIP are of different families")
    return nat


def _gateway(length: int) -> Reader[bytes]:
    read_address = address("P027")

    @shaped(or_empty(ADDRESS))
    def read_gateway(node: Node, report: Report) -> bytes | None:
        if node.value == "":
            return None
        found = read_address(node, report)
        if found and len(found) != length:
            report.error("P027", node, f"{quoted(node.value)} is not of this family")
        return found

    return read_gateway


@shaped(TEXT)
def _mac(node: Node, report: Report) -> str | None:
    value = text(node, report)
    digits = re.sub(r"[:.-]", "", value or "")
    if value and not (_MAC.fullmatch(value) and len(digits) in _MAC_DIGITS):
        report.error("P027", node, f"{quoted(value)} is not a MAC address")
    return value


@shaped({"type": "object", "maxProperties": 0})
def _qos_controls(node: Node, report: Report) -> None:
    """Limits that drop or reject packets: not honoured, so not accepted."""
    if is_mapping(node, report) and node.value:
        report.error("N009", node, "qosControls are not supported yet", hint="remove them")


_NAME = name("P001")
WORKLOAD: Fields = {
    "orchestrator": Field("orchestrator", _NAME),
    "workload": Field("workload", _NAME),
    "node": Field("node", _NAME),
    "containerID": Field("container", container),
    "pod": Field("pod", _NAME),
    "endpoint": Field("endpoint", _NAME),
    "serviceAccountName": Field("service_account_name", _NAME),
    "ipNetworks": Field("ip_networks", list_of(single_network("P027"), unique=True)),
    "ipNATs": Field("nats", list_of(_nat)),
    "ipv4Gateway": Field("", _gateway(4)),
    "ipv6Gateway": Field("", _gateway(16)),
    "profiles": Field("profiles", _PROFILES),
    "interfaceName": Field("interface_name", _INTERFACE, required="P024", placeholder=""),
    "mac": Field("", _mac),
    "ports": Field("ports", list_of(_workload_port)),
    "allowSpoofedSourcePrefixes": Field("allow_spoofed_source_prefixes", list_of(any_network("P027"))),
    "qosControls": Field("", _qos_controls),
}


@shaped(lambda: mapping(WORKLOAD))
def workload_endpoint(spec: Mapping, metadata: Metadata, report: Report) -> WorkloadEndpoint | None:
    """A workload endpoint; one without addresses is kept: it is ignored, and its interface closed, by the compiler."""
    values = read(spec, WORKLOAD, report)
    nats, pod, container_id = values.pop("nats", ()), values.pop("pod", ""), values.pop("container", "")
    values.setdefault("node", "")
    make: Callable[..., WorkloadEndpoint] = WorkloadEndpoint
    found = make(**values, metadata=without_reserved(metadata, report), place=report.place(report.root))
    _check_nats(nats, found.ip_networks, spec, report)
    ports = tuple(port for port in found.ports if port.name)
    found = msgspec.structs.replace(found, ports=ports, workload=_workload(found, str(pod), str(container_id)))
    if report.refused:
        return None
    _check_name(found, report)
    if not found.ip_networks:
        message = "a WorkloadEndpoint without ipNetworks is ignored: all traffic of its interface is dropped"
        report.warning("W005", spec, message, field="ipNetworks", hint="list its addresses, such as 10.65.0.2/32")
    return found


def _workload(found: WorkloadEndpoint, pod: str, container_id: str) -> str:
    """The part of the name that says which workload (semantics 1.11)."""
    parts = {"k8s": pod, "cni": container_id, "libnetwork": "libnetwork"}
    return parts.get(found.orchestrator, found.workload)


def _check_name(found: WorkloadEndpoint, report: Report) -> None:
    """D36: the name is computed from the parts; another one is a slip, or a copy."""
    parts = (found.node, found.orchestrator, found.workload, found.endpoint)
    computed = workload_name(parts)
    if all(parts) and found.metadata.name != computed:
        place = find(report.root, "metadata", "name") or report.root
        report.warning("W004", place, "the name is not the one that Calico computes", hint=f"write {computed}")


def workload_name(parts: Iterable[str]) -> str:
    """The name that Calico computes of node, orchestrator, workload and endpoint (semantics 1.11).

    >>> workload_name(("node-1", "k8s", "web-0", "eth0"))
    'node--1-k8s-web--0-eth0'
    """
    return "-".join(part.replace("-", "--") for part in parts)


def without_reserved(metadata: Metadata, report: Report) -> Metadata:
    """Labels that only inheritance may give are removed from the endpoint's own (anti-spoofing, semantics 1.10)."""
    reserved = [key for key in metadata.labels if reserved_own_label(key)]
    place = find(report.root, "metadata", "labels")
    for key in reserved:
        report.warning(
            "W010", place or report.root, f"label {quoted(key)} is only inherited, and removed here", field=key
        )
    own = {key: value for key, value in metadata.labels.items() if key not in reserved}
    return msgspec.structs.replace(metadata, labels=own) if reserved else metadata


def _check_nats(nats: object, addresses: tuple[bytes, ...], spec: Mapping, report: Report) -> None:
    node = find(spec, "ipNATs")
    if node is None or not isinstance(nats, tuple):
        return
    for item, nat in zip(node.value, nats, strict=False):
        if nat.internal and nat.internal not in addresses:
            report.error("P028", find(item, "internalIP") or item, "the internal address is not in ipNetworks")
