"""Objects of Kubernetes as its API prints them: what calicod reads of them, and what is none of its business.

Law: a field that calicod reads is never lost to a slip of the pen: another case, or nearly the name, is refused. Every
other field is left to Kubernetes, which has more of them with each release.
"""

from difflib import get_close_matches

from calicod.resources.document import PLAIN, Mapping, Node
from calicod.resources.report import Report
from calicod.resources.scalars import is_null, quoted
from calicod.resources.table import Fields, is_mapping

NEARLY = 0.8
"""How alike a name must be to one that is read to count as a slip; `hostNetworks` is, `hostUsers` is not."""


def words(text: str) -> frozenset[str]:
    """The names in a text, set apart by blanks.

    >>> sorted(words("hostname dnsPolicy"))
    ['dnsPolicy', 'hostname']
    """
    return frozenset(text.split())


def read_some(node: Node, table: Fields, others: frozenset[str], report: Report) -> dict[str, object]:
    """The values of the fields in the table, by attribute; `others`: fields that are known to mean nothing here."""
    values: dict[str, object] = {}
    if not is_mapping(node, report):
        return values
    for key, value_node in node.value:
        field = table.get(key.value)
        if field is None:
            if key.value not in others:
                _refuse_slip(key, table, report)
        elif not is_null(value_node):
            value = field.reader(value_node, report)
            if value is not None and field.attribute:
                values[field.attribute] = value
    return values


def _refuse_slip(key: Node, table: Fields, report: Report) -> None:
    name = key.value
    for known in table:
        if known.lower() == name.lower():
            report.error("Y012", key, f"unknown field {quoted(name)}: case matters", hint=f"write {known}")
            return
    close = [] if report.full else get_close_matches(name[:64], table, n=1, cutoff=NEARLY)
    if close:
        report.error("Y011", key, f"unknown field {quoted(name)}", hint=f"did you mean {close[0]}?")


def empty(node: Node) -> Mapping:
    """A mapping without fields at the place of another node."""
    return Mapping(PLAIN, [], start_mark=node.start_mark, end_mark=node.start_mark)
