"""From the text of a file to resources: one function, and what comes of many files together.

Law: a document is accepted whole or refused whole, with every finding told. What was refused is told by identity, or,
where that cannot be read, by file, so that whoever keeps last good versions knows what to keep.
"""

from collections.abc import Iterable

import msgspec

from calicod.errors import Diagnostic, Severity
from calicod.resources.document import Document, Mapping, Node, Scalar, Sequence, Unparsable, prepared, salvage, stream
from calicod.resources.envelope import Listed, resource
from calicod.resources.kinds import Resource, identity
from calicod.resources.metadata import ignore
from calicod.resources.report import Report
from calicod.resources.scalars import is_null, shown
from calicod.resources.table import Field, Fields, find, items, read
from calicod.resources.wellformed import Budget, check_keys

Identity = tuple[str, str, str]


class Loaded(msgspec.Struct, frozen=True):
    """What was read.

    `rejected`: identities of refused documents. `broken`: files, or paths that cannot be read, with something whose
    identity is not known.
    """

    resources: tuple[Resource, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    rejected: tuple[Identity, ...] = ()
    broken: tuple[str, ...] = ()


LIST: Fields = {name: Field("", ignore) for name in ("apiVersion", "kind", "metadata", "items")}


def load(text: str, file: str) -> Loaded:
    """Every resource of a text, and every finding; `file` is the name that findings bear. Never raises."""
    ready = prepared(text, file)
    if isinstance(ready, Diagnostic):
        return Loaded(diagnostics=(ready,), broken=(file,))
    loading = _streamed(ready, file) or _salvaged(ready, file)
    return together([loading.loaded()])


def _streamed(text: str, file: str) -> "_Loading | None":
    """A text without syntax errors; None if there is one, with nothing kept of what was parsed before it."""
    loading = _Loading(file, text)
    try:
        for document in stream(text):
            loading.take(document)
    except Unparsable:
        return None
    return loading


def _salvaged(text: str, file: str) -> "_Loading":
    """What can be read of a text with syntax errors."""
    loading = _Loading(file, text)
    for part in salvage(text, file):
        if isinstance(part, Diagnostic):
            loading.broken(part)
        else:
            loading.take(part)
    return loading


def together(loaded: Iterable[Loaded]) -> Loaded:
    """Many files as one input: the second resource of one identity is refused, naming both places."""
    parts = tuple(loaded)
    first: dict[Identity, Resource] = {}
    diagnostics: list[Diagnostic] = []
    for part in parts:
        diagnostics.extend(part.diagnostics)
        for found in part.resources:
            known = first.setdefault(identity(found), found)
            if known is found:
                continue
            if replaces(found, known):
                first[identity(found)] = found
                diagnostics.append(_told(found, known, "W081", "this one replaces the one", Severity.WARNING))
            else:
                diagnostics.append(_told(found, known, "Y018", "first", Severity.ERROR))
    return Loaded(
        resources=tuple(first.values()),
        diagnostics=tuple(diagnostics),
        rejected=tuple(who for part in parts for who in part.rejected),
        broken=tuple(dict.fromkeys(file for part in parts for file in part.broken)),
    )


def replaces(found: Resource, known: Resource) -> bool:
    """Whether the later of two counts: a policy of Kubernetes in the same file, as if it was applied in this order."""
    return found.kind.startswith("Kubernetes") and known.place.file == found.place.file and known.place < found.place


def _told(found: Resource, known: Resource, code: str, how: str, severity: Severity) -> Diagnostic:
    """That two resources have one identity."""
    kind, namespace, name = identity(found)
    shown_name = f"{namespace}/{name}" if namespace else name
    return Diagnostic(
        code=code,
        message=f"{kind} {shown_name} is given twice, {how} at {known.place}",
        hint="remove one, or give it another name",
        severity=severity,
        file=found.place.file,
        line=found.place.line,
        column=found.place.column,
        kind=kind,
        namespace=namespace,
        name=name,
        path="metadata.name",
    )


class _Loading:
    """One file while it is read."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._budget = Budget(text)
        self._resources: list[Resource] = []
        self._diagnostics: list[Diagnostic] = []
        self._rejected: list[Identity] = []
        self._broken = False

    def take(self, document: Document) -> None:
        """One document: a resource, a list of them, or nothing but comments."""
        root = document.root
        if is_null(root):
            return
        kind = find(root, "kind")
        if isinstance(root, Sequence):
            for item in root.value:
                self._one(document, item, None)
        elif isinstance(kind, Scalar) and kind.value.endswith("List") and isinstance(root, Mapping):
            self._list(document, root, kind.value.removesuffix("List"))
        else:
            self._one(document, root, None)

    def broken(self, diagnostic: Diagnostic) -> None:
        """A part of the file that is no document."""
        self._diagnostics.append(diagnostic)
        self._broken = True

    def loaded(self) -> Loaded:
        """What came of the file."""
        return Loaded(
            tuple(self._resources),
            tuple(self._diagnostics),
            tuple(self._rejected),
            (self._file,) if self._broken else (),
        )

    def _list(self, document: Document, root: Mapping, kind: str) -> None:
        """A `v1` List as kubectl prints it, or a `<Kind>List`, whose items need not repeat their kind."""
        report = Report(document, root, self._file)
        report.kind = f"{kind}List"
        version = find(root, "apiVersion")
        listed = (kind, version.value if isinstance(version, Scalar) else "") if kind else None
        check_keys(root, report, self._budget)
        read(root, LIST, report)
        members = find(root, "items")
        for item in items(members, report) if members is not None else ():
            self._one(document, item, listed)
        self._broken = self._broken or report.refused
        self._diagnostics.extend(report.diagnostics())

    def _one(self, document: Document, root: Node, listed: Listed | None) -> None:
        report = Report(document, root, self._file)
        if isinstance(root, Mapping):
            found = resource(root, report, self._budget, listed)
            if found is not None and not report.refused:
                self._resources.append(found)
        else:
            hint = "write each resource as a mapping with apiVersion, kind, metadata and spec"
            report.error("Y014", root, f"expected a resource, found {shown(root)}", hint=hint)
        self._diagnostics.extend(report.diagnostics())
        if report.refused and report.kind and report.name and not report.mistaken:
            self._rejected.append((report.kind, report.namespace or "", report.name))
        elif report.refused:
            self._broken = True
