"""What names, labels and port names may look like (semantics 1.1, 1.8).

Law: grammars only; which of them a field obeys stands in that field's table.
"""

import re

from calicod.resources.document import Mapping, Node
from calicod.resources.report import Report
from calicod.resources.scalars import Reader, is_null, quoted, shown, text
from calicod.resources.shapes import TEXT, by_key, or_empty, shaped, text_like, text_up_to

LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(?:\.{LABEL})*"
MAX_NAME = 253
MAX_LABEL = 63
MAX_ANNOTATIONS = 256 << 10

_SUBDOMAIN = re.compile(SUBDOMAIN)
_CONTAINER = re.compile(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_INTERFACE = re.compile(r"\*|[a-zA-Z0-9_.][a-zA-Z0-9_.-]{0,14}")
PORT_NAME = r"(?!.*--)(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?"
_PORT_NAME = re.compile(PORT_NAME)

NAME_SHAPE = "lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit"


def name(code: str, *, limit: int = 0) -> Reader[str]:
    """A name of DNS form; empty text counts as absent. `limit` 0: of any length."""

    @shaped(or_empty(text_like(SUBDOMAIN, limit)))
    def read(node: Node, report: Report) -> str | None:
        value = text(node, report)
        if not value:
            return None
        return checked_name(value, node, report, code, limit)

    return read


def required_name(code: str, *, limit: int = 0) -> Reader[str]:
    """As `name`, but empty text is refused."""

    @shaped(text_like(SUBDOMAIN, limit))
    def read(node: Node, report: Report) -> str | None:
        value = "" if is_null(node) else text(node, report)
        return None if value is None else checked_name(value, node, report, code, limit)

    return read


def checked_name(value: str, node: Node, report: Report, code: str, limit: int) -> str | None:
    """The value if it is a name of DNS form."""
    if limit and len(value) > limit:
        report.error(code, node, f"name is too long by {len(value) - limit} characters, at most {limit} are allowed")
    elif not _SUBDOMAIN.fullmatch(value):
        report.error(code, node, f"{quoted(value)} is not a name: expected {NAME_SHAPE}", hint=_name_hint(value))
    else:
        return value
    return None


def _name_hint(value: str) -> str | None:
    mended = value.strip().lower().replace("_", "-").replace(" ", "-")
    good = mended != value and len(mended) <= MAX_NAME and _SUBDOMAIN.fullmatch(mended)
    return f"write {mended}" if good else None


@shaped(or_empty(text_like(_CONTAINER.pattern)))
def container(node: Node, report: Report) -> str | None:
    """A container id."""
    value = text(node, report)
    if value and not _CONTAINER.fullmatch(value):
        report.error("P001", node, f"{quoted(value)} is not a container id: expected letters, digits and inner `-`")
        return None
    return value or None


def interface(code: str) -> Reader[str]:
    """The name of a network interface, or `*`."""

    @shaped(text_like(_INTERFACE.pattern))
    def read(node: Node, report: Report) -> str | None:
        value = text(node, report)
        if value is None or _INTERFACE.fullmatch(value):
            return value
        hint = "use * alone for every host interface" if "*" in value and len(value) > 1 else None
        expected = "expected 1 to 15 letters, digits, `_`, `.` and `-`"
        report.error(code, node, f"{quoted(value)} is not an interface name: {expected}", hint=hint)
        return None

    return read


def is_port_name(value: str) -> bool:
    """A Kubernetes port name: 1-15 lower-case letters, digits and single inner `-`, at least one letter."""
    return bool(_PORT_NAME.fullmatch(value))


def key_flaw(key: str) -> str | None:
    """Why a text is no qualified name (the key of a label or annotation), or None."""
    prefix, slash, last = key.rpartition("/")
    if slash and not (_SUBDOMAIN.fullmatch(prefix) and len(prefix) <= MAX_NAME):
        return "the part before `/` must be a lower-case DNS name"
    if not last:
        return "the name part must not be empty"
    if len(last) > MAX_LABEL:
        return f"the name part has {len(last)} characters, at most {MAX_LABEL} are allowed"
    if not _QUALIFIED.fullmatch(last):
        return "expected letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit"
    return None


def value_flaw(value: str) -> str | None:
    """Why a text is no label value, or None."""
    if len(value) > MAX_LABEL:
        return f"{len(value)} characters, at most {MAX_LABEL} are allowed"
    if value and not _QUALIFIED.fullmatch(value):
        return "expected letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit"
    return None


def labels(code: str) -> Reader[dict[str, str]]:
    """Label keys and values."""

    @shaped(by_key(text_up_to(MAX_LABEL)))
    def read(node: Node, report: Report) -> dict[str, str] | None:
        return _texts(node, report, code, "label")

    return read


def annotations(code: str) -> Reader[dict[str, str]]:
    """Annotation keys, compared in lower case, and values of any form, together at most 256 KiB."""

    @shaped(by_key(TEXT))
    def read(node: Node, report: Report) -> dict[str, str] | None:
        values = _texts(node, report, code, "annotation")
        size = sum(len(key.encode()) + len(value.encode()) for key, value in (values or {}).items())
        if size > MAX_ANNOTATIONS:
            report.error(code, node, f"annotations of {size} bytes, at most {MAX_ANNOTATIONS} are allowed")
        return values

    return read


def _texts(node: Node, report: Report, code: str, what: str) -> dict[str, str] | None:
    if not isinstance(node, Mapping):
        report.error("Y010", node, f"expected a mapping of texts, found {shown(node)}")
        return None
    values: dict[str, str] = {}
    for key, value_node in node.value:
        flaw = key_flaw(key.value if what == "label" else key.value.lower())
        if flaw:
            report.error(code, key, f"{what} key {quoted(key.value)}: {flaw}")
        value = text_or_empty(value_node, report)
        flaw = value_flaw(value) if value and what == "label" else None
        if flaw:
            report.error(code, value_node, f"{what} value {quoted(value or '')}: {flaw}")
        values[key.value] = value or ""
    return values


@shaped(TEXT)
def text_or_empty(node: Node, report: Report) -> str | None:
    """Text; null is the empty text, with a warning (semantics 1.15)."""
    if is_null(node):
        report.warning("W001", node, "nothing is taken as empty text", hint='write ""')
        return ""
    return text(node, report)
