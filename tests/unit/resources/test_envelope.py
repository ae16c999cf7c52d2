"""apiVersion and kind: which are read, which are refused by name, which are passed over (semantics 1.1)."""

import pytest

from calicod.errors import Severity
from calicod.resources.envelope import KINDS, KUBERNETES, LATER, WITHOUT_EFFECT
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


@pytest.mark.parametrize("kind", LATER)
def test_another_kind_of_kubernetes_is_not_supported_yet(kind):
    version = "networking.k8s.io/v1" if kind.endswith("Policy") else "v1"

    assert found(document(f"«{kind}", version)) == [Finding("N003", "kind", LATER[kind])]


def test_the_network_policy_of_kubernetes_is_told_from_calicos_by_its_group():
    loaded = load(document("NetworkPolicy", "networking.k8s.io/v1") + "spec: {podSelector: {}}\n", "f.yaml")

    assert [(told.code, told.name) for told in loaded.diagnostics] == [("N003", "x")]
    assert loaded.rejected == (("NetworkPolicy", "", "x"),)


@pytest.mark.parametrize("kind", WITHOUT_EFFECT)
def test_a_kind_that_cannot_bear_on_a_verdict_is_passed_over_and_told(kind):
    loaded = load(document(kind) + "spec: {cidr: 10.0.0.0/8}\n", "f.yaml")

    assert (loaded.resources, loaded.rejected, loaded.broken) == ((), (), ())
    assert [(told.code, told.severity) for told in loaded.diagnostics] == [("W011", Severity.WARNING)]


@pytest.mark.parametrize(
    ("written", "code", "path", "hint"),
    [
        (document("«Deployment", "apps/v1"), "Y016", "kind", KNOWN),
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


@pytest.mark.parametrize(("kind", "rejected"), [("networkpolicy", ()), ("Pod", (("Pod", "", "x"),))])
def test_a_mistyped_kind_has_no_identity_that_could_be_kept(kind, rejected):
    loaded = load(document(kind, "v1" if kind == "Pod" else "projectcalico.org/v3"), "f.yaml")

    assert loaded.rejected == rejected
    assert bool(loaded.broken) is (not rejected)


def test_the_whole_resource_is_judged_though_its_metadata_is_broken():
    written = document("GlobalNetworkPolicy", rest="metadata: {name: A_}\nspec: {order: x, selectr: all()}\n")

    assert [told.code for told in found(written)] == ["P001", "P009", "Y011"]
