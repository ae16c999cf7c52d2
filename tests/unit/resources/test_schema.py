"""That they agree with the loader: tests/conformance/test_schemas.py."""

import pytest

from calicod.resources.metadata import CLUSTER, Kind
from calicod.resources.schema import (
    DRAFT,
    KNOWN,
    OF_CALICO,
    OF_KUBERNETES,
    any_kind,
    condition,
    finished,
    resource,
    schema,
    spec_of,
)

LEAF = {"title": "Leaf", "type": "object", "properties": {"nets": {"type": "array"}}, "additionalProperties": False}


def test_every_kind_has_a_schema_that_names_its_draft():
    assert all((schema(name)["$schema"], schema(name)["title"]) == (DRAFT, name) for name in KNOWN)


def test_what_several_fields_hold_is_written_once():
    whole = finished({"type": "object", "properties": {"a": LEAF, "b": LEAF}}, "Whole")

    assert whole["properties"] == {"a": {"$ref": "#/definitions/Leaf"}, "b": {"$ref": "#/definitions/Leaf"}}
    assert list(whole["definitions"]) == ["Leaf"]


def test_what_differs_under_one_title_is_written_where_it_stands():
    other = {**LEAF, "properties": {}}

    assert "definitions" not in finished({"properties": {"a": LEAF, "b": other}}, "Whole")


def test_a_field_is_told_also_behind_a_reference():
    rule = schema("NetworkPolicy")["definitions"]["Rule"]["properties"]

    assert rule["source"]["allOf"] == [{"$ref": "#/definitions/EntityRule"}]
    assert rule["source"]["description"] == "Whom the connection comes from."
    assert rule["action"]["enum"] == ["Allow", "Deny", "Log", "Pass"]


def test_names_and_namespaces_are_those_of_the_kind():
    tier, policy = schema("Tier")["properties"]["metadata"], schema("NetworkPolicy")["properties"]["metadata"]

    assert tier["properties"]["name"]["maxLength"] == 63
    assert tier["properties"]["namespace"]["enum"] == ["", None]
    assert policy["properties"]["namespace"]["type"] == ["string", "null"]


def test_a_spec_is_needed_where_it_has_fields_that_are():
    assert "spec" in schema("HostEndpoint")["required"]
    assert "spec" not in schema("Tier")["required"]


def test_the_schema_for_all_tells_kinds_apart_by_name_and_group():
    conditions = {str(case["if"]["properties"]["kind"]["const"]): case["if"] for case in any_kind()["allOf"]}

    assert set(conditions) == {name for name, _ in KNOWN.values()}
    assert conditions["Tier"]["not"] == OF_KUBERNETES
    assert conditions["Node"]["not"] == OF_CALICO
    assert condition(*KNOWN["KubernetesNetworkPolicy"])["allOf"] == [OF_KUBERNETES]


def test_a_kind_of_calico_without_a_shape_is_an_error_not_a_hole():
    with pytest.raises(LookupError):
        spec_of(Kind(CLUSTER, lambda *_: None))
    assert spec_of(Kind(CLUSTER, lambda *_: None, version="v1")) == {}


def test_a_resource_allows_what_its_kind_has_beside_the_spec():
    assert resource("Tier", Kind(CLUSTER, _reader, extra=("status",)))["properties"]["status"] == {}


def _reader(*_: object) -> None:
    return None


_reader.__dict__["shape"] = {"type": "object"}
