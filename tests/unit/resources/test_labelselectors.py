"""Label selectors of Kubernetes (semantics 5.1)."""

import pytest

from calicod.resources.labelselectors import joined
from calicod.selector.tree import Equals, Has
from tests.unit.resources.reading import Finding, one, refused

KIND = "StagedKubernetesNetworkPolicy"


def text_of(selector: str) -> str:
    """The selector that a podSelector becomes, without the term that says that it is a pod."""
    policy = one(KIND, f"podSelector: {selector}")
    return str(policy.selector).removeprefix('(projectcalico.org/orchestrator == "k8s" && ').removesuffix(")")


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("{matchLabels: {b: '1', a: ''}}", 'a == "" && b == "1"'),
        ("{matchExpressions: [{key: k, operator: In, values: [b, a, b]}]}", 'k in {"a", "b"}'),
        ("{matchExpressions: [{key: k, operator: NotIn, values: [a]}]}", 'k not in {"a"}'),
        (
            "{matchExpressions: [{key: k, operator: Exists}, {key: j, operator: Exists, values: []}]}",
            "has(k) && has(j)",
        ),
        ("{matchExpressions: [{key: k, operator: DoesNotExist}]}", "!has(k)"),
        (
            "{matchExpressions: [{key: z, operator: Exists}], matchLabels: {example.com/a: b}}",
            'example.com/a == "b" && has(z)',
        ),
    ],
)
def test_labels_come_by_key_and_expressions_as_written(written, means):
    assert text_of(written) == means


@pytest.mark.parametrize(
    "written", ["{}", "{matchLabels: {}}", "{matchExpressions: []}", "{matchLabels: null}", "null"]
)
def test_an_empty_selector_has_no_terms(written):
    assert str(one(KIND, f"podSelector: {written}").selector) == 'projectcalico.org/orchestrator == "k8s"'


@pytest.mark.parametrize(
    ("written", "code", "path", "hint"),
    [
        ("{matchLabels: {«-a: b}}", "P002", "matchLabels.-a", None),
        ("{matchLabels: {a: «'-'}}", "P002", "matchLabels.a", None),
        ("{matchExpressions: [{key: «a b, operator: Exists}]}", "P002", "matchExpressions[0].key", None),
        (
            "{matchExpressions: [{key: a, operator: In, values: [«'a b']}]}",
            "P002",
            "matchExpressions[0].values[0]",
            None,
        ),
        (
            "{matchExpressions: [{key: a, operator: «in, values: [b]}]}",
            "P008",
            "matchExpressions[0].operator",
            "write In",
        ),
        ("{matchExpressions: [«{key: a, operator: In}]}", "P008", "matchExpressions[0].values", None),
        ("{matchExpressions: [{key: a, operator: NotIn, values: «[]}]}", "P008", "matchExpressions[0].values", None),
        ("{matchExpressions: [{key: a, operator: Exists, values: «[b]}]}", "P008", "matchExpressions[0].values", None),
        ("{matchExpressions: [«{operator: Exists}]}", "P008", "matchExpressions[0].key", None),
        ("{matchExpressions: [«{key: a}]}", "P008", "matchExpressions[0].operator", None),
        ("{matchExpressions: [«a]}", "Y010", "matchExpressions[0]", None),
        ("{«key: a}", "Y017", "key", "it belongs to an entry of matchExpressions:"),
        ("«app == 'web'", "Y010", "", None),
    ],
)
def test_what_the_api_of_kubernetes_refuses_is_refused(written, code, path, hint):
    place = ".".join(filter(None, ("spec.podSelector", path)))

    assert refused(KIND, f"podSelector: {written}") == [Finding(code, place, hint)]


def test_terms_are_joined_and_none_are_no_selector():
    assert joined(()) is None
    assert joined([Has("a")]) == Has("a")
    assert str(joined([Has("a"), Equals("b", "c")])) == '(has(a) && b == "c")'
