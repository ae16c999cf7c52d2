"""Mappings read by a table: field name to the attribute it fills and the reader of its value.

Law: a field that is in no table is an error, never ignored. `null` means that the field is absent (semantics 1.15).
"""

from collections.abc import Callable, Iterator
from collections.abc import Mapping as Table
from difflib import get_close_matches
from typing import TypeVar

import msgspec

from calicod.resources.document import PLAIN, Mapping, Node, Scalar, Sequence
from calicod.resources.report import Report
from calicod.resources.scalars import NULL, Reader, is_null, quoted, shown
from calicod.resources.shapes import Shape, list_shape, or_null, shape_of, shaped

T = TypeVar("T")
MAX_LISTED = 24
"""Fields that a hint lists: the two hundred of a FelixConfiguration help nobody."""


class Field(msgspec.Struct, frozen=True):
    """How one field is read.

    `attribute`: what the value fills, "" when it is only checked. `required`: the code reported when it is absent; then
    `placeholder` stands in for a missing or broken value, so that the rest can still be judged.
    """

    attribute: str
    reader: Callable[[Node, Report], object]
    required: str = ""
    placeholder: object = None


Fields = dict[str, Field]


def pairs(node: Node) -> Iterator[tuple[str, Node]]:
    """Names and values of a mapping that are not null."""
    for key, value in node.value:
        if not is_null(value):
            yield key.value, value


def find(node: Node | None, *names: str) -> Node | None:
    """The value at the end of a chain of field names; None when something on the way is absent."""
    for name in names:
        if not isinstance(node, Mapping):
            return None
        for key, value in node.value:
            if key.value == name and not is_null(value):
                node = value
                break
        else:
            return None
    return node


def is_mapping(node: Node, report: Report) -> bool:
    """Whether it is a mapping; reports it otherwise."""
    if isinstance(node, Mapping):
        return True
    report.error("Y010", node, f"expected a mapping, found {shown(node)}")
    return False


def read(node: Node, table: Fields, report: Report, misplaced: Table[str, str] | None = None) -> dict[str, object]:
    """The values of a mapping by attribute. `misplaced`: hints for names that people write here by mistake."""
    values: dict[str, object] = {}
    for key, value_node in node.value:
        field = table.get(key.value)
        if field is None:
            _refuse_unknown(key, table, report, misplaced or {})
        # `is_null`, written out: this runs for every field of every resource.
        elif value_node.tag != PLAIN or value_node.__class__ is not Scalar or value_node.value not in NULL:
            value = field.reader(value_node, report)
            if value is not None and field.attribute:
                values[field.attribute] = value
    for name, field in table.items():
        if field.required and field.attribute not in values:
            if find(node, name) is None:
                report.error(field.required, node, f'field "{name}" is missing', field=name)
            values[field.attribute] = field.placeholder
    return values


def mapping(table: Fields, title: str = "") -> Shape:
    """The shape of a mapping with these fields. `title`: of one that several fields hold."""
    properties = {
        name: shape_of(field.reader) if field.required else or_null(shape_of(field.reader))
        for name, field in table.items()
    }
    required = [name for name, field in table.items() if field.required]
    return {
        **({"title": title} if title else {}),
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def struct(
    make: Callable[..., T], table: Fields, *, misplaced: Table[str, str] | None = None, **fixed: object
) -> Reader[T]:
    """A reader of mappings that makes one value of each."""

    @shaped(lambda: mapping(table, getattr(make, "__name__", "")))
    def read_struct(node: Node, report: Report) -> T | None:
        if not is_mapping(node, report):
            return None
        return make(**read(node, table, report, misplaced), **fixed)

    return read_struct


def items(node: Node, report: Report, limit: int = 0, code: str = "Y010") -> tuple[Node, ...]:
    """The nodes of a list; reports what is no list, or longer than `limit` (0: without a limit)."""
    if not isinstance(node, Sequence):
        hint = None if isinstance(node, Mapping) else "write it as a list: [ … ]"
        report.error("Y010", node, f"expected a list, found {shown(node)}", hint=hint)
        return ()
    if limit and len(node.value) > limit:
        report.error(code, node, f"{len(node.value)} entries, at most {limit} are allowed")
        return ()
    return tuple(node.value)


def list_of(reader: Reader[T], *, limit: int = 0, code: str = "Y010", unique: bool = False) -> Reader[tuple[T, ...]]:
    """A list of values. `unique`: equal ones are told by a warning and kept once (D35)."""

    @shaped(lambda: list_shape(shape_of(reader), limit))
    def read_list(node: Node, report: Report) -> tuple[T, ...]:
        values: list[T] = []
        for item in items(node, report, limit, code):
            value = reader(item, report)
            if value is None:
                continue
            values.append(value)
        return _without_duplicates(node, values, report) if unique else tuple(values)

    return read_list


def _without_duplicates(node: Node, values: list[T], report: Report) -> tuple[T, ...]:
    once = tuple(dict.fromkeys(values))
    if len(once) < len(values) and not report.refused:
        seen: set[T] = set()
        for item, value in zip(node.value, values, strict=True):
            if value in seen:
                report.warning("W002", item, f"{shown(item)} is given twice", hint="remove one")
            seen.add(value)
    return once


def _refuse_unknown(key: Node, table: Fields, report: Report, misplaced: Table[str, str]) -> None:
    """An unknown field, with the likeliest meaning: another case (D32), another place, a slip of the pen."""
    name = key.value
    for known in table:
        if known.lower() == name.lower():
            report.error("Y012", key, f"unknown field {quoted(name)}: case matters", hint=f"write {known}")
            return
    if name in misplaced:
        report.error("Y017", key, f"field {quoted(name)} does not belong here", hint=misplaced[name])
        return
    # Slow, and of hundreds of unknown fields nobody needs the likeliest meaning.
    close = [] if report.full else get_close_matches(name[:64], table, n=1, cutoff=0.6)
    others = f"known here: {', '.join(table)}" if len(table) <= MAX_LISTED else "remove it, or correct its spelling"
    hint = f"did you mean {close[0]}?" if close else others
    report.error("Y011", key, f"unknown field {quoted(name)}", hint=hint)
