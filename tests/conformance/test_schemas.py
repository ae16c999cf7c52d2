"""The schemas for editors agree with the loader: wide enough for all that is accepted, narrow enough for slips."""

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from calicod.cli.schema import ANY, TESTS, files
from calicod.resources.document import PLAIN, Document, Mapping, Node, Sequence, Unparsable, stream
from calicod.resources.load import load
from calicod.resources.scalars import _BOOLEANS, _FLOAT, _INTEGER, is_null
from calicod.resources.schema import KNOWN
from tests.conformance.test_semantics import CASES, text_of

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
PAGES = ROOT / "docs" / "diagnostics"
VALIDITY = json.loads(gzip.decompress((Path(__file__).parent / "validity.json.gz").read_bytes()))["cases"]
VALIDATOR = Draft7Validator(json.loads((SCHEMAS / f"{ANY}.json").read_text()))
OF_SHAPE = {"Y010", "Y011", "Y012", "Y017", "P001", "P006", "P009", "P018", "P021", "R001", "R003"}
"""Codes that say: an unknown field, another type, another word. (Of `Y015` and `Y016` a schema of its kind tells.)"""


def data(node: Node) -> Any:
    """What an editor makes of a text: values typed as YAML 1.2 says."""
    if isinstance(node, Mapping):
        return {key.value: data(value) for key, value in node.value}
    if isinstance(node, Sequence):
        return [data(item) for item in node.value]
    if node.tag != PLAIN:
        return node.value
    return None if is_null(node) else plain(node.value)


def plain(value: str) -> Any:
    if value in _BOOLEANS:
        return _BOOLEANS[value]
    if _INTEGER.fullmatch(value):
        return int(value, 0) if value[:2] in {"0x", "0o"} else int(value)
    return float(value) if _FLOAT.fullmatch(value) else value


def items(document: Document) -> list[Any]:
    found = data(document.root)
    if isinstance(found, list):
        return found
    return found["items"] if isinstance(found, dict) and str(found.get("kind")).endswith("List") else [found]


def documents(text: str) -> list[Any]:
    return [item for document in stream(text) for item in items(document) if item is not None]


def findings(item: object) -> set[str]:
    return {diagnostic.code for diagnostic in load(json.dumps(item), "x").diagnostics}


def told_of_pages() -> Iterator[Any]:
    for page in sorted(PAGES.glob("[YPRNW]*.md")):
        for text in re.findall(r"^```ya?ml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            with suppress(Unparsable, RecursionError, TypeError):  # pages about no YAML, no end, keys that are lists
                yield from documents(text)


def everything() -> list[Any]:
    """Every resource that a test or a page of this repository shows, once."""
    shown = [case["resource"] for case in VALIDITY]
    shown += [item for case in CASES for item in documents(text_of(case))]
    shown += told_of_pages()
    return list({json.dumps(item, sort_keys=True): item for item in shown if isinstance(item, dict)}.values())


EVERYTHING = [(item, findings(item)) for item in everything()]


def test_the_schemas_that_are_written_are_those_that_calicod_makes():
    """Run `calicod schema --directory schemas` after a change of a field."""
    assert {path.name: path.read_text() for path in SCHEMAS.glob("*.json")} == files()


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name)
def test_a_schema_is_a_schema(path):
    Draft7Validator.check_schema(json.loads(path.read_text()))


@pytest.mark.parametrize(
    "path", sorted(p for p in (ROOT / "examples").glob("[0-9]*/*.yaml") if "mistyped" not in str(p)), ids=str
)
def test_every_document_of_the_examples_is_valid(path):
    for item in documents(path.read_text()):
        assert [error.message for error in VALIDATOR.iter_errors(item)] == []


def test_the_mistyped_example_is_not():
    (item,) = documents((ROOT / "examples" / "10-mistyped" / "policy.yaml").read_text())

    assert not VALIDATOR.is_valid(item)


def test_whatever_is_accepted_without_a_finding_is_valid():
    accepted = [item for item, codes in EVERYTHING if not codes]

    assert len(accepted) > 150
    assert [item for item in accepted if not VALIDATOR.is_valid(item)] == []


def test_whatever_is_refused_for_its_shape_is_not_valid():
    refused = [(item, codes) for item, codes in EVERYTHING if codes & OF_SHAPE and codes <= OF_SHAPE]

    assert len(refused) > 50
    assert [(item, codes) for item, codes in refused if VALIDATOR.is_valid(item)] == []


@pytest.mark.parametrize("name", KNOWN)
def test_the_schema_of_a_kind_agrees_with_the_one_for_all(name):
    own = Draft7Validator(json.loads((SCHEMAS / f"{name.lower()}.json").read_text()))
    kind, known = KNOWN[name]
    mine = [item for item, _ in EVERYTHING if (item.get("kind"), item.get("apiVersion")) == (kind, known.version)]

    assert mine or name == "BaselineAdminNetworkPolicy", "no test and no page shows one"
    assert [item for item in mine if own.is_valid(item) != VALIDATOR.is_valid(item)] == []


def test_the_policy_tests_of_the_examples_are_valid_and_a_slip_is_not():
    own = Draft7Validator(json.loads((SCHEMAS / f"{TESTS}.json").read_text()))
    given = [
        item for path in (ROOT / "examples" / "policy-tests").glob("*.yaml") for item in documents(path.read_text())
    ]

    assert len(given) == 9
    assert [error.message for item in given for error in own.iter_errors(item)] == []
    assert not any(own.is_valid({**item, "test": []}) for item in given)
    assert not any(own.is_valid({**item, "tests": [{**item["tests"][0], "expect": "alow"}]}) for item in given)
