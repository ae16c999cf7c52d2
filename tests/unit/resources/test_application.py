"""`http` of rules: R14 to R16, R25 and R27 of semantics 2.2, and never enforced silently (D9)."""

import pytest

from tests.unit.resources.reading import Finding, refused_rule

HINT = "remove the rule, or allow the whole connection by ports"
NOT_ENFORCED = Finding("http-not-enforced", "http", HINT)


def findings(http, rest="action: Allow", direction="ingress"):
    """What is said besides that http cannot be enforced, which is always said first."""
    first, *others = refused_rule(f"{{{rest}, http: «{http}}}", direction)
    assert first == NOT_ENFORCED
    return others


@pytest.mark.parametrize(
    "http", ["{}", "{methods: [GET, '*']}", "{paths: [{exact: /a}, {prefix: /b/c}]}", "{methods: [], paths: []}"]
)
@pytest.mark.parametrize("protocol", ["", ", protocol: TCP", ", protocol: 6"])
def test_a_rule_with_http_is_refused_however_well_written(http, protocol):
    assert findings(http, f"action: Allow{protocol}") == []


@pytest.mark.parametrize("action", ["Deny", "Log", "Pass"])
def test_http_is_for_rules_that_allow(action):
    assert findings("{}", f"action: {action}") == [Finding("R014", "http")]


@pytest.mark.parametrize("protocol", ["UDP", "17"])
def test_http_is_for_tcp(protocol):
    assert findings("{}", f"action: Allow, protocol: {protocol}") == [Finding("R015", "http")]


def test_http_is_for_ingress():
    assert findings("{}", direction="egress") == [Finding("R016", "http")]


@pytest.mark.parametrize(
    ("http", "code", "path", "hint"),
    [
        ("{methods: [GET, POST, GET]}", "R027", "methods[2]", None),
        ("{paths: [{exact: /a, prefix: /b}]}", "R027", "paths[0]", "such as `- prefix: /api`"),
        ("{paths: [{}]}", "R027", "paths[0]", "such as `- prefix: /api`"),
        ("{paths: [{exact: a}]}", "R027", "paths[0].exact", None),
        ("{paths: [{prefix: '/a?b'}]}", "R027", "paths[0].prefix", None),
        ("{paths: [{prefix: '/a#b'}]}", "R027", "paths[0].prefix", None),
        ("{paths: [{prefix: '/a b'}]}", "R027", "paths[0].prefix", None),
        (f"{{paths: [{{exact: /{1024 * 'a'}}}]}}", "R025", "paths[0].exact", None),
        (f"{{methods: [{', '.join(f'M{i}' for i in range(21))}]}}", "R025", "methods", None),
        (f"{{paths: [{', '.join(21 * ['{exact: /}'])}]}}", "R025", "paths", None),
        ("{method: [GET]}", "Y011", "method", "did you mean methods?"),
        ("{methods: GET}", "Y010", "methods", "write it as a list: [ … ]"),
    ],
)
def test_what_calico_refuses_of_http_is_told_as_well(http, code, path, hint):
    assert findings(http) == [Finding(code, f"http.{path}", hint)]


def test_http_that_is_no_mapping_is_refused():
    assert refused_rule("{action: Allow, http: «[GET]}") == [Finding("Y010", "http")]
