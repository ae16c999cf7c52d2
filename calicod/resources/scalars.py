"""Single values: text, numbers, booleans and words of a list, as YAML 1.2 types them.

Law: a reader returns the value, or reports an error and returns None; it never guesses. Text for a number is refused
(semantics 1.15); a number or boolean for text is taken as written, with a warning (D33).
"""

import re
from collections.abc import Callable
from typing import TypeVar

from calicod.resources.document import PLAIN, QUOTED, TAG, Mapping, Node, Scalar, Sequence
from calicod.resources.report import Report, printable
from calicod.resources.shapes import BOOLEAN, NUMBER, TEXT, WHOLE, shaped, whole_between, words_in_any_case
from calicod.resources.shapes import words as one_of

T = TypeVar("T")
Reader = Callable[[Node, Report], T | None]

NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,30}|0o[0-7]{1,30}|0x[0-9a-fA-F]{1,30}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NUMBER = re.compile(rf"{_INTEGER.pattern}|{_FLOAT.pattern}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_TYPED_START = frozenset("0123456789+-.tTfF")
_TEXT_TAGS = frozenset({PLAIN, QUOTED, f"{TAG}str"})
_LARGEST = 2**63
MAX_DIGITS = 400


def is_null(node: Node) -> bool:
    """An empty value or `null`: the field counts as absent (semantics 1.15)."""
    return node.tag == PLAIN and isinstance(node, Scalar) and node.value in NULL


def is_number(node: Node) -> bool:
    """A number, whole or not, as YAML 1.2 types it."""
    return node.tag == PLAIN and isinstance(node, Scalar) and bool(_NUMBER.fullmatch(node.value))


def shown(node: Node) -> str:
    """A value for a message: what kind it is, and its beginning."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if is_null(node):
        return "nothing"
    return f"{_type_of(node)} {quoted(node.value)}"


def quoted(value: str) -> str:
    """A text of the user's in quotes, cut where it is too long to read."""
    return f'"{printable(value)}"'


def _type_of(node: Node) -> str:
    if node.tag != PLAIN:
        return "the text"
    if node.value in _BOOLEANS:
        return "the boolean"
    return "the number" if _NUMBER.fullmatch(node.value) else "the text"


def scalar(node: Node, report: Report, wanted: str, code: str = "Y010") -> str | None:
    """The text of a scalar of any type; reports collections, nulls and foreign tags."""
    if not isinstance(node, Scalar) or is_null(node):
        report.error(code, node, f"expected {wanted}, found {shown(node)}")
        return None
    if node.tag not in _TEXT_TAGS:
        tag_error(node, report)
        return None
    value: str = node.value
    return value


def tag_error(node: Node, report: Report) -> None:
    """A tag such as `!!python/object` is refused: what it would make of the value is not known."""
    tag = quoted(node.tag.replace(TAG, "!!"))
    report.error("Y006", node, f"tag {tag} is not understood", hint="remove the tag")


@shaped(TEXT)
def text(node: Node, report: Report) -> str | None:
    """Text; a number or boolean is taken as written, with a warning (D33)."""
    if node.tag == QUOTED and isinstance(node, Scalar):
        quoted_value: str = node.value
        return quoted_value
    value = scalar(node, report, "text")
    if value is not None and node.tag == PLAIN and value[0] in _TYPED_START and _type_of(node) != "the text":
        report.warning("W001", node, f"{shown(node)} is taken as text", hint=f"write {quoted(value)} in quotes")
    return value


@shaped(WHOLE)
def integer(node: Node, report: Report) -> int | None:
    """A whole number; `80.0` is 80."""
    value = _number(node, report, "a whole number", "Y010")
    if value is None:
        return None
    if value != int(value) or abs(value) > _LARGEST:
        report.error("Y010", node, f"expected a whole number, found {shown(node)}")
        return None
    return int(value)


def _number(node: Node, report: Report, wanted: str, code: str) -> float | int | None:
    value = scalar(node, report, wanted, code)
    if value is None:
        return None
    if node.tag == PLAIN and _INTEGER.fullmatch(value):
        if value[0] == "0" and value.isdigit() and len(value) > 1:
            report.warning(
                "W008", node, f"{quoted(value)} is read as the decimal number {int(value)}, as YAML 1.2 says"
            )
        return int(value, 0) if value[:2] in {"0x", "0o"} else int(value)
    if node.tag == PLAIN and len(value) <= MAX_DIGITS and _FLOAT.fullmatch(value):
        number = float(value)
        if abs(number) < float("inf"):
            return number
    hint = f"write {printable(value)} without quotes" if node.tag != PLAIN and _FLOAT.fullmatch(value) else None
    report.error(code, node, f"expected {wanted}, found {shown(node)}", hint=hint)
    return None


def number(code: str) -> Reader[float]:
    """A finite number; anything else is reported under this code."""

    @shaped(NUMBER)
    def read(node: Node, report: Report) -> float | None:
        value = _number(node, report, "a number", code)
        return None if value is None else float(value)

    return read


@shaped(BOOLEAN)
def boolean(node: Node, report: Report) -> bool | None:
    """`true` or `false`; `yes` and `on` are text in YAML 1.2."""
    value = scalar(node, report, "true or false")
    if value is None:
        return None
    if node.tag == PLAIN and value in _BOOLEANS:
        return _BOOLEANS[value]
    report.error("Y010", node, f"expected true or false, found {shown(node)}")
    return None


def between(first: int, last: int, code: str, what: str) -> Reader[int]:
    """A whole number from `first` to `last`."""

    @shaped(whole_between(first, last))
    def read(node: Node, report: Report) -> int | None:
        value = integer(node, report)
        if value is None or first <= value <= last:
            return value
        report.error(code, node, f"{what} {value} is out of range, expected {first} to {last}")
        return None

    return read


def choice(words: tuple[str, ...], code: str, *, any_case: bool = False) -> Reader[str]:
    """One of these words, as spelt here; `any_case` accepts other spellings of them."""
    folded = {word.lower(): word for word in words}

    @shaped(words_in_any_case(*words) if any_case else one_of(*words))
    def read(node: Node, report: Report) -> str | None:
        value = text(node, report)
        if value is None or value in words:
            return value
        right = folded.get(value.lower())
        if right and any_case:
            return right
        expected = " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
        report.error(
            code, node, f"expected {expected}, found {quoted(value)}", hint=f"write {right}" if right else None
        )
        return None

    return read
