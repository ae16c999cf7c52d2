"""Annotations of pods that bear on a verdict (semantics 1.12, 4.6)."""

import pytest

from calicod.model.network import parse_network
from tests.unit.resources.kubernetes import taken, written
from tests.unit.resources.reading import Finding, found

BODY = "spec: {nodeName: n}\nstatus: {podIP: 10.0.0.1}"
CNI, QOS = "cni.projectcalico.org/", "qos.projectcalico.org/"


def pod(note):
    return taken("Pod", BODY, meta=f"annotations: {{{note}}}")


def refused(note, body=BODY):
    return [(told.code, told.path) for told in found(written("Pod", body, meta=f"annotations: {{{note}}}"))]


def test_foreign_sources_are_networks_in_json():
    note = CNI + 'allowedSourcePrefixes: \'["10.1.2.3/8", "fd00::/8"]\''

    assert pod(note).allow_spoofed_source_prefixes == (parse_network("10.0.0.0/8")[0], parse_network("fd00::/8")[0])


@pytest.mark.parametrize("note", ["allowedSourcePrefixes: ''", "floatingIPs: '[\"198.51.100.1\"]'"])
def test_what_changes_nothing_is_accepted(note):
    assert pod(CNI + note).allow_spoofed_source_prefixes == ()


@pytest.mark.parametrize(
    ("note", "code"),
    [
        ("allowedSourcePrefixes: 10.0.0.0/8", "P027"),
        ("allowedSourcePrefixes: '[\"here\"]'", "P027"),
        ("floatingIPs: '[1]'", "P028"),
        ("floatingIPs: '[\"198.51.100.0/24\"]'", "P028"),
    ],
)
def test_what_cannot_be_read_refuses_the_pod(note, code):
    assert refused(CNI + note) == [(code, f"metadata.annotations.{CNI}{note.partition(':')[0]}")]


@pytest.mark.parametrize("address", ["nowhere", "10.0.0.0/24", "10.0.0.1/32,"])
def test_an_address_that_cannot_be_read_refuses_the_pod(address):
    assert refused(f"{CNI}podIPs: '{address}'", "spec: {nodeName: n}") == [
        ("P027", f"metadata.annotations.{CNI}podIPs")
    ]


@pytest.mark.parametrize("limit", ["ingressPacketRate", "egressMaxConnections", "ingressPacketBurst"])
def test_a_limit_that_drops_packets_is_not_accepted(limit):
    told = found(written("Pod", BODY, meta=f"annotations: {{{QOS}{limit}: '10'}}"))

    assert told == [Finding("N009", f"metadata.annotations.{QOS}{limit}", "remove it")]


@pytest.mark.parametrize("limit", [QOS + "ingressBandwidth", QOS + "dscp", "kubernetes.io/egress-bandwidth"])
def test_a_limit_that_only_delays_or_marks_is_none_of_our_business(limit):
    assert pod(f"{limit}: 10M") is not None
