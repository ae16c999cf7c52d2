"""The spec of the cluster's own network policies, as written (semantics 5.2)."""

import pytest

from calicod.errors import Severity
from calicod.model.action import Action
from calicod.resources.load import load
from tests.unit.resources.kubernetes import taken, written
from tests.unit.resources.reading import Finding, found

CNP, ANP, BANP = "ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"
HEAD = {
    CNP: "tier: Admin, priority: 7, subject: {namespaces: {}}",
    ANP: "priority: 7, subject: {namespaces: {}}",
    BANP: "subject: {namespaces: {}}",
}
SPACES = "{namespaces: {matchLabels: {team: a}}}"
PODS = "{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}"


def spec(kind, rest="", head=None):
    return f"spec: {{{HEAD[kind] if head is None else head}{', ' if rest else ''}{rest}}}"


def policy(kind, rest="", head=None, name="x"):
    return taken(kind, spec(kind, rest, head), name="default" if kind == BANP else name)


def refused(kind, rest="", head=None, name="x"):
    told = found(written(kind, spec(kind, rest, head), name="default" if kind == BANP and name == "x" else name))
    return [(one.code, one.path) for one in told]


@pytest.mark.parametrize(
    ("kind", "tier", "order"), [(CNP, "kube-admin", 7.0), (ANP, "kube-admin", 7.0), (BANP, "kube-baseline", None)]
)
def test_a_policy_is_in_its_tier_at_its_priority(kind, tier, order):
    found = policy(kind)

    assert (found.kind, found.tier, found.order) == (f"Kubernetes{kind}", tier, order)


def test_a_cluster_policy_may_be_a_baseline():
    assert policy(CNP, head="tier: Baseline, priority: 0, subject: {namespaces: {}}").tier == "kube-baseline"


def test_a_subject_may_be_pods():
    found = policy(CNP, head=f"tier: Admin, priority: 1, subject: {PODS}")

    assert str(found.selector) == '(projectcalico.org/orchestrator == "k8s" && app == "web")'


@pytest.mark.parametrize(
    ("kind", "word", "action"),
    [
        (CNP, "Accept", Action.ALLOW),
        (ANP, "Allow", Action.ALLOW),
        (BANP, "Allow", Action.ALLOW),
        (CNP, "Deny", Action.DENY),
        (ANP, "Pass", Action.PASS),
        (BANP, "Deny", Action.DENY),
    ],
)
def test_each_kind_has_its_words_for_actions(kind, word, action):
    (rule,) = policy(kind, f"ingress: [{{name: r, action: {word}, from: [{SPACES}]}}]").ingress

    assert (rule.action, str(rule.source.namespace_selector)) == (action, 'team == "a"')


def test_a_rule_knows_the_line_of_its_peer():
    written_so = f"""
    spec:
      tier: Admin
      priority: 1
      subject: {{namespaces: {{}}}}
      egress:
      - action: Deny
        to:
        - {SPACES}
        - {PODS}
    """
    lines = [
        number for number, line in enumerate(written(CNP, written_so).splitlines(), 1) if line.startswith("    - {")
    ]

    assert [rule.place.line for rule in taken(CNP, written_so).egress] == lines


@pytest.mark.parametrize(
    ("kind", "rest", "code", "path"),
    [
        (CNP, "ingress: [{action: «Allow, from: [{namespaces: {}}]}]", "P040", "spec.ingress[0].action"),
        (ANP, "ingress: [{action: «Accept, from: [{namespaces: {}}]}]", "P040", "spec.ingress[0].action"),
        (BANP, "ingress: [{action: «Pass, from: [{namespaces: {}}]}]", "P040", "spec.ingress[0].action"),
        (CNP, "ingress: [«{from: [{namespaces: {}}]}]", "P040", "spec.ingress[0].action"),
        (CNP, "ingress: [«{action: Deny}]", "P040", "spec.ingress[0].from"),
        (CNP, "ingress: [{action: Deny, from: «[]}]", "P040", "spec.ingress[0].from"),
        (
            CNP,
            "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: «[]}]",
            "P040",
            "spec.ingress[0].protocols",
        ),
        (
            CNP,
            "ingress: [{action: Deny, from: [«{namespaces: {}, pods: {podSelector: {}}}]}]",
            "P040",
            "spec.ingress[0].from[0]",
        ),
        (
            CNP,
            "ingress: [{action: Deny, from: [{«networks: [10.0.0.0/8]}]}]",
            "Y011",
            "spec.ingress[0].from[0].networks",
        ),
        (
            CNP,
            "ingress: [{action: Deny, from: [{pods: «{namespaceSelector: {}}}]}]",
            "P040",
            "spec.ingress[0].from[0].pods.podSelector",
        ),
        (CNP, "ingress: [{action: Deny, from: [{«namespace: {}}]}]", "Y011", "spec.ingress[0].from[0].namespace"),
        (
            CNP,
            "ingress: [{action: Deny, from: [{namespaces: {«matchLabel: {}}}]}]",
            "Y011",
            "spec.ingress[0].from[0].namespaces.matchLabel",
        ),
        (CNP, "egress: [{action: Deny, to: [{networks: «[]}]}]", "P040", "spec.egress[0].to[0].networks"),
        (CNP, "egress: [{action: Deny, to: [{networks: [«here]}]}]", "R012", "spec.egress[0].to[0].networks[0]"),
        (
            CNP,
            "egress: [{action: Deny, to: [{namespaces: {}}], «from: [{namespaces: {}}]}]",
            "Y017",
            "spec.egress[0].from",
        ),
        (
            CNP,
            f"egress: [{{name: «{101 * 'n'}, action: Deny, to: [{{namespaces: {{}}}}]}}]",
            "P040",
            "spec.egress[0].name",
        ),
        (CNP, f"egress: «[{', '.join(26 * ['{action: Deny, to: [{namespaces: {}}]}'])}]", "P040", "spec.egress"),
        (CNP, "«selector: all()", "Y017", "spec.selector"),
    ],
)
def test_a_rule_like_this_is_refused(kind, rest, code, path):
    assert refused(kind, rest)[0] == (code, path)


@pytest.mark.parametrize(
    ("kind", "head", "path"),
    [
        (CNP, "tier: «Default, priority: 1, subject: {namespaces: {}}", "spec.tier"),
        (CNP, "priority: 1, subject: {namespaces: {}}", "spec.tier"),
        (CNP, "tier: Admin, priority: «1001, subject: {namespaces: {}}", "spec.priority"),
        (CNP, "tier: Admin, subject: {namespaces: {}}", "spec.priority"),
        (CNP, "tier: Admin, priority: 1", "spec.subject"),
        (CNP, "tier: Admin, priority: 1, subject: «{}", "spec.subject"),
        (CNP, "tier: Admin, priority: 1, subject: «{namespaces: {}, pods: {podSelector: {}}}", "spec.subject"),
        (ANP, "subject: {namespaces: {}}", "spec.priority"),
    ],
)
def test_a_policy_without_its_parts_is_refused(kind, head, path):
    assert refused(kind, head=head)[0] == ("P040", path)


def test_there_is_one_baseline_admin_policy():
    assert refused(BANP, name="second") == [("P040", "metadata.name")]


@pytest.mark.parametrize("peer", ["{nodes: {}}", "{domainNames: [example.org]}", "{}"])
@pytest.mark.parametrize(("word", "left"), [("Accept", []), ("Deny", [Action.DENY]), ("Pass", [Action.DENY])])
def test_a_peer_that_cannot_be_expressed_fails_closed_and_is_told(peer, word, left):
    text = written(CNP, spec(CNP, f"egress: [{{action: {word}, to: [{SPACES}, {peer}]}}]"))
    hint = "write the addresses as networks:"

    assert found(text, Severity.WARNING) == [Finding("W080", "spec.egress[0].to", hint)]
    assert [rule.action for rule in load(text, "f.yaml").resources[0].egress] == left


def test_status_and_server_fields_are_accepted():
    text = written(CNP, spec(CNP) + "\nstatus: {conditions: []}", meta="uid: 1-2\ngeneration: 3")

    assert load(text, "f.yaml").diagnostics == ()
