"""Names, namespaces and identities: P1, P3 and P4 of semantics 1.14, and names as Calico stores them (1.1)."""

import pytest

from calicod.resources.load import load
from tests.unit.resources.reading import Finding, found, one, refused, taken, text, warned

HOST = "node: n\ninterfaceName: e"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("GlobalNetworkPolicy", "a.b"),
        ("NetworkPolicy", "tier.a"),
        ("NetworkPolicy", "knp.default.a.b.c"),
        ("NetworkPolicy", "ossg.default.x"),
        ("GlobalNetworkSet", "a.b.c.d"),
        ("GlobalNetworkSet", 253 * "a"),
        ("Tier", 63 * "a"),
        ("Tier", "0-a"),
        ("Profile", "kns.a"),
    ],
)
def test_a_name_of_the_grammar_of_its_kind_is_accepted(kind, name):
    assert one(kind, name=name).metadata.name == name


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("NetworkPolicy", "My-Policy", "write my-policy"),
        ("NetworkPolicy", "a_b", "write a-b"),
        ("NetworkPolicy", "-a", None),
        ("NetworkPolicy", "a-", None),
        ("NetworkPolicy", "a..b", None),
        ("NetworkPolicy", "a.b.c", None),
        ("NetworkPolicy", "knp.other.a.b", None),
        ("GlobalNetworkPolicy", "a.b.c", None),
        ("GlobalNetworkPolicy", "knp.default.x", None),
        ("Tier", "foo.bar", None),
        ("Tier", 64 * "a", None),
        ("GlobalNetworkSet", 254 * "a", None),
        ("GlobalNetworkSet", "''", None),
        ("GlobalNetworkSet", "'a '", "write a"),
        ("GlobalNetworkSet", "é", None),
    ],
)
def test_another_name_is_refused(kind, name, hint):
    assert refused(kind, name=f"«{name}") == [Finding("P001", "metadata.name", hint)]


@pytest.mark.parametrize(
    ("written", "finding"),
    [
        ("«kind: Tier\napiVersion: projectcalico.org/v3", Finding("P001", "", "add metadata: { name: … }")),
        ("kind: Tier\napiVersion: projectcalico.org/v3\nmetadata: «{}", Finding("P001", "metadata.name")),
        ("kind: Tier\napiVersion: projectcalico.org/v3\nmetadata: «{name: null}", Finding("P001", "metadata.name")),
        ("kind: Tier\napiVersion: projectcalico.org/v3\nmetadata: «x", Finding("Y010", "metadata")),
        ("kind: Tier\napiVersion: projectcalico.org/v3\nmetadata: {name: «[x]}", Finding("Y010", "metadata.name")),
    ],
)
def test_a_resource_without_a_name_is_refused_once(written, finding):
    assert found(written) == [finding]


def test_a_name_beside_kind_is_told_where_it_belongs_and_still_known():
    written = "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\n«name: web\nspec: {}\n"

    assert found(written) == [Finding("Y017", "name", "name belongs under metadata: write `metadata: {name: web}`")]
    assert load(written.replace("«", ""), "f.yaml").rejected == (("NetworkPolicy", "default", "web"),)


@pytest.mark.parametrize(("field", "value"), [("selector", "all()"), ("order", "1"), ("nets", "[]"), ("node", "n")])
def test_a_field_of_the_spec_under_metadata_is_told_where_it_belongs(field, value):
    told = Finding("Y017", f"metadata.{field}", f"{field} belongs under spec:")

    assert refused("NetworkPolicy", meta=f"«{field}: {value}") == [told]


def test_a_namespaced_kind_without_namespace_is_in_default():
    written = text("NetworkPolicy").replace("  namespace: ns\n", "")

    assert load(written, "f.yaml").resources[0].metadata.namespace == "default"


@pytest.mark.parametrize(
    ("kind", "spec"), [("GlobalNetworkPolicy", ""), ("Tier", ""), ("HostEndpoint", HOST), ("Profile", "")]
)
def test_a_cluster_kind_has_no_namespace(kind, spec):
    told = Finding("P004", "metadata.namespace", "remove the namespace")

    assert refused(kind, spec, meta="namespace: «a") == [told]
    assert taken(kind, spec, meta="namespace: ''").metadata.namespace == ""


def test_what_the_api_server_writes_into_metadata_is_accepted():
    meta = "uid: 1-2\nresourceVersion: '5'\ncreationTimestamp: null\nmanagedFields: [{a: {b: [c]}}]\ngenerateName: x-"

    assert one("NetworkPolicy", meta=meta) == one("NetworkPolicy")


@pytest.mark.parametrize("name", ["default.a", "plat.a", "a"])
@pytest.mark.parametrize("tier", ["", "default", "plat"])
def test_the_name_of_a_policy_is_the_one_written_whatever_its_tier(name, tier):
    assert one("GlobalNetworkPolicy", f"tier: '{tier}'", name=name).metadata.name == name


@pytest.mark.parametrize(
    ("annotation", "called"),
    [
        ('{"name": "a"}', "a"),
        ('{"name": "plat.a", "labels": {"x": "y"}}', "plat.a"),
        ('{"name": ""}', None),
        ('{"name": 5}', None),
        ("no json", None),
        ("", None),
    ],
)
def test_a_policy_that_calico_stored_under_another_name_has_its_own(annotation, called):
    meta = f"annotations: {{projectcalico.org/metadata: '{annotation}'}}"

    assert taken("GlobalNetworkPolicy", name="plat.a", meta=meta).metadata.name == (called or "plat.a")
    told = [Finding("W009", "metadata.name")] if called == "a" else []
    assert warned("GlobalNetworkPolicy", name="plat.a", meta=meta) == told


def test_the_stored_and_the_true_name_are_one_policy():
    stored = text(
        "GlobalNetworkPolicy", name="plat.a", meta='annotations: {projectcalico.org/metadata: \'{"name": "a"}\'}'
    )
    both = stored + "---\n" + text("GlobalNetworkPolicy", name="a")

    assert [finding.code for finding in found(both)] == ["Y018"]
