"""FelixConfiguration: P33 to P36 of semantics 1.14; what is applied, what is refused, what has no effect."""

import pytest

from calicod.model.network import parse_network
from calicod.resources.felix import APPLIED, CHECKED, FELIX, REFUSED
from calicod.resources.kinds import Failsafe
from tests.unit.resources.reading import Finding, one, refused, taken, warned

SUCH_AS = "such as 10.0.0.0/8 or 2001:db8::/32; names are not resolved"


def felix(spec, name="default"):
    return one("FelixConfiguration", spec, name=name)


@pytest.mark.parametrize(
    ("spec", "attribute", "value"),
    [
        ("interfacePrefix: cali, tap", "interface_prefix", ("cali", "tap")),
        ("interfacePrefix: ''", "interface_prefix", None),
        ("defaultEndpointToHostAction: accept", "default_endpoint_to_host_action", "Accept"),
        ("defaultEndpointToHostAction: ''", "default_endpoint_to_host_action", None),
        ("disableConntrackInvalidCheck: true", "disable_conntrack_invalid_check", True),
        ("workloadSourceSpoofing: Any", "workload_source_spoofing", "Any"),
        ("allowVXLANPacketsFromWorkloads: true", "allow_vxlan_packets_from_workloads", True),
        ("allowIPIPPacketsFromWorkloads: false", "allow_ipip_packets_from_workloads", False),
        ("vxlanPort: 4790", "vxlan_port", 4790),
        ("failsafeInboundHostPorts: []", "failsafe_inbound_host_ports", ()),
        ("failsafeInboundHostPorts:", "failsafe_inbound_host_ports", None),
        (
            "failsafeOutboundHostPorts: [{protocol: TCP, port: 22}, {protocol: udp, port: 0, net: 10.0.0.1/8}]",
            "failsafe_outbound_host_ports",
            (Failsafe(6, 22), Failsafe(17, 0, parse_network("10.0.0.0/8")[0])),
        ),
        (
            "failsafeInboundHostPorts: [{protocol: tcp, port: 1, net: ''}]",
            "failsafe_inbound_host_ports",
            (Failsafe(6, 1),),
        ),
    ],
)
def test_a_field_that_bears_on_verdicts_is_applied(spec, attribute, value):
    assert getattr(felix(spec), attribute) == value


@pytest.mark.parametrize(
    ("spec", "code", "path", "hint"),
    [
        (
            "failsafeInboundHostPorts: [{protocol: «sctp, port: 1}]",
            "P033",
            "failsafeInboundHostPorts[0].protocol",
            None,
        ),
        ("failsafeInboundHostPorts: [«{port: 1}]", "P033", "failsafeInboundHostPorts[0].protocol", None),
        ("failsafeOutboundHostPorts: [«{protocol: tcp}]", "P033", "failsafeOutboundHostPorts[0].port", None),
        (
            "failsafeOutboundHostPorts: [{protocol: tcp, port: «65536}]",
            "P033",
            "failsafeOutboundHostPorts[0].port",
            None,
        ),
        (
            "failsafeOutboundHostPorts: [{protocol: tcp, port: 1, net: «x}]",
            "P033",
            "failsafeOutboundHostPorts[0].net",
            SUCH_AS,
        ),
        ("nodeSelector: «has(a)", "P035", "nodeSelector", None),
        ("defaultEndpointToHostAction: «Allow", "P038", "defaultEndpointToHostAction", None),
        ("interfacePrefix: «'a b'", "P038", "interfacePrefix", "such as cali,tap"),
        ("interfacePrefix: «'cali,l'", "P038", "interfacePrefix", "such as cali,tap"),
        ("interfacePrefix: «lo", "P038", "interfacePrefix", "such as cali,tap"),
        ("interfacePrefix: «cali+", "P038", "interfacePrefix", "such as cali,tap"),
        ("interfacePrefix: «'-i'", "P038", "interfacePrefix", "such as cali,tap"),
        ("interfacePrefix: «none", "P038", "interfacePrefix", "such as cali,tap"),
        ("interfacePrefix: «'cali,,tap'", "P038", "interfacePrefix", "such as cali,tap"),
        ("disableConntrackInvalidCheck: «on", "Y010", "disableConntrackInvalidCheck", None),
        ("workloadSourceSpoofing: «any", "P038", "workloadSourceSpoofing", "write Any"),
        ("vxlanPort: «0", "P038", "vxlanPort", None),
        ("logPrefix: «'a$'", "P038", "logPrefix", None),
        ("logActionRateLimit: «0/second", "P038", "logActionRateLimit", None),
        ("«nodeSelektor: has(a)", "Y011", "nodeSelektor", "did you mean nodeSelector?"),
        ("«frobnicate: 1", "Y011", "frobnicate", "remove it, or correct its spelling"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(spec, code, path, hint):
    assert refused("FelixConfiguration", spec, name="default") == [Finding(code, f"spec.{path}", hint)]


@pytest.mark.parametrize(
    ("spec", "accepted"),
    [
        ("chainInsertMode: «Append", "chainInsertMode: insert"),
        ("iptablesFilterDenyAction: «Reject", "iptablesFilterDenyAction: drop"),
        ("nftablesFilterDenyAction: «reject", "nftablesFilterDenyAction: ''"),
        ("interfaceExclude: «eth9", "interfaceExclude: kube-ipvs0"),
        ("ipv6Support: «false", "ipv6Support: true"),
        ("ipipEnabled: «true", "ipipEnabled: false"),
        ("vxlanEnabled: «true", "vxlanEnabled: false"),
        ("wireguardEnabled: «true", "wireguardEnabled: false"),
        ("wireguardEnabledV6: «true", "wireguardEnabledV6: false"),
    ],
)
def test_a_value_that_would_change_verdicts_and_is_not_supported_is_refused(spec, accepted):
    field = spec.partition(":")[0]

    told = Finding("N008", f"spec.{field}", "leave it out: calicod does what the default says")

    assert refused("FelixConfiguration", spec) == [told]
    assert felix(accepted) == felix("")


def test_every_refused_field_is_tried_above():
    tried = test_a_value_that_would_change_verdicts_and_is_not_supported_is_refused.pytestmark[0].args[1]

    assert {spec.partition(":")[0] for spec, _ in tried} == set(REFUSED)


@pytest.mark.parametrize(
    ("spec", "code", "path"),
    [
        ("kubeNodePortRanges: [1, 2, 3, 4, 5, 6, 7, 8]", "P034", "kubeNodePortRanges"),
        ("kubeNodePortRanges: [http]", "P034", "kubeNodePortRanges[0]"),
        ("externalNodesList: ['fd00::/8']", "P036", "externalNodesList[0]"),
        ("externalNodesList: [x]", "P036", "externalNodesList[0]"),
    ],
)
def test_lists_that_have_no_effect_are_checked_all_the_same(spec, code, path):
    assert [(told.code, told.path) for told in refused("FelixConfiguration", spec)] == [(code, f"spec.{path}")]


@pytest.mark.parametrize(
    "spec", ["bpfEnabled: «true", "logPrefix: «calico", "kubeNodePortRanges: «['1:2']", "healthPort: «1"]
)
def test_a_field_that_cannot_change_a_verdict_is_accepted_and_told(spec):
    assert warned("FelixConfiguration", spec) == [Finding("W006", f"spec.{spec.partition(':')[0]}")]


@pytest.mark.parametrize(("name", "spec"), [("some", "nodeSelector: has(a)"), ("default", "nodeSelector: ''")])
def test_only_a_configuration_of_another_name_chooses_its_nodes(name, spec):
    assert felix(spec, name).metadata.name == name


def test_a_configuration_of_one_node_has_no_node_selector():
    told = [Finding("P035", "spec.nodeSelector")]

    assert refused("FelixConfiguration", "nodeSelector: «has(a)", name="node.n1") == told


def test_an_override_by_annotation_is_refused_not_ignored():
    meta = "annotations: {config.projectcalico.org/IpInIpEnabled: «'true'}"
    told = Finding("N008", "metadata.annotations.config.projectcalico.org/IpInIpEnabled", "write the field under spec:")

    assert refused("FelixConfiguration", meta=meta) == [told]


def test_the_age_is_kept_as_the_oldest_of_several_wins():
    assert taken("FelixConfiguration", meta="creationTimestamp: '2024-01-01T00:00:00Z'").creation_timestamp == (
        "2024-01-01T00:00:00Z"
    )


def test_a_field_is_applied_or_refused_or_checked_but_not_two_of_these():
    assert len(APPLIED) + len(REFUSED) + len(CHECKED) == len({*APPLIED, *REFUSED, *CHECKED})
    assert {*APPLIED, *REFUSED, *CHECKED} <= set(FELIX)
