"""Label selectors of Kubernetes as terms of a selector of Calico's (semantics 5.1).

Law: nothing is dropped: a term that cannot be read refuses the resource. No terms match everything.
"""

from collections.abc import Iterable

from calicod.resources.document import Node, Sequence
from calicod.resources.names import MAX_LABEL, key_flaw, labels, value_flaw
from calicod.resources.report import Report
from calicod.resources.scalars import choice, quoted, text
from calicod.resources.shapes import TEXT, shaped, text_up_to
from calicod.resources.table import Field, Fields, find, is_mapping, list_of, mapping, read
from calicod.selector.tree import And, Equals, Has, In, Not, NotIn, Selector

Terms = tuple[Selector, ...]
"""What must all be true; () of an empty selector."""

_WITH_VALUES = ("In", "NotIn")
_WITHOUT = ("Exists", "DoesNotExist")


@shaped(lambda: mapping(_TABLE, "LabelSelector"))
def label_selector(node: Node, report: Report) -> Terms | None:
    """`matchLabels`, by key, then `matchExpressions` as written."""
    if not is_mapping(node, report):
        return None
    values = read(node, _TABLE, report, _MISPLACED)
    wanted, expressions = values.get("labels"), values.get("expressions")
    terms: list[Selector] = []
    if isinstance(wanted, dict):
        terms += [Equals(key, value) for key, value in sorted(wanted.items())]
    if isinstance(expressions, tuple):
        terms += expressions
    return tuple(terms)


def joined(terms: Iterable[Selector]) -> Selector | None:
    """All terms as one selector; None when there is none.

    >>> str(joined((Equals("app", "web"), Has("zone"))))
    '(app == "web" && has(zone))'
    """
    present = tuple(terms)
    if len(present) > 1:
        return And(present)
    return present[0] if present else None


@shaped(lambda: mapping(_EXPRESSION, "LabelSelectorRequirement"))
def _expression(node: Node, report: Report) -> Selector | None:
    if not is_mapping(node, report):
        return None
    found = read(node, _EXPRESSION, report)
    key, operator, values = found["key"], found["operator"], found.get("values", ())
    if not isinstance(key, str) or not isinstance(operator, str) or not isinstance(values, tuple):
        return None
    place = find(node, "values") or node
    if operator in _WITHOUT:
        if values:
            report.error("P008", place, f"operator {operator} takes no values")
        return Has(key) if operator == "Exists" else Not(Has(key))
    if not values and not _has_broken(place):
        report.error("P008", place, f"operator {operator} needs values", field="" if place is not node else "values")
    wanted = tuple(sorted(set(values)))
    return In(key, wanted) if operator == "In" else NotIn(key, wanted)


def _has_broken(node: Node) -> bool:
    """A list whose items were all refused, and told, is not empty."""
    return isinstance(node, Sequence) and bool(node.value)


@shaped(TEXT)
def _key(node: Node, report: Report) -> str | None:
    value = text(node, report)
    flaw = None if value is None else key_flaw(value)
    if flaw:
        report.error("P002", node, f"label key {quoted(value or '')}: {flaw}")
        return None
    return value


@shaped(text_up_to(MAX_LABEL))
def _value(node: Node, report: Report) -> str | None:
    value = text(node, report)
    flaw = None if value is None else value_flaw(value)
    if flaw:
        report.error("P002", node, f"label value {quoted(value or '')}: {flaw}")
        return None
    return value


_EXPRESSION: Fields = {
    "key": Field("key", _key, required="P008"),
    "operator": Field("operator", choice((*_WITH_VALUES, *_WITHOUT), "P008"), required="P008"),
    "values": Field("values", list_of(_value)),
}
_TABLE: Fields = {
    "matchLabels": Field("labels", labels("P002")),
    "matchExpressions": Field("expressions", list_of(_expression)),
}
_MISPLACED = dict.fromkeys(("key", "operator", "values"), "it belongs to an entry of matchExpressions:")
