"""From the text of a selector to its tree (semantics 3.1 to 3.3).

Law: every text gives a tree or a `SelectorError`, in time linear in its length and without recursion: a text of any
depth cannot exhaust the stack. Trees are at most `MAX_DEPTH` deep, so that whoever walks one may recurse.
"""

import re
from functools import lru_cache
from typing import NoReturn

from calicod.selector.tree import (
    All,
    And,
    Contains,
    EndsWith,
    Equals,
    Global,
    Has,
    In,
    Not,
    NotEquals,
    NotIn,
    Or,
    Selector,
    StartsWith,
)

MAX_DEPTH = 208
"""Levels of And, Or and Not in a tree; parentheses around one operand make no level. A text of 1024 characters has 205
at most: `all()&&!(` again and again."""
MAX_LABEL = 512
MAX_REMEMBERED = 1024
MAX_SHOWN = 40

# Blanks are space and tab only: a newline is an error (semantics 3.1).
_BLANKS = re.compile(r"[ \t]*")
_LABEL = re.compile(r"[A-Za-z0-9_./-]+")
_STRING = re.compile(r"\"([^\"]*)\"|'([^']*)'")
# A function only when its parenthesis follows directly: `has (x)` is the label `has` and a mistake.
_FUNCTION = re.compile(r"(has|all|global)\(")
# Operators are looked for only after a label, so that `in == "x"` is a label called `in`.
_OPERATOR = re.compile(
    r"(?P<test>==|!=|contains\b|starts[ \t]*with\b|ends[ \t]*with\b)|(?P<set>in\b|not[ \t]*in\b)", re.ASCII
)
_JOIN = re.compile(r"&&|\|\|")

_Test = Equals | NotEquals | Contains | StartsWith | EndsWith
_TESTS: dict[str, type[_Test]] = {
    "==": Equals,
    "!=": NotEquals,
    "contains": Contains,
    "startswith": StartsWith,
    "endswith": EndsWith,
}
_SETS: dict[str, type[In | NotIn]] = {"in": In, "notin": NotIn}


class SelectorError(Exception):
    """A text that is no selector: what is wrong, and at which character, counted from 1."""

    def __init__(self, message: str, column: int) -> None:
        self.message = message
        self.column = column
        super().__init__(f"{message} (column {column})")


class _Group:
    """What stands between one pair of parentheses, as far as it has been read."""

    def __init__(self, start: int, *, negated: bool) -> None:
        self.start = start
        self.negated = negated
        self.alternatives: list[tuple[Selector, int]] = []
        self.conjuncts: list[tuple[Selector, int]] = []

    def close_conjunction(self) -> None:
        """A `||` or the end: what was joined by `&&` is one alternative."""
        self.alternatives.append(_joined(And, self.conjuncts))
        self.conjuncts = []

    def close(self) -> tuple[Selector, int]:
        """The whole group as one tree with its depth."""
        self.close_conjunction()
        return _joined(Or, self.alternatives)


def _joined(kind: type[And] | type[Or], operands: list[tuple[Selector, int]]) -> tuple[Selector, int]:
    if len(operands) == 1:
        return operands[0]
    return kind(tuple(tree for tree, _ in operands)), 1 + max(depth for _, depth in operands)


class _Reader:
    """A position in the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip_blanks(self) -> None:
        """To the next token."""
        self.at = _BLANKS.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches the empty text too

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The match of a pattern right here, consumed."""
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def literal(self, text: str) -> bool:
        """Whether this very text stands here; if so, it is consumed."""
        if not self.text.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def error(self, message: str, at: int | None = None) -> SelectorError:
        """A mistake at this place."""
        return SelectorError(message, (self.at if at is None else at) + 1)

    def found(self) -> str:
        """The next characters, for a message."""
        rest = self.text[self.at : self.at + 12]
        if not rest:
            return "the end"
        return f'"{rest}"' if rest.isprintable() else repr(rest)


def parse(text: str) -> Selector:
    """The tree of a selector; blank text is `all()`. Raises SelectorError.

    >>> str(parse("a=='b'&&!!(c in {'z','y',})"))
    '(a == "b" && c in {"y", "z"})'
    """
    # Whole files repeat a few selectors; a text longer than the API allows is not worth remembering.
    return _parsed_before(text) if len(text) <= MAX_REMEMBERED else _parsed(text)


def _parsed(text: str) -> Selector:
    reader = _Reader(text)
    reader.skip_blanks()
    if reader.at == len(text):
        return All()
    groups = [_Group(0, negated=False)]
    while True:
        negated = _negations(reader)
        start = reader.at
        if reader.literal("("):
            groups.append(_Group(start, negated=negated))
            continue
        operand = _negated((_primary(reader), 0), negated=negated)
        if _more(reader, groups, operand):
            continue
        tree, depth = groups[0].close()
        _check_depth(reader, depth, 0)
        return tree


_parsed_before = lru_cache(maxsize=8192)(_parsed)


def _more(reader: _Reader, groups: list[_Group], operand: tuple[Selector, int]) -> bool:
    """Takes what follows an operand; false at the end of the text."""
    while True:
        _check_depth(reader, operand[1], groups[-1].start)
        groups[-1].conjuncts.append(operand)
        reader.skip_blanks()
        join = reader.take(_JOIN)
        if join:
            if join[0] == "||":
                groups[-1].close_conjunction()
            return True
        if reader.at == len(reader.text):
            if len(groups) > 1:
                raise reader.error('"(" is never closed', groups[-1].start)
            return False
        if not reader.literal(")"):
            _refuse_rest(reader)
        if len(groups) == 1:
            raise reader.error('")" without "("', reader.at - 1)
        group = groups.pop()
        operand = _negated(group.close(), negated=group.negated)


def _check_depth(reader: _Reader, depth: int, start: int) -> None:
    if depth > MAX_DEPTH:
        raise reader.error(f"nested more than {MAX_DEPTH} deep", start)


def _refuse_rest(reader: _Reader) -> NoReturn:
    if reader.text[reader.at] in "&|":
        sign = reader.text[reader.at]
        raise reader.error(f'single "{sign}", expected "{sign * 2}"')
    raise reader.error(f'expected "&&", "||" or the end, found {reader.found()}')


def _negations(reader: _Reader) -> bool:
    """Whether an odd number of `!` stands here."""
    negated = False
    while True:
        reader.skip_blanks()
        if reader.text.startswith("!=", reader.at) or not reader.literal("!"):
            return negated
        negated = not negated


def _negated(operand: tuple[Selector, int], *, negated: bool) -> tuple[Selector, int]:
    """The operand or its negation; an even number of `!` disappears (semantics 3.5)."""
    if not negated:
        return operand
    tree, depth = operand
    if isinstance(tree, Not):
        return tree.operand, depth - 1
    return Not(tree), depth + 1


def _primary(reader: _Reader) -> Selector:
    function = reader.take(_FUNCTION)
    if function:
        return _call(reader, function)
    start = reader.at
    label = reader.take(_LABEL)
    if not label:
        _refuse_operand(reader)
    _check_label(reader, label)
    reader.skip_blanks()
    operator = reader.take(_OPERATOR)
    if not operator:
        _refuse_operator(reader, label[0], start)
    word = re.sub(r"[ \t]", "", operator[0])
    if operator["set"]:
        return _SETS[word](label[0], _values(reader))
    return _TESTS[word](label[0], _string(reader, f'after "{operator[0]}"'))


def _refuse_operand(reader: _Reader) -> NoReturn:
    if reader.text[reader.at : reader.at + 1] in {'"', "'"}:
        raise reader.error("a text in quotes cannot stand here, expected a label, which is written without quotes")
    raise reader.error(f'expected a label, "has(", "all()", "global()", "!" or "(", found {reader.found()}')


def _refuse_operator(reader: _Reader, label: str, start: int) -> NoReturn:
    if reader.text[reader.at : reader.at + 1] == "=":
        raise reader.error('single "=", expected "=="')
    if reader.text[reader.at : reader.at + 1] == "(" and label in {"has", "all", "global"}:
        raise reader.error(f'"{label}" and its "(" must not be apart', start)
    shown = label if len(label) <= MAX_SHOWN else label[:MAX_SHOWN] + "…"
    raise reader.error(
        f'expected "==", "!=", "in", "not in", "contains", "starts with" or "ends with" after label "{shown}", '
        f"found {reader.found()}"
    )


def _check_label(reader: _Reader, label: re.Match[str]) -> None:
    if len(label[0]) > MAX_LABEL:
        raise reader.error(f"label of {len(label[0])} characters, at most {MAX_LABEL} are allowed", label.start())


def _call(reader: _Reader, function: re.Match[str]) -> Selector:
    reader.skip_blanks()
    label = reader.take(_LABEL) if function[1] == "has" else None
    if function[1] == "has" and not label:
        raise reader.error(f'expected a label after "has(", found {reader.found()}')
    if label:
        _check_label(reader, label)
        reader.skip_blanks()
    if not reader.literal(")"):
        raise reader.error(f'expected ")" to end "{function[0]}", found {reader.found()}')
    if label:
        return Has(label[0])
    return All() if function[1] == "all" else Global()


def _string(reader: _Reader, where: str) -> str:
    reader.skip_blanks()
    match = reader.take(_STRING)
    if match:
        return match[0][1:-1]
    if reader.text[reader.at : reader.at + 1] in {'"', "'"}:
        raise reader.error("text in quotes is never closed")
    raise reader.error(f"expected a text in quotes {where}, found {reader.found()}")


def _values(reader: _Reader) -> tuple[str, ...]:
    """The values of a set, sorted and unique; a comma may stand before the brace."""
    reader.skip_blanks()
    if not reader.literal("{"):
        raise reader.error(f'expected "{{" and a set of texts, found {reader.found()}')
    values: set[str] = set()
    reader.skip_blanks()
    while not reader.literal("}"):
        values.add(_string(reader, "in a set"))
        reader.skip_blanks()
        if reader.literal(","):
            reader.skip_blanks()
        elif not reader.text.startswith("}", reader.at):
            raise reader.error(f'expected "," or "}}" in a set, found {reader.found()}')
    return tuple(sorted(values))
