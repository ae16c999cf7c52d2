"""Objects of Kubernetes: what is read of them, and what is left alone."""

import pytest

from calicod.errors import Severity
from calicod.resources.document import Mapping
from calicod.resources.load import load
from calicod.resources.objects import empty, words
from tests.unit.resources.kubernetes import taken, written
from tests.unit.resources.reading import Finding, found


@pytest.mark.parametrize("field", ["hostUsers: false", "hostPID: true", "nodeSelector: {a: b}", "inNextRelease: [1]"])
def test_a_field_that_is_not_read_is_left_alone(field):
    assert taken("Pod", f"spec: {{nodeName: n, {field}}}\nstatus: {{podIP: 10.0.0.1}}").node == "n"


@pytest.mark.parametrize(
    ("spec", "code", "path", "hint"),
    [
        ("{nodeName: n, «hostnetwork: true}", "Y012", "spec.hostnetwork", "write hostNetwork"),
        ("{nodeName: n, «hostNetworks: true}", "Y011", "spec.hostNetworks", "did you mean hostNetwork?"),
        ("{«nodename: n}", "Y012", "spec.nodename", "write nodeName"),
        ("{nodeName: n, «container: []}", "Y011", "spec.container", "did you mean containers?"),
        ("«[]", "Y010", "spec", None),
    ],
)
def test_a_slip_in_a_field_that_is_read_is_refused(spec, code, path, hint):
    assert found(written("Pod", f"spec: {spec}\nstatus: {{podIP: 10.0.0.1}}")) == [Finding(code, path, hint)]


def test_null_is_absent():
    assert taken("Pod", "spec: {nodeName: n, hostNetwork: null}\nstatus: {podIP: 10.0.0.1, podIPs: null}") is not None


def test_many_unknown_fields_are_no_work():
    fields = ", ".join(f"containerz{number}: 1" for number in range(2000))
    told = load(written("Pod", f"spec: {{nodeName: n, {fields}}}"), "f.yaml").diagnostics

    assert 0 < len([d for d in told if d.severity is Severity.ERROR]) <= 400


def test_an_empty_mapping_stands_where_the_other_node_does():
    node = Mapping("", [], start_mark="here", end_mark="there")

    assert (empty(node).value, empty(node).start_mark) == ([], "here")


def test_words_are_set_apart_by_blanks():
    assert words("a b  c") == {"a", "b", "c"}
