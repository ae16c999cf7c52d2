"""`services` of rules: what they mean, and R17 to R21 of semantics 2.2."""

import pytest

from calicod.resources.kinds import ServiceMatch
from tests.unit.resources.reading import Finding, one, refused_rule

GOOD = "services: {name: a, namespace: b}"


@pytest.mark.parametrize(("side", "direction"), [("source", "ingress"), ("destination", "egress")])
def test_a_side_of_a_rule_means_a_service(side, direction):
    policy = one("GlobalNetworkPolicy", f"{direction}: [{{action: Allow, {side}: {{{GOOD}}}}}]")

    assert getattr(getattr(policy, direction)[0], side).services == ServiceMatch("a", "b")


@pytest.mark.parametrize("service", ["{name: a}", "{name: a, namespace: ''}"])
def test_a_namespaced_policy_need_not_give_the_namespace(service):
    policy = one("NetworkPolicy", f"ingress: [{{action: Allow, source: {{services: {service}}}}}]")

    assert policy.ingress[0].source.services == ServiceMatch("a")


@pytest.mark.parametrize("kind", ["GlobalNetworkPolicy", "Profile"])
@pytest.mark.parametrize("service", ["{name: a}", "{name: a, namespace: ''}"])
def test_what_is_of_no_namespace_must_give_the_services(kind, service):
    told = refused_rule(f"{{action: Allow, source: {{services: {service}}}}}", kind=kind)

    assert told == [Finding("R021", "source.services.namespace")]


@pytest.mark.parametrize(
    ("service", "path", "hint"),
    [
        ("{namespace: b}", "name", None),
        ("{name: '', namespace: b}", "name", None),
        ("{name: A, namespace: b}", "name", "write a"),
        (f"{{name: {254 * 'a'}, namespace: b}}", "name", None),
        ("{name: a, namespace: B}", "namespace", "write b"),
    ],
)
def test_services_need_names_of_dns_form(service, path, hint):
    told = refused_rule(f"{{action: Allow, source: {{services: {service}}}}}")

    assert told == [Finding("R019", f"source.services.{path}", hint)]


@pytest.mark.parametrize(("side", "direction"), [("destination", "ingress"), ("source", "egress")])
def test_services_are_where_connections_come_from_or_go_to(side, direction):
    told = refused_rule(f"{{action: Allow, {side}: {{{GOOD}}}}}", direction)

    assert told == [Finding("R020", f"{side}.services")]


@pytest.mark.parametrize(
    "beside",
    [
        "serviceAccounts: {}",
        "namespaceSelector: all()",
        "selector: all()",
        "notSelector: all()",
        "nets: [10.0.0.0/8]",
        "notNets: [10.0.0.0/8]",
    ],
)
def test_services_stand_alone_on_their_side(beside):
    field = beside.partition(":")[0]

    assert refused_rule(f"{{action: Allow, source: {{{GOOD}, {beside}}}}}") == [Finding("R018", f"source.{field}")]


@pytest.mark.parametrize("beside", ["selector: ''", "nets: []", "namespaceSelector: ''", "serviceAccounts: null"])
def test_what_is_empty_excludes_nothing(beside):
    assert refused_rule(f"{{action: Allow, source: {{{GOOD}, {beside}}}}}") == []


@pytest.mark.parametrize("field", ["ports", "notPorts"])
def test_services_of_the_destination_bring_their_own_ports(field):
    told = refused_rule(f"{{action: Allow, protocol: TCP, destination: {{{GOOD}, {field}: [1]}}}}", "egress")

    assert told == [Finding("R017", f"destination.{field}")]


def test_services_of_the_source_may_stand_beside_ports():
    assert refused_rule(f"{{action: Allow, protocol: TCP, source: {{{GOOD}, ports: [1]}}}}") == []
