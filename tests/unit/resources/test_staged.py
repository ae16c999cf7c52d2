"""The staged kinds: semantics 1.5, P14 and P15 of 1.14, and 1.15."""

import pytest

from calicod.resources.load import load
from tests.unit.resources.reading import Finding, one, refused, text

KINDS = ("StagedNetworkPolicy", "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy")
LEAVE_OUT = "leave out everything but tier:"
SMALLEST = {"StagedKubernetesNetworkPolicy": "podSelector: {}"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("spec", "action"),
    [
        ("", "Set"),
        ("stagedAction: ''", "Set"),
        ("stagedAction:", "Set"),
        ("stagedAction: Set", "Set"),
        ("stagedAction: Learn", "Learn"),
        ("stagedAction: Ignore", "Ignore"),
        ("stagedAction: Delete", "Delete"),
    ],
)
def test_a_staged_policy_has_its_action(kind, spec, action):
    found = one(kind, spec)

    assert (found.kind, found.staged_action) == (kind, action)


@pytest.mark.parametrize("kind", KINDS)
def test_another_action_is_refused(kind):
    assert refused(kind, "stagedAction: «delete") == [Finding("P015", "spec.stagedAction", "write Delete")]


@pytest.mark.parametrize(
    ("enforced", "staged"),
    [("NetworkPolicy", "StagedNetworkPolicy"), ("GlobalNetworkPolicy", "StagedGlobalNetworkPolicy")],
)
def test_a_staged_policy_is_read_as_the_enforced_one(enforced, staged):
    spec = "tier: sec\norder: 5\nselector: has(a)\negress: [{action: Deny, protocol: TCP, destination: {ports: [80]}}]"
    left, right = one(enforced, spec), one(staged, spec)

    assert (right.tier, right.order, right.selector, right.egress) == (
        left.tier,
        left.order,
        left.selector,
        left.egress,
    )
    assert (right.governs_ingress, right.governs_egress) == (False, True)


@pytest.mark.parametrize(
    ("kind", "spec", "told"),
    [
        ("StagedNetworkPolicy", "order: «x", Finding("P009", "spec.order")),
        ("StagedNetworkPolicy", "types: [Ingress, «Ingress]", Finding("P005", "spec.types[1]")),
        (
            "StagedNetworkPolicy",
            "«preDNAT: true",
            Finding("Y017", "spec.preDNAT", "only a GlobalNetworkPolicy has preDNAT"),
        ),
        (
            "StagedNetworkPolicy",
            "ingress: [{action: «allow}]",
            Finding("R001", "spec.ingress[0].action", "write Allow"),
        ),
        ("StagedGlobalNetworkPolicy", "namespaceSelector: «global()", Finding("P007", "spec.namespaceSelector")),
        ("StagedGlobalNetworkPolicy", "«StagedAction: Set", Finding("Y012", "spec.StagedAction", "write stagedAction")),
    ],
)
def test_what_an_enforced_policy_may_not_say_a_staged_one_may_not_say(kind, spec, told):
    assert refused(kind, spec) == [told]


def test_services_of_a_staged_global_policy_need_a_namespace():
    spec = "egress: [{action: Allow, destination: {services: {name: a}}}]"

    assert "R021" in [told.code for told in refused("StagedGlobalNetworkPolicy", spec)]


def test_a_staged_policy_of_kubernetes_is_in_the_default_tier_at_order_1000():
    found = one("StagedKubernetesNetworkPolicy", "podSelector: {}\negress: [{}]")

    assert (found.tier, found.order, found.governs_ingress, found.governs_egress) == ("default", 1000.0, True, True)
    assert str(found.selector) == 'projectcalico.org/orchestrator == "k8s"'


@pytest.mark.parametrize("kind", KINDS)
def test_a_removal_may_say_nothing(kind):
    assert one(kind, f"stagedAction: Delete\n{SMALLEST.get(kind, 'tier: sec')}").is_suppressed


@pytest.mark.parametrize(
    "field", ["selector: ''", "serviceAccountSelector:", "namespaceSelector: ''", "preDNAT: false"]
)
def test_what_is_nothing_may_stand_beside_a_removal(field):
    assert one("StagedGlobalNetworkPolicy", f"stagedAction: Delete\n{field}").is_suppressed


@pytest.mark.parametrize(
    "field",
    ["types: «[]", "ingress: «[]", "egress: «[]", "performanceHints: «[]", "order: «0", "selector: «all()"],
)
def test_what_is_set_may_not_stand_beside_a_removal(field):
    told = Finding("P014", f"spec.{field.partition(':')[0]}", LEAVE_OUT)

    assert refused("StagedGlobalNetworkPolicy", f"stagedAction: Delete\n{field}") == [told]


def test_a_removal_of_a_policy_of_kubernetes_has_no_selector():
    spec = "stagedAction: Delete\npodSelector: «{matchLabels: {a: b}}"

    assert refused("StagedKubernetesNetworkPolicy", spec) == [Finding("P014", "spec.podSelector", LEAVE_OUT)]


def test_every_field_beside_a_removal_is_told():
    assert [
        told.path for told in refused("StagedNetworkPolicy", "stagedAction: Delete\norder: 1\nselector: all()")
    ] == [
        "spec.order",
        "spec.selector",
    ]


def test_a_staged_and_an_enforced_policy_may_have_one_name():
    written = text("NetworkPolicy", "") + "---\n" + text("StagedNetworkPolicy", "")
    loaded = load(written, "f.yaml")

    assert ([resource.kind for resource in loaded.resources], loaded.diagnostics) == (
        ["NetworkPolicy", "StagedNetworkPolicy"],
        (),
    )


def test_names_are_those_of_the_kinds():
    assert refused("StagedNetworkPolicy", "", name="a.b.c")[0].code == "P001"
    assert one("StagedNetworkPolicy", "", name="knp.default.a.b").metadata.name == "knp.default.a.b"
    assert one("StagedKubernetesNetworkPolicy", "", name="a.b.c").metadata.name == "a.b.c"


def test_a_field_that_cannot_stand_beside_a_removal_is_told_without_its_control_characters():
    spec = 'stagedAction: Delete\n"\\ttier": x'
    told = load(text("StagedNetworkPolicy", spec), "f.yaml").diagnostics

    assert [str(one).replace("\n", "").isprintable() for one in told if one.code == "P014"] == [True]
