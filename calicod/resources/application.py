"""`http` of a rule: checked as Calico checks it, and refused while there is no application layer (D9).

Law: never satisfied silently: at layers 3 and 4 the criterion cannot be enforced.
"""

from calicod.resources.document import Node
from calicod.resources.report import Report
from calicod.resources.scalars import quoted, text
from calicod.resources.shapes import TEXT, list_shape, shaped, text_like
from calicod.resources.table import Field, Fields, find, is_mapping, items, list_of, mapping, read

MAX_ITEMS = 20
MAX_PATH = 1024
_FORBIDDEN = frozenset("?# ")
_TEXT = text_like("/[^?# ]*", MAX_PATH)


@shaped(list_shape(TEXT, MAX_ITEMS))
def _methods(node: Node, report: Report) -> None:
    seen: set[str] = set()
    for item in items(node, report, MAX_ITEMS, "R025"):
        method = text(item, report)
        if method in seen:
            report.error("R027", item, f"method {quoted(method)} is given twice")
        if method is not None:
            seen.add(method)


@shaped({"type": "object", "maxProperties": 1, "minProperties": 1, "properties": {"exact": _TEXT, "prefix": _TEXT}})
def _path(node: Node, report: Report) -> None:
    if not is_mapping(node, report):
        return
    read(node, {"exact": Field("", _path_text), "prefix": Field("", _path_text)}, report)
    given = sum(find(node, kind) is not None for kind in ("exact", "prefix"))
    if given != 1:
        report.error("R027", node, "a path needs either exact or prefix", hint="such as `- prefix: /api`")


@shaped(_TEXT)
def _path_text(node: Node, report: Report) -> None:
    value = text(node, report)
    if value is None:
        return
    if len(value) > MAX_PATH:
        report.error("R025", node, f"path of {len(value)} characters, at most {MAX_PATH} are allowed")
    elif not value.startswith("/") or _FORBIDDEN & set(value):
        report.error("R027", node, f"path {quoted(value)} must begin with `/` and have no `?`, `#` or blank")


_TABLE: Fields = {
    "methods": Field("", _methods),
    "paths": Field("", list_of(_path, limit=MAX_ITEMS, code="R025")),
}


@shaped(lambda: mapping(_TABLE))
def http(node: Node, report: Report) -> None:
    """Checks methods and paths (R25, R27); the rule is refused in any case."""
    if not is_mapping(node, report):
        return
    read(node, _TABLE, report)
    report.error(
        "http-not-enforced",
        node,
        "http cannot be enforced without the application layer",
        hint="remove the rule, or allow the whole connection by ports",
    )
