"""NetworkPolicy and GlobalNetworkPolicy: P5 to P13, P18 of semantics 1.14, types of 1.4, and what waits."""

import pytest

from tests.unit.resources.reading import Finding, one, refused, taken

KNOWN = (
    "known here: tier, order, selector, serviceAccountSelector, types, ingress, egress, performanceHints, "
    "namespaceSelector, doNotTrack, preDNAT, applyOnForward"
)


@pytest.mark.parametrize(
    "spec",
    [
        "types: [Ingress, Egress]",
        "types: []",
        "types:",
        "selector: ''",
        "selector: projectcalico.org/namespace == 'other'",
        "serviceAccountSelector: all()",
        "namespaceSelector: team != 'a'",
        "order: -1.5",
        "order: 1e308",
        "order: 80.0",
        "tier: a.b",
        "tier: ''",
        "ingress: []",
        "performanceHints: [AssumeNeededOnEveryNode]",
        "applyOnForward: false",
        "doNotTrack: false",
        "preDNAT: false",
    ],
)
def test_a_policy_like_this_is_accepted_without_a_word(spec):
    assert one("GlobalNetworkPolicy", spec).metadata.name == "x"


@pytest.mark.parametrize(
    ("spec", "code", "path", "hint"),
    [
        ("types: [Ingress, «Ingress]", "P005", "types[1]", None),
        ("types: [«ingress]", "P006", "types[0]", "write Ingress"),
        ("types: [Ingress, Egress, «Both]", "P006", "types[2]", None),
        ("selector: «global()", "P007", "selector", None),
        ("serviceAccountSelector: «global()", "P007", "serviceAccountSelector", None),
        ("namespaceSelector: «global() && has(a)", "P007", "namespaceSelector", None),
        ("selector: a == «b", "P008", "selector", None),
        ("serviceAccountSelector: «has (a)", "P008", "serviceAccountSelector", None),
        ("namespaceSelector: 'a «= \"b\"'", "P008", "namespaceSelector", None),
        ("order: «'10'", "P009", "order", "write 10 without quotes"),
        ("order: «.nan", "P009", "order", None),
        ("order: «ten", "P009", "order", None),
        ("tier: «A", "P001", "tier", "write a"),
        ("performanceHints: [«Fast]", "P018", "performanceHints[0]", None),
        (
            "performanceHints: [AssumeNeededOnEveryNode, «AssumeNeededOnEveryNode]",
            "P018",
            "performanceHints[1]",
            None,
        ),
        ("ingress: «{action: Allow}", "Y010", "ingress", None),
        ("doNotTrack: «yes", "Y010", "doNotTrack", None),
        ("«Selector: all()", "Y012", "Selector", "write selector"),
        ("«selectr: all()", "Y011", "selectr", "did you mean selector?"),
        ("«frobnicate: 1", "Y011", "frobnicate", KNOWN),
        ("«podSelector: {}", "Y017", "podSelector", "write selector: with Calico's selector language"),
        ("«action: Allow", "Y017", "action", "an action belongs to a rule, under ingress: or egress:"),
        ("«name: a", "Y017", "name", "name belongs under metadata:"),
    ],
)
def test_a_policy_like_this_is_refused(spec, code, path, hint):
    assert refused("GlobalNetworkPolicy", spec) == [Finding(code, f"spec.{path}", hint)]


@pytest.mark.parametrize("field", ["applyOnForward", "preDNAT", "doNotTrack"])
def test_a_namespaced_policy_does_not_know_what_only_host_endpoints_know(field):
    told = Finding("Y017", f"spec.{field}", f"only a GlobalNetworkPolicy has {field}")

    assert refused("NetworkPolicy", f"«{field}: true") == [told]


def test_a_namespaced_policy_has_no_namespace_selector():
    told = Finding("Y017", "spec.namespaceSelector", "only a GlobalNetworkPolicy has namespaceSelector")

    assert refused("NetworkPolicy", "«namespaceSelector: all()") == [told]


# What the daemon does not enforce yet is told besides whatever is wrong.
@pytest.mark.parametrize(
    ("spec", "codes"),
    [
        ("preDNAT: «true", ["P013"]),
        ("doNotTrack: «true", ["P013"]),
        ("applyOnForward: true\ndoNotTrack: true\npreDNAT: «true", ["P010"]),
        ("applyOnForward: true\npreDNAT: true\negress: «[{action: Allow}]", ["P011"]),
        ("applyOnForward: true\npreDNAT: true\ntypes: «[Egress]", ["P012"]),
    ],
)
def test_what_does_not_go_together_is_refused(spec, codes):
    assert [told.code for told in refused("GlobalNetworkPolicy", spec) if told.code[0] == "P"] == codes


@pytest.mark.parametrize("stage", ["", "preDNAT: true", "doNotTrack: true"])
def test_what_only_host_endpoints_know_is_accepted(stage):
    found = taken("GlobalNetworkPolicy", f"applyOnForward: true\n{stage}")

    assert (found.apply_on_forward, found.pre_dnat, found.do_not_track) == (True, "pre" in stage, "Not" in stage)


def test_what_excludes_each_other_is_told_at_its_own_place():
    told = refused("GlobalNetworkPolicy", "doNotTrack: true\npreDNAT: true\ntypes: [Egress]\negress: [{action: Allow}]")

    assert {(found.code, found.path) for found in told if found.code[0] == "P"} == {
        ("P010", "spec.preDNAT"),
        ("P011", "spec.egress"),
        ("P012", "spec.types"),
        ("P013", "spec.preDNAT"),
    }


@pytest.mark.parametrize(
    ("spec", "ingress", "egress"),
    [
        ("", True, False),
        ("ingress: []", True, False),
        ("egress: []", True, False),
        ("ingress: []\negress: []", True, False),
        ("ingress: [{action: Deny}]", True, False),
        ("egress: [{action: Deny}]", False, True),
        ("ingress: [{action: Deny}]\negress: [{action: Deny}]", True, True),
        ("ingress: [{action: Deny}]\negress: []", True, False),
        ("ingress: []\negress: [{action: Deny}]", False, True),
        ("types: []\negress: [{action: Deny}]", False, True),
        ("types: [Egress]", False, True),
        ("types: [Ingress]\negress: [{action: Deny}]", True, False),
        ("types: [Egress, Ingress]", True, True),
    ],
)
def test_types_say_what_a_policy_governs_and_else_the_number_of_rules(spec, ingress, egress):
    policy = one("NetworkPolicy", spec)

    assert (policy.governs_ingress, policy.governs_egress) == (ingress, egress)


def test_a_policy_knows_its_tier_order_and_place():
    policy = one("GlobalNetworkPolicy", "tier: plat\norder: 10")

    assert (policy.tier, policy.order, str(policy.place)) == ("plat", 10.0, "f.yaml:1:1")


def test_without_tier_and_order_it_is_in_default_and_last():
    policy = one("NetworkPolicy")

    assert (policy.tier, policy.order) == ("default", None)


def test_an_error_in_one_field_hides_none_in_another():
    told = refused("GlobalNetworkPolicy", "order: «x\nselector: '('\ntypes: [In]\ningress: [{action: x}, {action: y}]")

    assert [found.code for found in told] == ["P009", "P008", "P006", "R001", "R001"]


def test_blank_selectors_mean_all():
    assert str(taken("GlobalNetworkPolicy", "selector: ' '").selector) == "all()"
