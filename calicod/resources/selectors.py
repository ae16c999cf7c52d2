"""Selectors where resources hold them (semantics 1.2, 2.2 R22-R25).

Law: what is returned is a parsed tree; empty text is absent, blank text is `all()`.
"""

import re

from calicod.resources.document import Mapping, Node, Scalar
from calicod.resources.report import Report, printable
from calicod.resources.scalars import Reader, quoted, text
from calicod.resources.shapes import shaped, text_up_to
from calicod.resources.table import pairs
from calicod.selector.parser import SelectorError, parse
from calicod.selector.tree import Selector

MAX_SELECTOR = 1024
MAX_TESTS = 5
_GLOBAL_ALONE = re.compile(r"[ \t]*global\([ \t]*\)[ \t]*")


def selector(
    code: str, *, limit_code: str = "R025", global_code: str = "", limit: int = MAX_SELECTOR
) -> Reader[Selector]:
    """A selector. `global_code`: the code under which `global(` is refused; "" allows it; `limit` 0: of any length."""

    @shaped(text_up_to(limit))
    def read(node: Node, report: Report) -> Selector | None:
        if isinstance(node, Mapping):
            report.error("Y010", node, "expected a selector, found a mapping", hint=_of_mapping(node))
            return None
        value = text(node, report)
        if not value:
            return None
        if limit and len(value) > limit:
            report.error(limit_code, node, f"selector of {len(value)} characters, at most {limit} are allowed")
            return None
        if global_code and "global(" in value:
            report.error(global_code, node, "global() can only stand in the namespaceSelector of a rule")
            return None
        return _parsed(value, node, report, code)

    return read


@shaped(text_up_to(MAX_SELECTOR))
def rule_namespace_selector(node: Node, report: Report) -> Selector | None:
    """A rule's namespaceSelector: `global()` may stand there, but only alone (R24)."""
    value = node.value if isinstance(node, Scalar) else ""
    if "global(" in value and not _GLOBAL_ALONE.fullmatch(value):
        report.error("R024", node, f"global() must stand alone, found {quoted(value)}", hint="write a second rule")
        return None
    return _RULE_NAMESPACES(node, report)


def _of_mapping(node: Mapping) -> str:
    """The selector that somebody used to Kubernetes means by a mapping of labels."""
    labels = dict(pairs(node))
    inner = labels.get("matchLabels")
    if isinstance(inner, Mapping):
        labels = dict(pairs(inner))
    tests = [
        f"{printable(key)} == '{printable(value.value)}'" for key, value in labels.items() if isinstance(value, Scalar)
    ]
    plain = tests and len(tests) == len(labels) <= MAX_TESTS
    return f'write "{" && ".join(tests)}"' if plain else "write it as text, such as \"color == 'red' && has(size)\""


def _parsed(value: str, node: Node, report: Report, code: str) -> Selector | None:
    try:
        return parse(value)
    except SelectorError as error:
        message = f"selector {quoted(value)}, column {error.column}: {error.message}"
        report.error_within(code, node, message, error.column - 1)
        return None


_RULE_NAMESPACES = selector("R022")
