"""Profile: P32 of semantics 1.14, D10 and D34."""

import pytest

from calicod.model.action import Action
from tests.unit.resources.reading import Finding, one, refused, taken, warned


def test_a_profile_has_rules_and_labels_for_those_that_list_it():
    profile = one("Profile", "labelsToApply: {a: b}\ningress: [{action: Allow}]\negress: [{action: Deny}]")

    assert profile.labels_to_apply == {"a": "b"}
    assert [rule.action for rule in (*profile.ingress, *profile.egress)] == [Action.ALLOW, Action.DENY]


@pytest.mark.parametrize(
    ("spec", "code", "path", "hint"),
    [
        ("labelsToApply: {«a b: c}", "P032", "labelsToApply.a b", None),
        ("labelsToApply: {a: «'b c'}", "P032", "labelsToApply.a", None),
        ("ingress: [{action: «allow}]", "R001", "ingress[0].action", "write Allow"),
        ("egress: [{action: Allow, protocol: «256}]", "R004", "egress[0].protocol", None),
    ],
)
def test_labels_and_rules_of_a_profile_are_checked_like_any_other(spec, code, path, hint):
    assert refused("Profile", spec) == [Finding(code, f"spec.{path}", hint)]


def test_the_built_in_profile_cannot_be_written():
    assert refused("Profile", "ingress: []", name="projectcalico-default-allow") == [Finding("P032", "")]


def test_pass_in_a_profile_is_accepted_and_told_in_each_direction():
    spec = "ingress: [«{action: Pass}]\negress: [{action: Allow}, {action: Pass}]"

    assert warned("Profile", spec) == [Finding("W007", "spec.ingress[0]"), Finding("W007", "spec.egress[1]")]
    assert taken("Profile", spec.replace("«", "")).ingress[0].action is Action.PASS
