"""The shape of what a reader reads, as JSON Schema (draft 7), for editors (`schema.py`).

Law: a shape is never narrower than its reader: what is read without a finding, fits. It may be wider: what needs two
fields to be seen, or a parser, only the reader sees. A shape is made when somebody asks for it, never to read a value.
"""

from collections.abc import Callable
from typing import TypeVar

Shape = dict[str, object]
R = TypeVar("R", bound=Callable[..., object])

ANYTHING: Shape = {}
TEXT: Shape = {"type": "string"}
WHOLE: Shape = {"type": "integer"}
NUMBER: Shape = {"type": "number"}
BOOLEAN: Shape = {"type": "boolean"}
NETWORK: Shape = {"type": "string", "pattern": "^[0-9a-fA-F:.]+(/[0-9]+)?$"}
ADDRESS: Shape = {"type": "string", "pattern": "^[0-9a-fA-F:.]+$"}
NOTHING: Shape = {"type": "null"}
_SHAPE = "shape"


def shaped(shape: Shape | Callable[[], Shape]) -> Callable[[R], R]:
    """A decorator: says which shape the values of a reader have, or how it is made of those of others."""

    def mark(reader: R) -> R:
        reader.__dict__[_SHAPE] = shape
        return reader

    return mark


def shape_of(reader: Callable[..., object]) -> Shape:
    """The shape of a reader. Raises LookupError for one that has none."""
    shape: Shape | Callable[[], Shape] | None = getattr(reader, _SHAPE, None)
    if shape is None:
        raise LookupError(f"no shape is known of {reader.__module__}.{reader.__qualname__}")
    return shape() if callable(shape) else shape


def words(*known: str) -> Shape:
    """One of these words, as spelt here."""
    return {"enum": list(known)}


def words_in_any_case(*known: str) -> Shape:
    """One of these words in whatever case; the editor proposes them as spelt here."""
    spelt = "|".join("".join(f"[{c.upper()}{c.lower()}]" for c in word) for word in known)
    return {"anyOf": [words(*known), text_like(spelt)]}


def text_like(pattern: str, limit: int = 0) -> Shape:
    """Text that a regular expression matches as a whole; `limit` 0: of any length."""
    return {"type": "string", "pattern": f"^(?:{pattern})$"} | ({"maxLength": limit} if limit else {})


def text_up_to(limit: int) -> Shape:
    """Text; `limit` 0: of any length."""
    return {"type": "string", "maxLength": limit} if limit else TEXT


def whole_between(first: int, last: int) -> Shape:
    """A whole number from `first` to `last`."""
    return {"type": "integer", "minimum": first, "maximum": last}


def either(*shapes: Shape) -> Shape:
    """Any of these."""
    return {"anyOf": list(shapes)}


def or_empty(shape: Shape) -> Shape:
    """A shape, or empty text."""
    return either(shape, {"const": ""})


def list_shape(item: Shape, limit: int = 0) -> Shape:
    """A list; `limit` 0: of any length."""
    return {"type": "array", "items": item} | ({"maxItems": limit} if limit else {})


def by_key(value: Shape) -> Shape:
    """A mapping with keys of the user's."""
    return {"type": "object", "additionalProperties": value}


def or_null(shape: Shape) -> Shape:
    """A shape, or null: then the field counts as absent (semantics 1.15)."""
    kind, known, any_of = shape.get("type"), shape.get("enum"), shape.get("anyOf")
    if isinstance(kind, str):
        return {**shape, "type": [kind, "null"]}
    if isinstance(known, list):
        return {**shape, "enum": [*known, None]}
    return {**shape, "anyOf": [*any_of, NOTHING]} if isinstance(any_of, list) else shape
