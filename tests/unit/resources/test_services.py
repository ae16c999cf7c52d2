"""`services` of rules: R17 to R21 of semantics 2.2, and not supported yet (N001)."""

import pytest

from tests.unit.resources.reading import Finding, refused_rule

LATER = "select the pods behind the service instead"
GOOD = "services: {name: a, namespace: b}"


def findings(flow, direction="ingress", kind="GlobalNetworkPolicy"):
    """What is said besides that services are not supported yet, which is always said."""
    told = refused_rule(flow, direction, kind)
    assert [found.hint for found in told if found.code == "N001"] == [LATER]
    return [found for found in told if found.code != "N001"]


@pytest.mark.parametrize(("side", "direction"), [("source", "ingress"), ("destination", "egress")])
def test_a_rule_with_services_is_refused_however_well_written(side, direction):
    told = refused_rule(f"{{action: Allow, {side}: {{services: «{{name: a, namespace: b}}}}}}", direction)

    assert told == [Finding("N001", f"{side}.services", LATER)]


@pytest.mark.parametrize("service", ["{name: a}", "{name: a, namespace: ''}"])
def test_a_namespaced_policy_need_not_give_the_namespace(service):
    assert findings(f"{{action: Allow, source: {{services: {service}}}}}", kind="NetworkPolicy") == []


@pytest.mark.parametrize("service", ["{name: a}", "{name: a, namespace: ''}"])
def test_a_global_policy_must_give_the_namespace(service):
    told = findings(f"{{action: Allow, source: {{services: {service}}}}}")

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
    told = findings(f"{{action: Allow, source: {{services: {service}}}}}")

    assert told == [Finding("R019", f"source.services.{path}", hint)]


@pytest.mark.parametrize(("side", "direction"), [("destination", "ingress"), ("source", "egress")])
def test_services_are_where_connections_come_from_or_go_to(side, direction):
    told = findings(f"{{action: Allow, {side}: {{{GOOD}}}}}", direction)

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

    assert findings(f"{{action: Allow, source: {{{GOOD}, {beside}}}}}") == [Finding("R018", f"source.{field}")]


@pytest.mark.parametrize("beside", ["selector: ''", "nets: []", "namespaceSelector: ''", "serviceAccounts: null"])
def test_what_is_empty_excludes_nothing(beside):
    assert findings(f"{{action: Allow, source: {{{GOOD}, {beside}}}}}") == []


@pytest.mark.parametrize("field", ["ports", "notPorts"])
def test_services_of_the_destination_bring_their_own_ports(field):
    told = findings(f"{{action: Allow, protocol: TCP, destination: {{{GOOD}, {field}: [1]}}}}", "egress")

    assert told == [Finding("R017", f"destination.{field}")]


def test_services_of_the_source_may_stand_beside_ports():
    assert findings(f"{{action: Allow, protocol: TCP, source: {{{GOOD}, ports: [1]}}}}") == []
