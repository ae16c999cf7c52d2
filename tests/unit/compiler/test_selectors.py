"""Assembly of policy and rule selectors (semantics 2.9 to 2.11, 3.6)."""

import pytest

from calicod.compiler.selectors import negated, policy_selector, sides
from calicod.resources.kinds import EntityRule, ServiceAccountMatch
from calicod.selector.parser import parse
from tests.unit.compiler.build import entity, policy, sel

NAMESPACED = "has(projectcalico.org/namespace)"
NS = 'projectcalico.org/namespace == "a"'


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "all()"),
        ({"selector": "all()"}, "all()"),
        ({"namespace_selector": "x == '1'"}, 'pcns.x == "1"'),
        ({"namespace_selector": "x != '1'"}, 'pcns.x != "1"'),
        ({"namespace_selector": "all()"}, "has(projectcalico.org/namespace)"),
        (
            {"selector": "all()", "namespace_selector": "x == '1'"},
            '(has(projectcalico.org/namespace) && pcns.x == "1")',
        ),
        (
            {"selector": "a == 'b' || !all()", "namespace_selector": "x == '1'"},
            '((a == "b" || !has(projectcalico.org/namespace)) && pcns.x == "1")',
        ),
        (
            {"selector": "all()", "service_account_selector": "x == '1'"},
            '(has(projectcalico.org/serviceaccount) && pcsa.x == "1")',
        ),
        ({"service_account_selector": "all()"}, "has(projectcalico.org/serviceaccount)"),
        (
            {"selector": "all()", "namespace_selector": "all()", "service_account_selector": "all()"},
            f"(({NAMESPACED} && {NAMESPACED}) && has(projectcalico.org/serviceaccount))",
        ),
    ],
)
def test_the_selector_of_a_global_policy(fields: dict[str, str], expected: str):
    written = {name: sel(text) for name, text in fields.items() if name != "selector"}

    assert str(policy_selector(policy("p", "", fields.get("selector"), **written))) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, NS),
        ({"selector": "all()"}, f"(all() && {NS})"),
        ({"selector": "x == '1' || y == '2'"}, f'((x == "1" || y == "2") && {NS})'),
        ({"service_account_selector": "all()"}, f"({NS} && all())"),
        ({"service_account_selector": "k == 'v'"}, f'({NS} && pcsa.k == "v")'),
    ],
)
def test_the_selector_of_a_namespaced_policy(fields: dict[str, str], expected: str):
    written = {name: sel(text) for name, text in fields.items() if name != "selector"}

    assert str(policy_selector(policy("p", "a", fields.get("selector"), **written))) == expected


def shown(written: EntityRule, namespace: str) -> tuple[str | None, str | None]:
    positive, negative = sides(written, namespace)
    return positive and str(positive), negative and str(negative)


@pytest.mark.parametrize(
    ("fields", "in_global", "in_namespace"),
    [
        ({}, (None, None), (None, None)),
        ({"selector": "all()"}, ("all()", None), (f"({NS} && all())", None)),
        ({"selector": "x == '1' || y == '2'"}, None, (f'({NS} && (x == "1" || y == "2"))', None)),
        ({"not_selector": "x == '1'"}, (None, 'x == "1"'), (f'({NS} && !x == "1")', None)),
        ({"selector": "has(x)", "not_selector": "!has(y)"}, ("(has(x) && has(y))", None), None),
        ({"namespace_selector": "all()"},) + (("has(projectcalico.org/namespace)", None),) * 2,
        ({"namespace_selector": "global()"},) + (("!has(projectcalico.org/namespace)", None),) * 2,
        ({"namespace_selector": "k == 'v'"},) + (('pcns.k == "v"', None),) * 2,
        (
            {"namespace_selector": "all() && k != 'v'", "selector": "role == 'x'"},
            *((('((has(projectcalico.org/namespace) && pcns.k != "v") && role == "x")'), None),) * 2,
        ),
        ({"nets": ("10.0.0.0/8",)}, (None, None), (None, None)),
        ({"ports": (80,)}, (None, None), (None, None)),
    ],
)
def test_the_selectors_of_a_side(fields, in_global, in_namespace):
    for expected, namespace in ((in_global, ""), (in_namespace, "a")):
        if expected is not None:
            assert shown(entity(**fields), namespace) == expected


@pytest.mark.parametrize(
    ("match", "in_global", "in_namespace"),
    [
        (ServiceAccountMatch(), None, None),
        (
            ServiceAccountMatch(("b", "a", "b")),
            'projectcalico.org/serviceaccount in {"a", "b"}',
            f'({NS} && projectcalico.org/serviceaccount in {{"a", "b"}})',
        ),
        (ServiceAccountMatch((), parse("all()")), "all()", f"({NS} && all())"),
        (
            ServiceAccountMatch(("a",), parse("k == 'v'")),
            '(projectcalico.org/serviceaccount in {"a"} && pcsa.k == "v")',
            f'({NS} && (projectcalico.org/serviceaccount in {{"a"}} && pcsa.k == "v"))',
        ),
    ],
)
def test_service_accounts_of_a_side(match: ServiceAccountMatch, in_global: str | None, in_namespace: str | None):
    written = EntityRule(service_accounts=match)

    assert shown(written, "") == (in_global, None)
    assert shown(written, "a") == (in_namespace, None)


def test_service_accounts_and_selector_are_both_needed():
    written = EntityRule(service_accounts=ServiceAccountMatch(("a",)), selector=parse("has(x)"))

    assert shown(written, "") == ('(projectcalico.org/serviceaccount in {"a"} && has(x))', None)


def test_a_double_negation_is_folded():
    assert str(negated(parse("!has(x)"))) == "has(x)"
