"""Selectors in resources: R22 to R25 of semantics 2.2."""

import pytest

from tests.unit.resources.reading import Finding, found, refused, refused_rule, rule, text

SIDES = ("source", "destination")
LONG = "a == '" + 1018 * "é" + "'"


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("field", ["selector", "notSelector", "namespaceSelector"])
@pytest.mark.parametrize("written", ["all()", "has(a)", "a in {'b'}", "", " "])
def test_a_selector_that_parses_is_accepted(side, field, written):
    assert rule(f'{{action: Allow, {side}: {{{field}: "{written}"}}}}')


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("field", ["selector", "notSelector", "namespaceSelector"])
def test_a_selector_that_does_not_parse_is_refused_at_the_column_of_the_slip(side, field):
    flow = f"{{action: Allow, {side}: {{{field}: \"a == 'b' «& c == 'd'\"}}}}"

    assert [(told.code, told.path) for told in refused_rule(flow)] == [("R022", f"{side}.{field}")]


def test_a_service_account_selector_is_parsed_too():
    flow = '{action: Allow, source: {serviceAccounts: {selector: "«has (a)"}}}'

    assert refused_rule(flow) == [Finding("R022", "source.serviceAccounts.selector")]


@pytest.mark.parametrize("written", ["global()", "has(a) || global()", "a == 'global('"])
def test_global_cannot_stand_in_a_rules_selector_not_even_in_a_text(written):
    assert refused_rule(f'{{action: Allow, source: {{selector: «"{written}"}}}}') == [
        Finding("R023", "source.selector")
    ]


@pytest.mark.parametrize(
    "written", ["global() && has(x)", "!global()", "(global())", "global() global()", "a == 'global('"]
)
def test_global_in_a_namespace_selector_stands_alone(written):
    told = Finding("R024", "source.namespaceSelector", "write a second rule")

    assert refused_rule(f'{{action: Allow, source: {{namespaceSelector: «"{written}"}}}}') == [told]


@pytest.mark.parametrize("written", ["global()", " global( ) ", "\\tglobal()"])
def test_blanks_around_a_lone_global_are_fine(written):
    selector = rule(f'{{action: Allow, source: {{namespaceSelector: "{written}"}}}}').source.namespace_selector

    assert str(selector) == "global()"


def test_empty_text_is_no_selector_and_blank_text_selects_all():
    assert rule('{action: Allow, source: {selector: ""}}').source.selector is None
    assert str(rule('{action: Allow, source: {selector: " "}}').source.selector) == "all()"


@pytest.mark.parametrize(("more", "codes"), [("", []), (" ", ["R025"])])
def test_a_selector_has_at_most_1024_characters_of_any_width(more, codes):
    assert len(LONG) == 1024 + 1
    written = LONG[:-2] + more + "'"

    assert [told.code for told in refused("NetworkPolicy", f'selector: "{written}"')] == codes


def test_the_selector_of_service_accounts_may_be_longer():
    written = " && ".join(["has(a)"] * 500)

    assert rule(f"{{action: Allow, source: {{serviceAccounts: {{selector: {written}}}}}}}").source.service_accounts


def test_a_selector_over_several_lines_is_told_at_its_beginning():
    told = found(text("NetworkPolicy", "selector: «>-\n  has(a) &&\n  has b"))

    assert [(finding.code, finding.path) for finding in told] == [("P008", "spec.selector")]


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("{app: web}", "write \"app == 'web'\""),
        ("{matchLabels: {app: web, tier: 1}}", "write \"app == 'web' && tier == '1'\""),
        ("{matchExpressions: []}", "write it as text, such as \"color == 'red' && has(size)\""),
        ("{}", "write it as text, such as \"color == 'red' && has(size)\""),
    ],
)
@pytest.mark.parametrize("field", ["selector", "namespaceSelector", "notSelector"])
def test_a_mapping_of_labels_as_in_kubernetes_is_refused_with_the_selector_it_means(field, written, hint):
    told = Finding("Y010", f"source.{field}", hint)

    assert refused_rule(f"{{action: Allow, source: {{{field}: «{written}}}}}") == [told]
