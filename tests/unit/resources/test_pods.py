"""A Pod becomes a workload endpoint (semantics 1.12)."""

from hashlib import sha1

import pytest

from calicod.errors import Severity
from calicod.model.network import parse_address
from calicod.model.protocol import SCTP, TCP, UDP
from calicod.resources.kinds import EndpointPort
from calicod.resources.load import load
from calicod.resources.pods import endpoint_name, interface_hash
from tests.unit.resources.kubernetes import taken, written
from tests.unit.resources.reading import Finding, found

DUMP = """
apiVersion: v1
kind: Pod
metadata:
  annotations:
    cni.projectcalico.org/containerID: 3a9d
    cni.projectcalico.org/podIP: 10.65.0.9/32
    cni.projectcalico.org/podIPs: 10.65.0.9/32
  creationTimestamp: "2026-01-01T00:00:00Z"
  generateName: web-
  labels: {app: web, pcns.team: forged}
  managedFields:
  - {apiVersion: v1, fieldsType: FieldsV1, manager: kubelet, operation: Update, fieldsV1: {"f:metadata": {}}}
  name: web-0
  namespace: shop
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: web, uid: 1-2, controller: true}]
  resourceVersion: "817"
  uid: 5f8c
spec:
  containers:
  - image: nginx
    name: web
    ports:
    - {containerPort: 8080, name: http, protocol: TCP}
    - {containerPort: 9090, protocol: TCP}
    - {containerPort: 53, name: dns, protocol: UDP, hostPort: 53, hostIP: 192.0.2.1}
    resources: {}
    volumeMounts: [{mountPath: /var/run, name: token, readOnly: true}]
  initContainers:
  - {image: init, name: init, ports: [{containerPort: 7, name: early, protocol: SCTP}]}
  dnsPolicy: ClusterFirst
  nodeName: node-1
  serviceAccount: seller
  serviceAccountName: seller
  tolerations: [{effect: NoExecute, key: node.kubernetes.io/not-ready, operator: Exists, tolerationSeconds: 300}]
status:
  conditions: [{lastProbeTime: null, status: "True", type: Ready}]
  hostIP: 192.0.2.7
  phase: Running
  podIP: 10.65.0.2
  podIPs: [{ip: 10.65.0.2}, {ip: "fd00:65::2"}]
  startTime: "2026-01-01T00:00:00Z"
"""
PLACED = "spec: {nodeName: n}\n"


def pod(body, **more):
    return taken("Pod", body, **more)


def addresses(body, **more):
    return pod(body, **more).ip_networks


def test_a_dump_becomes_the_endpoint_that_calico_makes_of_it():
    loaded = load(DUMP, "f.yaml")
    (endpoint,) = loaded.resources

    assert [told.code for told in loaded.diagnostics] == ["W010"]
    assert (endpoint.kind, endpoint.metadata.namespace) == ("WorkloadEndpoint", "shop")
    assert endpoint.metadata.name == "node--1-k8s-web--0-eth0"
    assert endpoint.metadata.labels == {"app": "web"}
    assert (endpoint.node, endpoint.orchestrator, endpoint.workload, endpoint.endpoint) == (
        "node-1",
        "k8s",
        "web-0",
        "eth0",
    )
    assert endpoint.profiles == ("kns.shop", "ksa.shop.seller")
    assert endpoint.service_account_name == "seller"
    assert endpoint.ip_networks == (parse_address("10.65.0.2"), parse_address("fd00:65::2"))
    assert endpoint.ports == (
        EndpointPort("http", TCP, 8080),
        EndpointPort("dns", UDP, 53),
        EndpointPort("early", SCTP, 7),
    )
    assert endpoint.place.line == 2


def test_the_interface_is_named_by_the_hash_of_namespace_and_name():
    digest = sha1(b"shop.web-0", usedforsecurity=False).hexdigest()
    (endpoint,) = load(DUMP, "f.yaml").resources

    assert (endpoint.interface_name, endpoint.interface_hash) == (f"cali{digest[:11]}", digest[:11])
    assert interface_hash("shop", "web-0") == digest[:11]


def test_a_pod_without_a_service_account_has_the_profile_of_its_namespace_alone():
    assert pod(PLACED + "status: {podIP: 10.0.0.1}").profiles == ("kns.ns",)


def test_the_former_name_of_the_service_account_counts_too():
    assert pod("spec: {nodeName: n, serviceAccount: sa}\nstatus: {podIP: 10.0.0.1}").service_account_name == "sa"


@pytest.mark.parametrize(
    "body",
    [
        "spec: {nodeName: n, hostNetwork: true}\nstatus: {podIP: 192.0.2.1}",
        "spec: {}\nstatus: {phase: Pending}",
        "spec: {nodeName: ''}",
        "",
    ],
)
def test_a_pod_on_the_hosts_network_or_on_no_node_is_no_endpoint(body):
    assert pod(body) is None


@pytest.mark.parametrize(
    ("status", "notes", "expected"),
    [
        ("{podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.2}, {ip: 'fd00::2'}]}", "", ["10.0.0.2", "fd00::2"]),
        ("{podIP: 10.0.0.1, podIPs: []}", "cni.projectcalico.org/podIPs: 10.0.0.9/32", ["10.0.0.1"]),
        ("{podIP: ''}", "cni.projectcalico.org/podIPs: '10.0.0.3/32,fd00::3/128'", ["10.0.0.3", "fd00::3"]),
        ("{}", "cni.projectcalico.org/podIP: 10.0.0.4/32", ["10.0.0.4"]),
        ("{}", "vpc.amazonaws.com/pod-ips: 10.0.0.5", ["10.0.0.5"]),
        ("{podIPs: [{ip: 10.0.0.2}, {ip: 10.0.0.2}]}", "", ["10.0.0.2"]),
    ],
)
def test_the_first_place_that_has_addresses_gives_them(status, notes, expected):
    given = addresses(f"{PLACED}status: {status}", meta=f"annotations: {{{notes}}}")

    assert given == tuple(parse_address(text) for text in expected)


@pytest.mark.parametrize(
    ("meta", "phase"),
    [
        ("", "Succeeded"),
        ("", "Failed"),
        ("deletionTimestamp: '2026-01-01T00:00:00Z'\nannotations: {cni.projectcalico.org/podIP: ''}", "Running"),
        ("deletionTimestamp: '2026-01-01T00:00:00Z'\nannotations: {vpc.amazonaws.com/pod-ips: ''}", "Running"),
    ],
)
def test_a_pod_that_is_over_has_given_its_addresses_back(meta, phase):
    assert addresses(f"{PLACED}status: {{phase: {phase}, podIP: 10.0.0.1}}", meta=meta) == ()


def test_a_pod_that_is_being_deleted_keeps_its_addresses_until_they_are_taken():
    meta = "deletionTimestamp: '2026-01-01T00:00:00Z'\nannotations: {cni.projectcalico.org/podIP: 10.0.0.1/32}"

    assert addresses(f"{PLACED}status: {{phase: Running, podIP: 10.0.0.1}}", meta=meta) == (parse_address("10.0.0.1"),)


def test_a_pod_that_is_not_there_yet_has_no_addresses_and_nobody_is_told():
    assert addresses(f"{PLACED}status: {{phase: Pending}}") == ()


@pytest.mark.parametrize("status", ["", "status: {phase: Running}\n"])
def test_a_pod_that_should_have_addresses_and_has_none_is_told(status):
    hint = "give status: { podIPs: [ { ip: … } ] }"
    path = "status" if status else "spec"

    assert found(written("Pod", PLACED + status), Severity.WARNING) == [Finding("W005", path, hint)]


@pytest.mark.parametrize(
    ("body", "code", "path", "hint"),
    [
        ("spec: {nodeName: «N}", "P001", "spec.nodeName", "write n"),
        ("spec: {nodeName: n}\nstatus: {podIP: «10.0.0}", "P027", "status.podIP", None),
        ("spec: {nodeName: n}\nstatus: {podIPs: [{ip: «10.0.0.0/8}]}", "P027", "status.podIPs[0].ip", None),
        ("spec: {nodeName: n, hostNetwork: «yes}", "Y010", "spec.hostNetwork", None),
        (
            "spec: {nodeName: n, containers: [{ports: [{name: «HTTP, containerPort: 80}]}]}",
            "P026",
            "spec.containers[0].ports[0].name",
            "write http",
        ),
        (
            "spec: {nodeName: n, containers: [{ports: [{name: a, containerPort: «0}]}]}",
            "P026",
            "spec.containers[0].ports[0].containerPort",
            None,
        ),
        (
            "spec: {nodeName: n, containers: [{ports: [{name: a, containerPort: 80, «hostport: 1}]}]}",
            "Y012",
            "spec.containers[0].ports[0].hostport",
            "write hostPort",
        ),
        (
            "spec: {nodeName: n, containers: [{ports: [{name: a, containerPort: 80, protocol: «tcp}]}]}",
            "R004",
            "spec.containers[0].ports[0].protocol",
            "write TCP",
        ),
    ],
)
def test_what_bears_on_a_verdict_and_cannot_be_read_refuses_the_pod(body, code, path, hint):
    told = found(written("Pod", body))

    assert told[0]._replace(hint=hint and told[0].hint) == Finding(code, path, hint)


def test_findings_bear_the_name_of_the_endpoint_that_would_be_kept():
    loaded = load(DUMP.replace("10.65.0.2}", "nowhere}"), "f.yaml")

    assert loaded.rejected == (("WorkloadEndpoint", "shop", "node--1-k8s-web--0-eth0"),)
    assert endpoint_name("node-1", "web-0") == "node--1-k8s-web--0-eth0"
