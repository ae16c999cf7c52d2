import pytest

from tests.unit.compiler.build import (
    codes,
    compilation,
    entity,
    host,
    network_set,
    policy,
    profile,
    rule,
    sel,
    workload,
)

OPEN = profile("open", labels={"pcns.team": "x"}, ingress=(rule(),), egress=(rule(),))
POD = workload(profiles=("open",), labels={"app": "x"})
NODE = host(addresses=("192.0.2.1",), profiles=("open2",))
OPEN_2 = profile("open2", ingress=(rule(),), egress=(rule(),))


def told(*resources) -> list[tuple[str, str]]:
    return [(d.code, d.path) for d in compilation(*resources).diagnostics]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"selector": "app == 'y'"}, "spec.selector"),
        ({"namespace_selector": sel("team == 'y'")}, "spec.namespaceSelector"),
        ({"namespace": "other"}, "spec"),
    ],
)
def test_a_policy_that_no_endpoint_matches_is_told(fields, path):
    assert told(policy(**fields, ingress=(rule(),)), POD, OPEN) == [("W061", path)]


def test_a_policy_for_the_endpoints_of_another_node_is_in_use():
    far = workload("far", node="n2", labels={"app": "y"})

    assert told(policy(selector="app == 'y'", ingress=(rule(),)), POD, OPEN, far) == []


def test_without_endpoints_nobody_knows_what_a_selector_matches():
    assert told(policy(selector="app == 'y'", ingress=(rule(source=entity("has(z)")),))) == []


def test_a_network_set_is_no_subject_of_a_policy():
    assert told(
        policy(selector="feed == 'bad'", ingress=(rule(),)),
        POD,
        OPEN,
        network_set("s", "", ("192.0.2.0/24",), {"feed": "bad"}),
    ) == [("W061", "spec.selector")]


def test_a_rule_whose_selector_matches_no_address_is_told():
    found = compilation(policy(ingress=(rule(), rule(source=entity("has(z)")))[1:], selector="all()"), POD, OPEN)

    assert [(d.code, d.path) for d in found.diagnostics] == [("W062", "spec.ingress[0].source")]
    assert "no network set matches has(z)" in found.diagnostics[0].message


def test_a_network_set_is_enough_for_a_rule_and_what_matches_nobody_may_be_excluded():
    feed = network_set("s", "", ("192.0.2.0/24",), {"feed": "bad"})
    rules = (rule("Deny", source=entity("feed == 'bad'")), rule(source=entity(not_selector="has(z)")))

    assert told(policy(selector="all()", ingress=rules), POD, OPEN, feed) == []


def test_a_host_endpoint_without_addresses_is_no_source():
    rules = (rule(source=entity("role == 'host'")),)

    assert codes(policy(selector="has(app)", ingress=rules), POD, OPEN, host(labels={"role": "host"})) == ["W062"]


NEGATIVE = policy("n", namespace_selector=sel("team != 'y'"), ingress=(rule(),))


def test_a_negative_namespace_selector_that_governs_a_host_endpoint_is_told():
    (found,) = compilation(NEGATIVE, POD, OPEN, NODE, OPEN_2).diagnostics

    assert (found.code, found.path) == ("W065", "spec.namespaceSelector")
    assert found.message == 'team != "y" holds for what has no namespace too: the policy governs HostEndpoint h'
    assert found.hint == 'to mean workloads only, write "has(projectcalico.org/name) && (team != "y")"'


@pytest.mark.parametrize(
    "fields",
    [
        {"namespace_selector": sel("all()")},
        {"namespace_selector": sel("team == 'x'")},
        {"namespace_selector": sel("has(projectcalico.org/name) && team != 'y'")},
        {"namespace_selector": sel("team != 'y'"), "selector": "all()"},
    ],
)
def test_what_only_namespaces_satisfy_is_fine(fields):
    kns = profile("kns.a", labels={"pcns.team": "x", "pcns.projectcalico.org/name": "a"}, ingress=(rule(),))
    pod = workload(profiles=("kns.a",))

    assert codes(policy("n", **fields, ingress=(rule(),)), pod, kns, NODE, OPEN_2) == []


def test_without_host_endpoints_a_negative_namespace_selector_is_told_of_those_to_come():
    assert codes(NEGATIVE, POD, OPEN) == ["W065"]


def test_a_rule_with_a_negative_namespace_selector_that_matches_a_host_is_told():
    rules = (rule(source=entity(namespace_selector="team != 'y'")),)

    assert told(policy("p", "a", ingress=rules), POD, OPEN, NODE, OPEN_2) == [
        ("W065", "spec.ingress[0].source.namespaceSelector")
    ]


@pytest.mark.parametrize("text", ["global()", "all()", "team == 'x'"])
def test_a_rule_that_says_what_it_means_is_fine(text):
    rules = (rule(source=entity(namespace_selector=text)),)

    assert told(policy("p", "a", ingress=rules), POD, OPEN, NODE, OPEN_2) == []
