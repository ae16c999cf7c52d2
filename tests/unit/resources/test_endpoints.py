"""HostEndpoint and WorkloadEndpoint: P22 to P29 of semantics 1.14, and 1.15."""

import pytest

from calicod.compiler.compile import compile
from calicod.model.network import parse_address
from calicod.resources.kinds import EndpointPort
from calicod.resources.snapshot import snapshot
from tests.unit.resources.reading import Finding, one, refused, taken, warned

NAME = "n-k8s-w-eth0"
WORKLOAD = "node: n\norchestrator: k8s\npod: w\nendpoint: eth0\ninterfaceName: cali1\nipNetworks: [10.0.0.1/32]\n"
SUCH_AS = "such as 10.0.0.0/8 or 2001:db8::/32; names are not resolved"


def ports(*entries):
    return f"ports: [{', '.join(entries)}]"


# Host endpoints


@pytest.mark.parametrize(
    "spec",
    [
        "interfaceName: eth0",
        "interfaceName: '*'",
        "interfaceName: a_b.c-d",
        "expectedIPs: [10.0.0.1, 'fd00::1']",
        "interfaceName: ''\nexpectedIPs: [10.0.0.1]",
        "interfaceName: eth0\nprofiles: [a, b.c]",
        "interfaceName: eth0\n"
        + ports("{name: http, protocol: TCP, port: 80}", "{name: a1, protocol: 17, port: 65535}"),
    ],
)
def test_a_host_endpoint_like_this_is_accepted(spec):
    assert one("HostEndpoint", f"node: n.example\n{spec}").node == "n.example"


@pytest.mark.parametrize(
    ("spec", "code", "path", "hint"),
    [
        ("«node: n", "P022", "", None),
        ("«node: n\ninterfaceName: ''\nexpectedIPs: []", "P022", "", None),
        ("«interfaceName: eth0", "P023", "node", None),
        ("node: «''\ninterfaceName: eth0", "P023", "node", None),
        ("node: «N\ninterfaceName: eth0", "P023", "node", "write n"),
        ("node: n\ninterfaceName: «eth*", "P024", "interfaceName", "use * alone for every host interface"),
        ("node: n\ninterfaceName: «eth0/1", "P024", "interfaceName", None),
        ("node: n\ninterfaceName: «abcdefghijklmnop", "P024", "interfaceName", None),
        ("node: n\ninterfaceName: «'eth 0'", "P024", "interfaceName", None),
        ("node: n\ninterfaceName: «'-i'", "P024", "interfaceName", None),
        ("node: n\nexpectedIPs: [«10.0.0.0/8]", "P025", "expectedIPs[0]", "remove the mask"),
        ("node: n\nexpectedIPs: [«example.com]", "P025", "expectedIPs[0]", None),
        ("node: n\nexpectedIPs: [«'']", "P025", "expectedIPs[0]", None),
        ("node: n\ninterfaceName: e\nprofiles: [«A]", "P001", "profiles[0]", "write a"),
        ("node: n\ninterfaceName: e\nprofiles: [«'']", "P001", "profiles[0]", None),
        ("node: n\ninterfaceName: e\n«addresses: []", "Y011", "addresses", None),
    ],
)
def test_a_host_endpoint_like_this_is_refused(spec, code, path, hint):
    (told,) = refused("HostEndpoint", spec)

    assert (told.code, told.path) == (code, f"spec.{path}".rstrip("."))
    assert told.hint == hint or (code == "Y011" and told.hint.startswith("known here: node, interfaceName"))


def test_a_host_endpoint_on_lo_is_one_as_any_other():
    assert taken("HostEndpoint", "node: n\ninterfaceName: lo").interface_name == "lo"


@pytest.mark.parametrize(
    ("port", "code", "path", "hint"),
    [
        ("{name: a, protocol: «ICMP, port: 80}", "P026", "protocol", None),
        ("{name: a, protocol: «UDPLite, port: 80}", "P026", "protocol", None),
        ("{name: a, protocol: «tcp, port: 80}", "R004", "protocol", "write TCP"),
        ("{name: a, protocol: TCP, port: «0}", "P026", "port", None),
        ("{name: a, protocol: TCP, port: «65536}", "P026", "port", None),
        ("{name: a, protocol: TCP, port: «'80'}", "Y010", "port", "write 80 without quotes"),
        ("{name: «HTTP, protocol: TCP, port: 80}", "P026", "name", "write http"),
        ("{name: «a_b, protocol: TCP, port: 80}", "P026", "name", "write a-b"),
        ("{name: «'123', protocol: TCP, port: 80}", "P026", "name", None),
        ("{name: «abcdefghijklmnop, protocol: TCP, port: 80}", "P026", "name", None),
        ("{name: «a--b, protocol: TCP, port: 80}", "P026", "name", None),
        ("{name: «-a, protocol: TCP, port: 80}", "P026", "name", None),
        ("«{protocol: TCP, port: 80}", "P026", "name", None),
        ("«{name: a, port: 80}", "P026", "protocol", None),
        ("«{name: a, protocol: TCP}", "P026", "port", None),
    ],
)
def test_a_port_of_an_endpoint_like_this_is_refused(port, code, path, hint):
    told = [Finding(code, f"spec.ports[0].{path}", hint)]

    assert refused("HostEndpoint", f"node: n\ninterfaceName: e\n{ports(port)}") == told


def test_addresses_and_profiles_given_twice_count_once_and_are_told():
    spec = "node: n\nexpectedIPs: [10.0.0.1, «10.0.0.1]\nprofiles: [a, a]"

    assert warned("HostEndpoint", spec) == [
        Finding("W002", "spec.expectedIPs[1]", "remove one"),
        Finding("W002", "spec.profiles[1]", "remove one"),
    ]
    assert taken("HostEndpoint", spec.replace("«", "")).expected_ips == (parse_address("10.0.0.1"),)


# Workload endpoints


@pytest.mark.parametrize(
    "more",
    [
        "ipNATs: [{internalIP: 10.0.0.1, externalIP: 192.0.2.1}]",
        ports("{protocol: TCP, port: 1, hostPort: 2}"),
        ports("{name: a, protocol: SCTP, port: 1, hostIP: 10.0.0.0/8}"),
        ports("{name: a, protocol: TCP, port: 1, hostPort: 0, hostIP: ''}"),
        "ipv4Gateway: 10.0.0.254\nipv6Gateway: 'fd00::1'",
        "ipv4Gateway: ''",
        "mac: 'aa:bb:cc:dd:ee:ff'",
        "mac: aa-bb-cc-dd-ee-ff",
        "mac: aabb.ccdd.eeff",
        "mac: aabbccddeeff",
        "mac: 'aa:bb:cc:dd:ee:ff:00:11'",
        "qosControls: {}",
        "allowSpoofedSourcePrefixes: [10.0.0.0/8, 10.9.9.9]",
        "containerID: aB-1",
    ],
)
def test_a_workload_endpoint_like_this_is_accepted(more):
    assert one("WorkloadEndpoint", WORKLOAD + more, name=NAME).interface_name == "cali1"


@pytest.mark.parametrize(
    ("spec", "code", "path", "hint"),
    [
        ("«node: n\nipNetworks: [10.0.0.1]", "P024", "interfaceName", None),
        ("node: n\ninterfaceName: «'a b'", "P024", "interfaceName", None),
        ("node: n\ninterfaceName: «''", "P024", "interfaceName", None),
        (
            "interfaceName: c\nipNetworks: [«10.0.0.0/24]",
            "P027",
            "ipNetworks[0]",
            "write 10.0.0.0/24 for the whole block, 10.0.0.0/32 for the one address",
        ),
        (WORKLOAD + "ipNATs: [{internalIP: «10.0.0.2, externalIP: 1.1.1.1}]", "P028", "ipNATs[0].internalIP", None),
        (WORKLOAD + "ipNATs: [«{internalIP: 10.0.0.1, externalIP: '::1'}]", "P028", "ipNATs[0]", None),
        (WORKLOAD + "ipNATs: [«{internalIP: 10.0.0.1}]", "P028", "ipNATs[0].externalIP", None),
        (
            WORKLOAD + "ipNATs: [{internalIP: 10.0.0.1, externalIP: «1.1.1.1/32}]",
            "P028",
            "ipNATs[0].externalIP",
            "remove the mask",
        ),
        (WORKLOAD + ports("«{protocol: TCP, port: 1}"), "P029", "ports[0].name", None),
        (WORKLOAD + ports("«{protocol: TCP, port: 1, hostPort: 0}"), "P029", "ports[0].name", None),
        (WORKLOAD + ports("{name: a, protocol: TCP, port: 1, hostPort: «65536}"), "P026", "ports[0].hostPort", None),
        (WORKLOAD + ports("{name: a, protocol: «ICMP, port: 1}"), "P026", "ports[0].protocol", None),
        (
            WORKLOAD + ports("{name: a, protocol: TCP, port: 1, hostIP: «10.0.0.1/8}"),
            "P026",
            "ports[0].hostIP",
            "write 10.0.0.0/8 for the whole block, 10.0.0.1/32 for the one address",
        ),
        (WORKLOAD + "ipv4Gateway: «'fd00::1'", "P027", "ipv4Gateway", None),
        (WORKLOAD + "ipv6Gateway: «10.0.0.254", "P027", "ipv6Gateway", None),
        (WORKLOAD + "ipv4Gateway: «10.0.0.254/32", "P027", "ipv4Gateway", "remove the mask"),
        (WORKLOAD + "mac: «'aa:bb:cc:dd:ee'", "P027", "mac", None),
        (WORKLOAD + "mac: «'aa:bb-cc:dd:ee:ff'", "P027", "mac", None),
        (WORKLOAD + "qosControls: «{ingressBandwidth: 1}", "N009", "qosControls", "remove them"),
        (WORKLOAD + "allowSpoofedSourcePrefixes: [«x]", "P027", "allowSpoofedSourcePrefixes[0]", SUCH_AS),
        (WORKLOAD + "serviceAccountName: «A", "P001", "serviceAccountName", "write a"),
        (WORKLOAD + "containerID: «a.b", "P001", "containerID", None),
    ],
)
def test_a_workload_endpoint_like_this_is_refused(spec, code, path, hint):
    assert refused("WorkloadEndpoint", spec, name=NAME) == [Finding(code, f"spec.{path}", hint)]


def test_only_named_ports_of_a_workload_can_be_meant_by_rules():
    spec = WORKLOAD + ports("{protocol: TCP, port: 1, hostPort: 2}", "{name: dns, protocol: UDP, port: 53}")

    assert one("WorkloadEndpoint", spec, name=NAME).ports == (EndpointPort("dns", 17, 53),)


@pytest.mark.parametrize(
    ("orchestrator", "parts", "computed"),
    [
        ("k8s", "pod: web-0", "n-k8s-web--0-eth0"),
        ("cni", "containerID: c1", "n-cni-c1-eth0"),
        ("libnetwork", "workload: ignored", "n-libnetwork-libnetwork-eth0"),
        ("openstack", "workload: vm", "n-openstack-vm-eth0"),
    ],
)
def test_a_name_that_is_not_the_computed_one_is_told(orchestrator, parts, computed):
    spec = WORKLOAD.replace("orchestrator: k8s\npod: w", f"orchestrator: {orchestrator}\n{parts}")

    assert warned("WorkloadEndpoint", spec, name="«other") == [Finding("W004", "metadata.name", f"write {computed}")]
    assert warned("WorkloadEndpoint", spec, name=computed) == []


def test_a_workload_endpoint_without_addresses_is_ignored_and_its_interface_closed():
    hint = "list its addresses, such as 10.65.0.2/32"
    ruleset = compile(snapshot([taken("WorkloadEndpoint", "node: n\ninterfaceName: cali1")]), "n").ruleset

    assert warned("WorkloadEndpoint", "«node: n\ninterfaceName: c") == [Finding("W005", "spec.ipNetworks", hint)]
    assert (ruleset.workloads, ruleset.ignored_interfaces) == ((), ("cali1",))


def test_labels_that_only_inheritance_may_give_are_removed_and_told():
    spec, labels = WORKLOAD, "labels: {pcns.a: b, pcsa.a: b, a: b}"
    told = [Finding("W010", "metadata.labels.pcns.a"), Finding("W010", "metadata.labels.pcsa.a")]

    assert warned("WorkloadEndpoint", spec, name=NAME, meta=labels) == told
    assert taken("WorkloadEndpoint", spec, name=NAME, meta=labels).metadata.labels == {"a": "b"}


def test_a_host_endpoint_keeps_such_labels():
    labels = one("HostEndpoint", "node: n\ninterfaceName: e", meta="labels: {pcns.a: b}").metadata.labels

    assert labels == {"pcns.a": "b"}
