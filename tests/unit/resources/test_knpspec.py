"""The spec of a network policy of Kubernetes as it is written: P16 of semantics 1.14, 1.15 and 5.1."""

import pytest

from calicod.model.ports import PortRange
from calicod.model.protocol import SCTP, TCP, UDP
from tests.unit.resources.reading import Finding, one, refused, taken

KIND = "StagedKubernetesNetworkPolicy"
PARTS = "except: takes parts of cidr:"


def destination(port):
    (rule,) = taken(KIND, f"ingress: [{{ports: [{port}]}}]").ingress
    return rule.protocol.number, list(rule.destination.ports)


@pytest.mark.parametrize(
    ("written", "protocol", "ports"),
    [
        ("{port: 80}", TCP, [PortRange(80, 80)]),
        ("{port: 80.0}", TCP, [PortRange(80, 80)]),
        ("{port: '80'}", TCP, [PortRange(80, 80)]),
        ("{port: http}", TCP, ["http"]),
        ("{port: 1, endPort: 65535}", TCP, [PortRange(1, 65535)]),
        ("{port: 80, endPort: 80}", TCP, [PortRange(80, 80)]),
        ("{endPort: null, port: 80}", TCP, [PortRange(80, 80)]),
        ("{protocol: UDP}", UDP, []),
        ("{protocol: sctp, port: x-1}", SCTP, ["x-1"]),
        ("{}", TCP, []),
    ],
)
def test_a_port_like_this_is_read(written, protocol, ports):
    assert destination(written) == (protocol, ports)


@pytest.mark.parametrize(
    ("written", "code", "path", "hint"),
    [
        ("{port: «0}", "P016", "port", None),
        ("{port: «65536}", "P016", "port", None),
        ("{port: «-1}", "P016", "port", None),
        ("{port: «'65536'}", "P016", "port", None),
        ("{port: «'80:90'}", "P016", "port", "write the first port as port: and the last as endPort:"),
        ("{port: «'80-90'}", "P016", "port", "write the first port as port: and the last as endPort:"),
        ("{port: «80-90}", "P016", "port", "write the first port as port: and the last as endPort:"),
        ("{port: «'HTTP'}", "P016", "port", None),
        ("{port: «[80]}", "P016", "port", None),
        ("{port: «80.5}", "Y010", "port", None),
        ("{port: 90, endPort: «80}", "P016", "endPort", None),
        ("{port: 90, endPort: «65536}", "P016", "endPort", None),
        ("{port: http, endPort: «80}", "P016", "endPort", None),
        ("{endPort: «80}", "P016", "endPort", None),
        ("{protocol: «ICMP}", "R004", "protocol", None),
        ("«80", "Y010", "", None),
        ("{«ports: [80]}", "Y011", "ports", "did you mean port?"),
    ],
)
def test_a_port_like_this_is_refused(written, code, path, hint):
    place = ".".join(filter(None, ("spec.egress[0].ports[0]", path)))

    assert refused(KIND, f"egress: [{{ports: [{written}]}}]") == [Finding(code, place, hint)]


def test_a_block_is_masked():
    (rule,) = one(KIND, "ingress: [{from: [{ipBlock: {cidr: 10.1.2.3/8, except: [10.2.0.1/16]}}]}]").ingress

    assert [str(net) for net in (*rule.source.nets, *rule.source.not_nets)] == ["10.0.0.0/8", "10.2.0.0/16"]


@pytest.mark.parametrize(
    ("written", "code", "path", "hint"),
    [
        ("«{}", "R012", "cidr", None),
        ("{cidr: «10.0.0.0/33}", "R012", "cidr", "such as 10.0.0.0/8 or 2001:db8::/32; names are not resolved"),
        (
            "{cidr: 10.0.0.0/8, except: [«host]}",
            "R012",
            "except[0]",
            "such as 10.0.0.0/8 or 2001:db8::/32; names are not resolved",
        ),
        ("{cidr: 10.0.0.0/8, except: [10.1.0.0/16, «11.0.0.0/16]}", "P016", "except[1]", PARTS),
        ("{cidr: 10.0.0.0/8, except: [«'fd00::/8']}", "P016", "except[0]", PARTS),
        ("{cidr: 10.0.0.0/8, except: [«10.0.0.0/8]}", "P016", "except[0]", PARTS),
        ("{cidr: 10.0.0.0/8, except: [«0.0.0.0/0]}", "P016", "except[0]", PARTS),
        ("«10.0.0.0/8", "Y010", "", None),
    ],
)
def test_a_block_like_this_is_refused(written, code, path, hint):
    place = ".".join(filter(None, ("spec.ingress[0].from[0].ipBlock", path)))

    assert refused(KIND, f"ingress: [{{from: [{{ipBlock: {written}}}]}}]") == [Finding(code, place, hint)]


@pytest.mark.parametrize(
    ("written", "code", "path", "hint"),
    [
        (
            "ingress: [{from: [{ipBlock: «{cidr: 10.0.0.0/8}, podSelector: {}}]}]",
            "P016",
            "ingress[0].from[0].ipBlock",
            "write two entries",
        ),
        (
            "egress: [{to: [{ipBlock: «{cidr: 10.0.0.0/8}, namespaceSelector: {a: b}}]}]",
            "P016",
            "egress[0].to[0].ipBlock",
            "write two entries",
        ),
        ("ingress: [«null]", "Y010", "ingress[0]", None),
        ("ingress: [{from: [«null]}]", "Y010", "ingress[0].from[0]", None),
        ("ingress: [{«to: []}]", "Y017", "ingress[0].to", "write from: here"),
        ("egress: [{«from: []}]", "Y017", "egress[0].from", "write to: here"),
        (
            "egress: [{«podSelector: {}}]",
            "Y017",
            "egress[0].podSelector",
            "podSelector belongs to an entry of to:",
        ),
        ("egress: [{«port: 1}]", "Y017", "egress[0].port", "port belongs to an entry of ports:"),
        ("ingress: [{«action: Allow}]", "Y017", "ingress[0].action", "a network policy of Kubernetes only allows"),
        (
            "ingress: [{from: [{«cidr: 10.0.0.0/8}]}]",
            "Y017",
            "ingress[0].from[0].cidr",
            "write ipBlock: { cidr: … }",
        ),
        ("policyTypes: [«ingress]", "P006", "policyTypes[0]", "write Ingress"),
        ("«selector: all()", "Y017", "selector", "write podSelector: with matchLabels: and matchExpressions:"),
        ("«order: 1", "Y017", "order", "only a policy of Calico's has an order"),
        ("«tier: a", "Y017", "tier", "only a policy of Calico's has a tier"),
    ],
)
def test_a_spec_like_this_is_refused(written, code, path, hint):
    told = refused(KIND, written)

    assert Finding(code, f"spec.{path}", hint) == told[0]


def test_everything_that_is_wrong_is_told_at_once():
    spec = "policyTypes: [x]\ningress: [{ports: [{port: 0}], from: [{ipBlock: {cidr: a}}, {podSelector: 1}]}]"

    assert [told.code for told in refused(KIND, spec)] == ["P006", "P016", "R012", "Y010"]
