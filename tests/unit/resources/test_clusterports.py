"""Protocols and ports in policies of the cluster, as written (semantics 5.2)."""

import pytest

from tests.unit.resources.kubernetes import taken, written
from tests.unit.resources.reading import found

PEER = "to: [{networks: [10.0.0.0/8]}]"
ADMIN = "spec: {{priority: 1, subject: {{namespaces: {{}}}}, egress: [{{action: Deny, {1}, ports: [{0}]}}]}}"
CLUSTER = ADMIN.replace("priority", "tier: Admin, priority").replace("ports", "protocols")


def body(kind, entry):
    return (CLUSTER if kind == "ClusterNetworkPolicy" else ADMIN).format(entry, PEER)


@pytest.mark.parametrize(
    ("kind", "entry", "protocol", "ports"),
    [
        ("ClusterNetworkPolicy", "{tcp: {destinationPort: {number: 80}}}", 6, ["80"]),
        ("ClusterNetworkPolicy", "{udp: {destinationPort: {range: {start: 53, end: 60}}}}", 17, ["53:60"]),
        ("ClusterNetworkPolicy", "{sctp: {}}", 132, []),
        ("ClusterNetworkPolicy", "{destinationNamedPort: http}", None, ["http"]),
        ("AdminNetworkPolicy", "{portNumber: {protocol: UDP, port: 53}}", 17, ["53"]),
        ("AdminNetworkPolicy", "{portNumber: {port: 53}}", 6, ["53"]),
        ("AdminNetworkPolicy", "{portRange: {start: 1, end: 2}}", 6, ["1:2"]),
        ("AdminNetworkPolicy", "{portRange: {protocol: SCTP, start: 1, end: 2}}", 132, ["1:2"]),
        ("AdminNetworkPolicy", "{namedPort: http}", None, ["http"]),
    ],
)
def test_an_entry_is_a_protocol_with_ports(kind, entry, protocol, ports):
    (rule,) = taken(kind, body(kind, entry)).egress

    assert (rule.protocol and rule.protocol.number, [str(port) for port in rule.destination.ports]) == (protocol, ports)


@pytest.mark.parametrize(
    ("kind", "entry", "code"),
    [
        ("ClusterNetworkPolicy", "«{}", "P040"),
        ("ClusterNetworkPolicy", "«{tcp: {}, udp: {}}", "P040"),
        ("ClusterNetworkPolicy", "{«TCP: {}}", "Y012"),
        ("ClusterNetworkPolicy", "{tcp: {destinationPort: «{}}}", "P040"),
        ("ClusterNetworkPolicy", "{tcp: {destinationPort: «{number: 1, range: {start: 1, end: 2}}}}", "P040"),
        ("ClusterNetworkPolicy", "{tcp: {destinationPort: {number: «0}}}", "P040"),
        ("ClusterNetworkPolicy", "{tcp: {destinationPort: {range: «{start: 2, end: 1}}}}", "P040"),
        ("ClusterNetworkPolicy", "{tcp: {destinationPort: {range: «{start: 2}}}}", "P040"),
        ("ClusterNetworkPolicy", "{tcp: {«port: 80}}", "Y011"),
        ("ClusterNetworkPolicy", "{destinationNamedPort: «HTTP}", "P040"),
        ("ClusterNetworkPolicy", "«tcp", "Y010"),
        ("AdminNetworkPolicy", "{portNumber: {protocol: «tcp, port: 1}}", "P040"),
        ("AdminNetworkPolicy", "{portNumber: «{protocol: TCP}}", "P040"),
        ("AdminNetworkPolicy", "{portRange: «{start: 2, end: 1}}", "P040"),
    ],
)
def test_an_entry_like_this_is_refused(kind, entry, code):
    told = found(written(kind, body(kind, entry)))

    assert told[0].code == code
