"""What names, labels and annotations may look like: P1 and P2 of semantics 1.14."""

import pytest

from calicod.resources.names import MAX_ANNOTATIONS, is_port_name, key_flaw, value_flaw
from tests.unit.resources.reading import Finding, one, refused, taken, warned


@pytest.mark.parametrize(
    "key", ["a", "A.b_c-d", "0", "x.y-z/k_1", "projectcalico.org/name", 63 * "a", 253 * "a" + "/b", "a.b/" + 63 * "c"]
)
def test_a_qualified_name_is_a_key(key):
    assert key_flaw(key) is None


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "empty"),
        ("a/", "empty"),
        ("/a", "before `/`"),
        ("A.b/c", "before `/`"),
        ("a/b/c", "before `/`"),
        (254 * "a" + "/b", "before `/`"),
        (64 * "a", "at most 63"),
        ("a b", "expected letters"),
        ("-a", "beginning and ending"),
        ("a-", "beginning and ending"),
        ("é", "expected letters"),
        ("a\n", "expected letters"),
    ],
)
def test_another_key_is_told_why(key, why):
    assert why in key_flaw(key)


@pytest.mark.parametrize(
    ("value", "good"),
    [("", True), ("A_b.c-d", True), (63 * "a", True), (64 * "a", False), ("a b", False), ("-a", False), ("a\n", False)],
)
def test_a_label_value_is_empty_or_like_the_name_of_a_key(value, good):
    assert (value_flaw(value) is None) is good


@pytest.mark.parametrize("name", ["http", "8080-tcp", "a", "abcdefghijklmno", "a-1"])
def test_a_port_name_has_a_letter_and_at_most_15_characters(name):
    assert is_port_name(name)


@pytest.mark.parametrize("name", ["", "1", "123", "HTTP", "a_b", "a--b", "-a", "a-", "abcdefghijklmnop", "a.b", "a\n"])
def test_another_port_name_is_none(name):
    assert not is_port_name(name)


@pytest.mark.parametrize(
    ("meta", "path"),
    [
        ("labels: {«a b: c}", "labels.a b"),
        ("labels: {a: «'b c'}", "labels.a"),
        ("annotations: {«a b: c}", "annotations.a b"),
        ("annotations: {«A.b/c/d: e}", "annotations.A.b/c/d"),
    ],
)
def test_labels_and_annotations_of_other_forms_are_refused(meta, path):
    assert refused("NetworkPolicy", meta=meta) == [Finding("P002", f"metadata.{path}")]


def test_an_annotation_may_have_any_value_and_its_key_any_case():
    assert one("NetworkPolicy", meta="annotations: {Example.COM/a: 'any text!'}").metadata.annotations


def test_annotations_have_at_most_256_kib_together():
    fits = f"annotations: {{a: {(MAX_ANNOTATIONS - 1) * 'x'}}}"

    assert one("NetworkPolicy", meta=fits)
    assert refused("NetworkPolicy", meta=fits.replace("{a:", "«{ab:")) == [Finding("P002", "metadata.annotations")]


@pytest.mark.parametrize(("written", "value"), [("1", "1"), ("true", "true"), ("1.50", "1.50")])
def test_a_number_as_the_value_of_a_label_is_taken_as_written_and_told(written, value):
    meta = f"labels: {{v: «{written}}}"

    assert warned("NetworkPolicy", meta=meta) == [Finding("W001", "metadata.labels.v", f'write "{value}" in quotes')]
    assert taken("NetworkPolicy", meta=meta.replace("«", "")).metadata.labels == {"v": value}


def test_nothing_as_the_value_of_a_label_is_the_empty_text():
    assert warned("NetworkPolicy", meta="labels: {v: «null}") == [Finding("W001", "metadata.labels.v", 'write ""')]


@pytest.mark.parametrize("meta", ["labels: «[a]", "labels: «a", "annotations: «a"])
def test_labels_that_are_no_mapping_are_refused(meta):
    assert [told.code for told in refused("NetworkPolicy", meta=meta)] == ["Y010"]
