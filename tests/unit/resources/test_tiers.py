"""Tier: P19 to P21 of semantics 1.14, and the three that Calico knows."""

import pytest

from calicod.model.action import Action
from calicod.resources.load import load
from tests.unit.resources.reading import Finding, one, refused, text


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("x", "order: 10"),
        ("x", "order: -0.5\ndefaultAction: Pass"),
        ("x", "order:"),
        ("default", ""),
        ("default", "order: 1000000\ndefaultAction: Deny"),
        ("default", "order: 1.0e6"),
        ("kube-admin", "order: 1000\ndefaultAction: Pass"),
        ("kube-baseline", "order: 10000000\ndefaultAction: Pass"),
    ],
)
def test_a_tier_like_this_is_accepted(name, spec):
    assert one("Tier", spec, name=name).metadata.name == name


@pytest.mark.parametrize(
    ("name", "spec", "code", "path", "hint"),
    [
        ("x", "order: «ten", "P009", "order", None),
        ("x", "order: «.inf", "P009", "order", None),
        ("x", "defaultAction: «Allow", "P021", "defaultAction", None),
        ("x", "defaultAction: «Log", "P021", "defaultAction", None),
        ("x", "defaultAction: «deny", "P021", "defaultAction", "write Deny"),
        ("x", "«tier: a", "Y011", "tier", "known here: order, defaultAction"),
        ("default", "order: «10", "P020", "order", None),
        ("default", "defaultAction: «Pass", "P020", "defaultAction", None),
        ("kube-admin", "order: «10\ndefaultAction: Pass", "P020", "order", None),
        ("kube-admin", "order: 1000\ndefaultAction: «Deny", "P020", "defaultAction", None),
        ("kube-admin", "«defaultAction: Pass", "P020", "order", None),
        ("kube-admin", "«order: 1000", "P020", "defaultAction", None),
        ("kube-baseline", "order: «1000\ndefaultAction: Pass", "P020", "order", None),
    ],
)
def test_a_tier_like_this_is_refused(name, spec, code, path, hint):
    assert refused("Tier", spec, name=name) == [Finding(code, f"spec.{path}", hint)]


@pytest.mark.parametrize("name", ["«a.b", "«" + 64 * "a"])
def test_the_name_of_a_tier_has_no_dot_and_at_most_63_characters(name):
    assert refused("Tier", name=name) == [Finding("P001", "metadata.name")]


def test_without_a_default_action_a_tier_denies():
    tier = one("Tier")

    assert (tier.order, tier.default_action) == (None, Action.DENY)


def test_the_status_that_calicos_controller_writes_is_accepted():
    written = text("Tier", "order: 5") + "status: {conditions: [{type: Ready}]}\n"

    assert load(written, "f.yaml").resources == (one("Tier", "order: 5"),)
