import re

import pytest

from calicod.resources.shapes import (
    ANYTHING,
    TEXT,
    WHOLE,
    by_key,
    either,
    list_shape,
    or_empty,
    or_null,
    shape_of,
    shaped,
    text_like,
    text_up_to,
    whole_between,
    words,
    words_in_any_case,
)


def test_a_reader_keeps_its_shape_and_stays_what_it_is():
    def read(node: object) -> object:
        return node

    assert shaped(TEXT)(read) is read
    assert shape_of(read) == TEXT


def test_a_shape_made_of_others_is_made_when_it_is_asked_for():
    @shaped(lambda: list_shape(shape_of(item)))
    def read(node: object) -> object:
        return node

    @shaped(WHOLE)
    def item(node: object) -> object:
        return node

    assert shape_of(read) == list_shape(WHOLE)


def test_a_reader_without_a_shape_is_named():
    with pytest.raises(LookupError, match=r"test_shapes.*<lambda>"):
        shape_of(lambda _: None)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (text_like("a|b"), {"type": "string", "pattern": "^(?:a|b)$"}),
        (text_like("a", 9), {"type": "string", "pattern": "^(?:a)$", "maxLength": 9}),
        (text_up_to(0), TEXT),
        (text_up_to(5), {"type": "string", "maxLength": 5}),
        (whole_between(1, 2), {"type": "integer", "minimum": 1, "maximum": 2}),
        (list_shape(TEXT), {"type": "array", "items": TEXT}),
        (list_shape(TEXT, 3), {"type": "array", "items": TEXT, "maxItems": 3}),
        (by_key(WHOLE), {"type": "object", "additionalProperties": WHOLE}),
        (or_empty(WHOLE), {"anyOf": [WHOLE, {"const": ""}]}),
    ],
)
def test_shapes_are_plain_json_schema(shape, expected):
    assert shape == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (TEXT, {"type": ["string", "null"]}),
        (words("a"), {"enum": ["a", None]}),
        (either(TEXT, WHOLE), {"anyOf": [TEXT, WHOLE, {"type": "null"}]}),
        (ANYTHING, {}),
    ],
)
def test_null_is_one_more_of_each(shape, expected):
    assert or_null(shape) == expected


def test_words_in_any_case_are_proposed_as_they_are_spelt():
    proposed, pattern = words_in_any_case("Drop", "Accept")["anyOf"]

    assert proposed == words("Drop", "Accept")
    assert re.search(pattern["pattern"], "dROP")
    assert not re.search(pattern["pattern"], "dropp")
