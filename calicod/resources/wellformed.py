"""What must hold of every resource's nodes before anybody reads them.

Law: after `check` without an error, keys of a mapping are unique scalars, merge keys are gone, no alias leads back to
itself, and all aliases of a file together expand to a bounded number of nodes. What is wrong with a mapping is told of
each resource that has it, by an alias or a merge key too.
"""

from typing import NamedTuple

from calicod.resources.document import MAX_DEPTH, MAX_NODES, PLAIN, TAG, Mapping, Node, Scalar, Sequence
from calicod.resources.report import Report
from calicod.resources.scalars import quoted, tag_error

ALIAS_ALLOWANCE = 1_000_000
"""Nodes that aliases of one file may add to those written in it."""

_BEGIN = frozenset({"apiVersion", "kind"})
_COLLECTIONS = frozenset({PLAIN, f"{TAG}map", f"{TAG}seq"})


class _Flawed(NamedTuple):
    """A mapping with its pairs as they were written, before they were mended to be read on, and where that was told."""

    node: Mapping
    written: list[tuple[Node, Node]]
    report: Report


class Budget:
    """How many nodes of one file may still be read, aliased ones counted each time; `flawed`: mappings by `id`."""

    def __init__(self, text: str) -> None:
        self.left = min(len(text), MAX_NODES) + ALIAS_ALLOWANCE
        self.flawed: dict[int, _Flawed] = {}

    def spend(self, nodes: int, node: Node, report: Report) -> bool:
        """Whether so many more may be read; reports at the first that may not."""
        self.left -= nodes
        if self.left < 0:
            report.error("Y004", node, f"aliases expand to more than {ALIAS_ALLOWANCE:,} values")
        return self.left >= 0

    def mark(self, node: Mapping, report: Report) -> None:
        """Something is wrong with it: another resource that has it must be told of it as well."""
        self.flawed.setdefault(id(node), _Flawed(node, node.value, report))


def check(root: Node, report: Report, budget: Budget) -> None:
    """Reports duplicate keys, keys that are no text, and aliases without end; writes out merge keys."""
    level, depth = [root], 1
    while level:
        if depth > MAX_DEPTH:
            report.error("Y004", level[0], "an alias leads back to what contains it, or nests too deep")
            return
        below: list[Node] = []
        for node in level:
            # Classes are compared, where `isinstance` would cost more than all the rest: most nodes are scalars.
            if node.__class__ is Mapping:
                check_keys(node, report, budget)
                below += [value for _, value in node.value if value.__class__ is not Scalar]
            elif node.__class__ is Sequence:
                below += [item for item in node.value if item.__class__ is not Scalar]
            else:
                continue
            if node.tag not in _COLLECTIONS:
                tag_error(node, report)
            if not budget.spend(len(node.value) + 1, node, report):
                return
        level, depth = below, depth + 1


def check_keys(node: Mapping, report: Report, budget: Budget) -> None:
    """As `check`, of one mapping alone."""
    if "<<" in _texts(node, report, budget):
        _merge(node, report, budget)


def _texts(node: Mapping, report: Report, budget: Budget) -> set[str]:
    """The keys that are text; reports what else is among them, and repetitions, and leaves the first of each."""
    known = budget.flawed.get(id(node))
    if known is not None and known.report is not report:
        node.value = known.written
        del budget.flawed[id(node)]
    keys = {key.value for key, _ in node.value if key.__class__ is Scalar}
    if len(keys) < len(node.value):
        budget.mark(node, report)
        texts = [pair for pair in node.value if isinstance(pair[0], Scalar)]
        if len(texts) < len(node.value):
            stranger = next(key for key, _ in node.value if not isinstance(key, Scalar))
            report.error("Y007", stranger, "a key must be text, not a mapping or a list")
        node.value = list(_firsts(texts, report).values())
    return keys


def _firsts(pairs: list[tuple[Node, Node]], report: Report) -> dict[str, tuple[Node, Node]]:
    """The first pair of each key; reports each repetition, naming the first."""
    first: dict[str, tuple[Node, Node]] = {}
    for key, value in pairs:
        if key.value in first:
            line, column = report.document.position(first[key.value][0])
            hint = "begin each further resource with a line `---`" if key.value in _BEGIN else "remove one of them"
            message = f"key {quoted(key.value)} is given twice, first at line {line}, column {column}"
            report.error("Y003", key, message, hint=hint)
        else:
            first[key.value] = (key, value)
    return first


def _merge(node: Mapping, report: Report, budget: Budget) -> None:
    """`<<: *other` takes over the keys that are not given here (the YAML merge key, as Calico's tools read it)."""
    given = {key.value: (key, value) for key, value in node.value}
    key, source = given["<<"]
    if key.tag != PLAIN:
        return
    del given["<<"]
    for mapping in source.value if isinstance(source, Sequence) else [source]:
        if not isinstance(mapping, Mapping):
            budget.mark(node, report)
            report.error("Y010", source, 'merge key "<<" needs a mapping or a list of mappings')
            break
        if mapping is node:
            budget.mark(node, report)
            report.error("Y004", source, "an alias leads back to what contains it")
            break
        if not budget.spend(len(mapping.value), source, report):
            break
        _texts(mapping, report, budget)
        for inherited, value in mapping.value:
            given.setdefault(inherited.value, (inherited, value))
    node.value = list(given.values())
