import msgspec

from calicod.daemon.refusals import enforceable, refuse
from calicod.errors import Severity
from calicod.resources.load import load

TEXT = """apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: early}
spec:
  applyOnForward: true
  preDNAT: true
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: inside}
spec: {applyOnForward: true, preDNAT: true}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: plain}
spec: {order: 1, types: [Ingress], performanceHints: []}
"""
LOADED = load(TEXT, "a.yaml")


def test_what_cannot_be_enforced_is_an_error_at_its_line_and_rejected():
    refused = refuse(LOADED)

    assert [resource.metadata.name for resource in refused.resources] == ["plain"]
    assert refused.rejected == (("GlobalNetworkPolicy", "", "early"), ("GlobalNetworkPolicy", "", "inside"))
    assert [(d.severity, d.code, d.line, d.path) for d in refused.diagnostics] == [
        (Severity.ERROR, "N005", 6, "spec.preDNAT"),
        (Severity.ERROR, "N005", 11, "spec.preDNAT"),
    ]


def test_it_is_refused_too_where_the_loader_had_no_word_left_for_it():
    silent = msgspec.structs.replace(LOADED, diagnostics=())

    assert [(d.severity, d.code, d.name, d.line) for d in refuse(silent).diagnostics] == [
        (Severity.ERROR, "N005", "early", 1),
        (Severity.ERROR, "N005", "inside", 8),
    ]


def test_other_findings_and_resources_stay_as_they_are():
    plain = load("apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: t}\nspec: {ordr: 1}", "b.yaml")

    assert refuse(plain) is plain
    assert enforceable(LOADED.resources) == LOADED.resources[2:]
