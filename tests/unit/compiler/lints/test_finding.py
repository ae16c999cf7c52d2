from msgspec.structs import replace

from calicod.compiler.lints.finding import is_as_written, title, warning
from calicod.errors import Severity
from tests.unit.compiler.build import place, policy, tier


def test_a_finding_is_a_warning_at_the_resource_or_at_a_place_in_it():
    resource = policy("p", "a", place=place(3))

    whole, part = warning("W000", resource, "spec", "odd"), warning("W000", resource, "spec.x", "odd", place=place(7))

    assert (whole.severity, whole.place, part.place) == (Severity.WARNING, place(3), place(7))
    assert (part.kind, part.namespace, part.name, part.path) == ("NetworkPolicy", "a", "p", "spec.x")


def test_a_title_has_the_namespace_if_there_is_one():
    assert [title(policy("p", "a")), title(tier("t"))] == ["NetworkPolicy a/p", "Tier t"]


def test_a_policy_of_kubernetes_has_no_fields_of_these_names():
    resource = replace(policy("p", "a", place=place(3)), kind="KubernetesNetworkPolicy")

    found = warning("W000", resource, "spec.order", "odd")

    assert (is_as_written(resource), found.path, found.place) == (False, "", place(3))
    assert is_as_written(tier("t"))
