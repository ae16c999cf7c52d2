"""apiVersion and kind: which are read, which are refused by name, which are passed over (semantics 1.1)."""

import pytest

from calicod.errors import Severity
from calicod.resources.cluster import KUBERNETES
from calicod.resources.envelope import KINDS, WITHOUT_EFFECT
from calicod.resources.load import load
from tests.unit.resources.reading import Finding, found

NEEDED = {
    "HostEndpoint": "{node: n, interfaceName: e}",
    "WorkloadEndpoint": "{node: n, interfaceName: c, ipNetworks: [10.0.0.1]}",
}
KNOWN = f"known kinds: {', '.join((*KINDS, *KUBERNETES))}"


def document(kind, version="projectcalico.org/v3", rest="metadata: {name: x}\n"):
    return f"apiVersion: {version}\nkind: {kind}\n{rest}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_calicos_is_read(kind):
    written = document(kind) + f"spec: {NEEDED.get(kind, '{}')}\n"

    assert [resource.kind for resource in load(written, "f.yaml").resources] == [kind]


def test_the_network_policy_of_kubernetes_is_told_from_calicos_by_its_group():
    both = [document("NetworkPolicy", version) for version in ("networking.k8s.io/v1", "projectcalico.org/v3")]

    assert [load(written, "f.yaml").resources[0].kind for written in both] == [
        "KubernetesNetworkPolicy",
        "NetworkPolicy",
    ]


def test_the_node_of_kubernetes_is_read_and_calicos_is_passed_over():
    assert [resource.kind for resource in load(document("Node", "v1"), "f.yaml").resources] == ["Node"]
    assert load(document("Node"), "f.yaml").resources == ()


def test_the_items_of_a_list_take_its_kind_and_version():
    listed = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicyList\nitems: [{metadata: {name: x}}]\n"

    assert [resource.kind for resource in load(listed, "f.yaml").resources] == ["KubernetesNetworkPolicy"]


@pytest.mark.parametrize(
    ("kind", "version", "right"),
    [
        ("NetworkPolicy", "networking.k8s.io/v1beta1", "networking.k8s.io/v1"),
        ("ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha1", "policy.networking.k8s.io/v1alpha2"),
        ("AdminNetworkPolicy", "policy.networking.k8s.io/v1alpha2", "policy.networking.k8s.io/v1alpha1"),
        ("EndpointSlice", "v1", "discovery.k8s.io/v1"),
        ("Pod", "projectcalico.org/v3", "v1"),
    ],
)
def test_a_kind_of_kubernetes_is_of_one_version(kind, version, right):
    loaded = load(document(kind, version), "f.yaml")

    assert ("Y015", f"write apiVersion: {right}") in [(told.code, told.hint) for told in loaded.diagnostics]


@pytest.mark.parametrize("kind", WITHOUT_EFFECT)
def test_a_kind_that_cannot_bear_on_a_verdict_is_passed_over_and_told(kind):
    loaded = load(document(kind) + "spec: {cidr: 10.0.0.0/8}\n", "f.yaml")

    assert (loaded.resources, loaded.rejected, loaded.broken) == ((), (), ())
    assert [(told.code, told.severity) for told in loaded.diagnostics] == [("W011", Severity.WARNING)]


@pytest.mark.parametrize(
    ("written", "code", "path", "hint"),
    [
        (document("«Gadget", "apps/v1"), "Y016", "kind", KNOWN),
        (document("«networkpolicy"), "Y016", "kind", "did you mean NetworkPolicy?"),
        (document("«GlobalNetworkPolicies"), "Y016", "kind", "did you mean GlobalNetworkPolicy?"),
        ("«apiVersion: projectcalico.org/v3\nmetadata: {name: x}\n", "Y016", "kind", None),
        (document("«[Tier]"), "Y016", "kind", None),
        ("«kind: Tier\nmetadata: {name: x}\n", "Y015", "", "write apiVersion: projectcalico.org/v3"),
        (document("Tier", "«[v3]"), "Y015", "apiVersion", "write apiVersion: projectcalico.org/v3"),
        (document("Tier", "«projectcalico.org/v1"), "Y015", "apiVersion", "write apiVersion: projectcalico.org/v3"),
        (document("Tier", "«crd.projectcalico.org/v1"), "Y015", "apiVersion", "write apiVersion: projectcalico.org/v3"),
        (document("Tier", "«v1"), "Y015", "apiVersion", "write apiVersion: projectcalico.org/v3"),
        ("«kind: Namespace\nmetadata: {name: x}\n", "Y015", "", "write apiVersion: v1"),
        (document("Tier") + "«selector: all()\n", "Y017", "selector", "selector belongs under spec:"),
        (document("Tier") + "«ingress: []\n", "Y017", "ingress", "ingress belongs under spec:"),
        (
            document("Tier") + "«labels: {a: b}\n",
            "Y017",
            "labels",
            "labels belongs under metadata: write `metadata: {labels: …}`",
        ),
        (document("Tier") + "«Spec: {}\n", "Y012", "Spec", "write spec"),
        (document("NetworkPolicy") + "«status: {}\n", "Y011", "status", "known here: apiVersion, kind, metadata, spec"),
        (document("Tier") + "spec: «[]\n", "Y010", "spec", None),
        (document("Tier") + "spec: «x\n", "Y010", "spec", None),
    ],
)
def test_an_envelope_like_this_is_refused(written, code, path, hint):
    assert found(written) == [Finding(code, path, hint)]


@pytest.mark.parametrize("spec", ["", "spec:\n", "spec: {}\n", "spec: null\n"])
def test_a_spec_may_be_left_out(spec):
    assert len(load(document("Tier") + spec, "f.yaml").resources) == 1


def test_what_a_missing_spec_lacks_is_told_under_spec():
    (told,) = load(document("HostEndpoint", rest="metadata: {name: x}\n"), "f.yaml").diagnostics[:1]

    assert (told.path, told.line) == ("spec.node", 1)


@pytest.mark.parametrize(("kind", "rejected"), [("networkpolicy", ()), ("Gadget", (("Gadget", "", "x"),))])
def test_a_mistyped_kind_has_no_identity_that_could_be_kept(kind, rejected):
    loaded = load(document(kind, "v1" if kind == "Gadget" else "projectcalico.org/v3"), "f.yaml")

    assert loaded.rejected == rejected
    assert bool(loaded.broken) is (not rejected)


def test_the_whole_resource_is_judged_though_its_metadata_is_broken():
    written = document("GlobalNetworkPolicy", rest="metadata: {name: A_}\nspec: {order: x, selectr: all()}\n")

    assert [told.code for told in found(written)] == ["P001", "P009", "Y011"]
