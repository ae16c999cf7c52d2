"""The kinds of Kubernetes: what they become, and what is passed over (semantics 1.12, 5)."""

import pytest

from calicod.errors import Severity
from calicod.resources.cluster import KUBERNETES, PASSED_OVER
from calicod.resources.kinds import Node
from calicod.resources.load import load
from tests.unit.resources.kubernetes import taken, written
from tests.unit.resources.reading import Finding, found

BECOMES = {
    "Namespace": "Profile",
    "ServiceAccount": "Profile",
    "NetworkPolicy": "KubernetesNetworkPolicy",
    "ClusterNetworkPolicy": "KubernetesClusterNetworkPolicy",
    "AdminNetworkPolicy": "KubernetesAdminNetworkPolicy",
    "BaselineAdminNetworkPolicy": "KubernetesBaselineAdminNetworkPolicy",
    "Pod": "WorkloadEndpoint",
    "Node": "Node",
    "Service": None,
    "EndpointSlice": "EndpointSlice",
}
SPECS = {
    "ClusterNetworkPolicy": "{tier: Admin, priority: 1, subject: {namespaces: {}}}",
    "AdminNetworkPolicy": "{priority: 1, subject: {namespaces: {}}}",
    "BaselineAdminNetworkPolicy": "{subject: {namespaces: {}}}",
    "Pod": "{nodeName: n}\nstatus: {podIP: 10.0.0.1}",
}
WIDE = "spec: {{podSelector: {{}}, ingress: [{{ports: [{0}]}}, {{ports: [{{port: 80}}]}}]}}"


def document(kind):
    namespaced = "" if kind in {"Namespace", "Node"} or kind.endswith("minNetworkPolicy") else ", namespace: ns"
    namespaced = "" if kind == "ClusterNetworkPolicy" else namespaced
    head = f"apiVersion: {KUBERNETES[kind].version}\nkind: {kind}\nmetadata: {{name: default{namespaced}}}\n"
    return head + ("addressType: IPv4\n" if kind == "EndpointSlice" else f"spec: {SPECS.get(kind, '{}')}\n")


@pytest.mark.parametrize("kind", KUBERNETES)
def test_each_kind_becomes_a_resource_or_nothing(kind):
    loaded = load(document(kind), "f.yaml")

    assert loaded.diagnostics == ()
    assert [resource.kind for resource in loaded.resources] == ([BECOMES[kind]] if BECOMES[kind] else [])


def test_all_of_them_in_one_list_as_kubectl_prints_it():
    items = "".join(f"- {document(kind).strip()}".replace("\n", "\n  ") + "\n" for kind in KUBERNETES)
    loaded = load(f"apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\nitems:\n{items}", "f.yaml")

    assert loaded.diagnostics == ()
    assert [r.kind for r in loaded.resources] == [BECOMES[kind] for kind in KUBERNETES if BECOMES[kind]]


def test_a_node_is_its_labels():
    text = "apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {role: edge}}\nspec: {podCIDR: 10.0.0.0/24}\n"
    (node,) = load(text + "status: {addresses: [{address: 192.0.2.1, type: InternalIP}]}", "f.yaml").resources

    assert isinstance(node, Node)
    assert node.metadata.labels == {"role": "edge"}


@pytest.mark.parametrize("kind", PASSED_OVER)
def test_what_cannot_bear_on_a_verdict_is_passed_over_and_told(kind):
    text = f"apiVersion: {PASSED_OVER[kind]}\nkind: {kind}\nmetadata: {{name: x}}\nanything: [1]\n"
    loaded = load(text, "f.yaml")

    assert (loaded.resources, loaded.rejected, loaded.broken) == ((), (), ())
    assert [(told.code, told.severity) for told in loaded.diagnostics] == [("W011", Severity.WARNING)]


def test_a_network_policy_is_in_the_default_tier_at_order_1000():
    policy = taken("NetworkPolicy", "spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}")

    assert (policy.kind, policy.tier, policy.order) == ("KubernetesNetworkPolicy", "default", 1000.0)
    assert (policy.metadata.namespace, policy.metadata.name) == ("ns", "x")
    assert str(policy.selector) == '(projectcalico.org/orchestrator == "k8s" && app == "web")'
    assert (policy.governs_ingress, policy.governs_egress) == (False, True)


def test_the_name_of_a_network_policy_is_the_business_of_its_api():
    assert taken("NetworkPolicy", "spec: {podSelector: {}}", name="allow-ipBlock").metadata.name == "allow-ipBlock"


@pytest.mark.parametrize("port", ["{port: 80, endPort: 65537}", "{port: 0}", "{port: 90, endPort: 80}"])
def test_an_entry_with_a_port_that_does_not_exist_goes_and_the_policy_stays(port):
    loaded = load(written("NetworkPolicy", WIDE.format(port)), "f.yaml")

    assert [told.code for told in loaded.diagnostics] == ["W082"]
    assert [[str(p) for p in rule.destination.ports] for rule in loaded.resources[0].ingress] == [["80"]]


@pytest.mark.parametrize(
    ("spec", "code", "path"),
    [
        ("{podSelector: {}, «ingres: []}", "Y011", "spec.ingres"),
        ("{podSelector: {}, ingress: [{«to: []}]}", "Y017", "spec.ingress[0].to"),
        (
            "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: «10.0.0}}]}]}",
            "R012",
            "spec.ingress[0].from[0].ipBlock.cidr",
        ),
        ("{podSelector: {}, ingress: [{ports: [{port: «'HTTP'}]}]}", "P016", "spec.ingress[0].ports[0].port"),
        ("{podSelector: {matchLabels: {«a b: c}}}", "P002", "spec.podSelector.matchLabels.a b"),
    ],
)
def test_a_network_policy_with_a_slip_is_refused(spec, code, path):
    told = found(written("NetworkPolicy", f"spec: {spec}"))

    assert [Finding(told[0].code, told[0].path)] == [Finding(code, path)]
    assert load(written("NetworkPolicy", f"spec: {spec}").replace("«", ""), "f.yaml").rejected == (
        ("KubernetesNetworkPolicy", "ns", "x"),
    )


def test_of_two_network_policies_of_one_name_in_one_file_the_later_counts():
    both = "\n---\n".join(
        written("NetworkPolicy", f"spec: {{podSelector: {{}}, policyTypes: [{way}]}}") for way in ("Ingress", "Egress")
    )
    loaded = load(both, "f.yaml")

    assert [told.code for told in loaded.diagnostics] == ["W081"]
    assert [policy.governs_egress for policy in loaded.resources] == [True]
