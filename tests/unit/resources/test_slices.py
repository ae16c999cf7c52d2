"""EndpointSlice: what is behind a service (semantics 2.12)."""

import pytest

from calicod.model.network import parse_address
from calicod.model.protocol import SCTP, TCP, UDP
from tests.unit.resources.kubernetes import taken, written
from tests.unit.resources.reading import Finding, found

OF_WEB = "labels: {kubernetes.io/service-name: web}"
DUMP = """
addressType: IPv4
endpoints:
- addresses: [10.0.0.1]
  conditions: {ready: true, serving: true, terminating: false}
  nodeName: n1
  targetRef: {kind: Pod, name: web-0, namespace: ns, uid: 1}
  zone: a
- addresses: [10.0.0.2, 10.0.0.1]
  conditions: {ready: false}
ports:
- {name: http, port: 8080, protocol: TCP, appProtocol: http}
- {name: dns, port: 53, protocol: UDP}
- {name: sig, port: 5060, protocol: SCTP}
- {port: 80}
- {name: any, port: null}
"""


def test_endpoints_count_ready_or_not_and_ports_without_a_number_do_not():
    found = taken("EndpointSlice", DUMP, meta=OF_WEB)

    assert (found.service, found.metadata.namespace) == ("web", "ns")
    assert found.addresses == (parse_address("10.0.0.1"), parse_address("10.0.0.2"))
    assert found.ports == ((TCP, 8080), (UDP, 53), (SCTP, 5060), (TCP, 80))


@pytest.mark.parametrize("rest", ["", "endpoints: null\nports: null", "endpoints: []\nports: []", "endpoints: [{}]"])
def test_a_slice_may_be_empty(rest):
    found = taken("EndpointSlice", f"addressType: IPv6\n{rest}", meta=OF_WEB)

    assert (found.addresses, found.ports) == ((), ())


def test_a_slice_of_names_has_no_addresses():
    body = "addressType: FQDN\nendpoints: [{addresses: [db.example.org]}]\nports: [{port: 5432}]"

    assert taken("EndpointSlice", body, meta=OF_WEB).addresses == ()


def test_a_slice_without_the_label_is_of_no_service():
    assert taken("EndpointSlice", DUMP).service == ""


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        ("endpoints: []", "P041", "addressType"),
        ("addressType: «ipv4", "P041", "addressType"),
        ("addressType: IPv4\nendpoints: [{addresses: [«db]}]", "P041", "endpoints[0].addresses[0]"),
        ("addressType: IPv4\nendpoints: [{addresses: [«'fd00::1']}]", "P041", "endpoints[0].addresses[0]"),
        ("addressType: IPv4\nendpoints: [{«address: [10.0.0.1]}]", "Y011", "endpoints[0].address"),
        ("addressType: IPv4\nports: [{«Port: 1}]", "Y012", "ports[0].Port"),
        ("addressType: IPv4\nports: [{port: «70000}]", "P026", "ports[0].port"),
        ("addressType: IPv4\n«endpoint: []", "Y017", "endpoint"),
    ],
)
def test_a_slice_like_this_is_refused(body, code, path):
    told = found(written("EndpointSlice", body, meta=OF_WEB))

    assert [Finding(told[0].code, told[0].path)] == [Finding(code, path)]
