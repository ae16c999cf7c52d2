"""Namespace and ServiceAccount become profiles (semantics 1.12)."""

from calicod.model.action import Action
from calicod.resources.load import load
from tests.unit.resources.reading import Finding, found

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: prod, labels: {team: a, x.y/z: ""}}
spec: {finalizers: [kubernetes]}
status: {phase: Active}
"""
ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: prod, labels: {tier: gold}}
secrets: [{name: token}]
imagePullSecrets: []
automountServiceAccountToken: false
"""


def only(text):
    loaded = load(text, "f.yaml")
    assert loaded.diagnostics == ()
    (resource,) = loaded.resources
    return resource


def test_a_namespace_is_a_profile_that_allows_all_and_hands_down_its_labels():
    profile = only(NAMESPACE)

    assert (profile.kind, profile.metadata.name, profile.metadata.namespace) == ("Profile", "kns.prod", "")
    assert [rule.action for rule in (*profile.ingress, *profile.egress)] == [Action.ALLOW, Action.ALLOW]
    assert profile.labels_to_apply == {"pcns.team": "a", "pcns.x.y/z": "", "pcns.projectcalico.org/name": "prod"}


def test_a_service_account_is_a_profile_without_rules():
    profile = only(ACCOUNT)

    assert (profile.metadata.name, profile.ingress, profile.egress) == ("ksa.prod.web", (), ())
    assert profile.labels_to_apply == {"pcsa.tier": "gold", "pcsa.projectcalico.org/name": "web"}


def test_what_is_said_of_them_bears_the_name_of_the_profile_that_would_be_kept():
    (told,) = load(ACCOUNT.replace("tier: gold", "tier: '!'"), "f.yaml").diagnostics

    assert (told.code, told.kind, told.namespace, told.name) == ("P002", "Profile", "", "ksa.prod.web")
    assert load(NAMESPACE.replace("team: a", "team: '!'"), "f.yaml").rejected == (("Profile", "", "kns.prod"),)


def test_they_are_of_apiversion_v1():
    written = NAMESPACE.replace("apiVersion: v1", "apiVersion: «projectcalico.org/v3")

    assert found(written) == [Finding("Y015", "apiVersion", "write apiVersion: v1")]
