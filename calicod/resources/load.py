"""From the text of a file to resources: one function, and what comes of many files together.

Law: a document is accepted whole or refused whole, with every finding told. What was refused is told by identity, or,
where that cannot be read, by file, so that whoever keeps last good versions knows what to keep. Reading early, item by
item, gives what reading a list as a whole gives.
"""

from collections.abc import Iterable

import msgspec

from calicod.errors import Diagnostic, Severity
from calicod.resources.document import (
    ITEMS,
    Document,
    Mapping,
    Node,
    Scalar,
    Sequence,
    Taken,
    Unparsable,
    prepared,
    salvage,
    stream,
)
from calicod.resources.envelope import Listed, resource
from calicod.resources.kinds import EndpointSlice, Resource, WorkloadEndpoint, identity
from calicod.resources.kinds import Node as ClusterNode
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


LIST: Fields = {name: Field("", ignore) for name in ("apiVersion", "kind", "metadata", ITEMS)}
FLAT = (WorkloadEndpoint, EndpointSlice, ClusterNode)
"""What objects become of which most fields are left to Kubernetes."""
BASE = 20
"""Values, of the size that they have while a file is read, in whose place one of them stays."""


class _Outcome(msgspec.Struct, frozen=True):
    """What came of one resource. `rejected`: its identity; `broken`: it has none that is known."""

    resource: Resource | None
    diagnostics: tuple[Diagnostic, ...]
    rejected: Identity | None = None
    broken: bool = False


class _NoList(Exception):  # noqa: N818  # not an error by itself: the text is read again
    """Items were taken of what is no list of resources after all."""


def load(text: str, file: str) -> Loaded:
    """Every resource of a text, and every finding; `file` is the name that findings bear. Never raises."""
    ready = prepared(text, file)
    if isinstance(ready, Diagnostic):
        return Loaded(diagnostics=(ready,), broken=(file,))
    try:
        loading = _read(ready, file, early=True)
    except _NoList:
        loading = _read(ready, file, early=False)
    return together([loading.loaded()])


def _read(text: str, file: str, *, early: bool) -> "_Loading":
    return _streamed(text, file, early=early) or _salvaged(text, file, early=early)


def _streamed(text: str, file: str, *, early: bool) -> "_Loading | None":
    """A text without syntax errors; None if there is one, with nothing kept of what was parsed before it."""
    loading = _Loading(file, text)
    try:
        for document in stream(text, loading.taken if early else None):
            loading.take(document)
    except Unparsable:
        return None
    return loading


def _salvaged(text: str, file: str, *, early: bool) -> "_Loading":
    """What can be read of a text with syntax errors."""
    loading = _Loading(file, text)
    for part in salvage(text, file, loading.taken if early else None):
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
                self._item(document, item, None)
        elif isinstance(kind, Scalar) and kind.value.endswith("List") and isinstance(root, Mapping):
            self._list(document, root, kind.value.removesuffix("List"))
        elif _lost_items(root):
            raise _NoList
        else:
            self._settle(self._alone(document))

    def taken(self, document: Document) -> Taken | None:
        """An item of what may be a list of resources, if it is read alike whatever the rest of the list says."""
        item = document.root
        if not all(isinstance(find(item, name), Scalar) for name in ("kind", "apiVersion")):
            return None
        return Taken(item, self._alone(document))

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
            self._item(document, item, listed)
        self._broken = self._broken or report.refused
        self._diagnostics.extend(report.diagnostics())

    def _item(self, document: Document, item: Node, listed: Listed | None) -> None:
        outcome = item.outcome if isinstance(item, Taken) else self._one(document, item, listed)
        assert isinstance(outcome, _Outcome)  # noqa: S101  # as `taken` made it
        self._settle(outcome)

    def _alone(self, document: Document) -> _Outcome:
        """A resource that is all of a document, or was taken out of a list: its nodes go when it is read."""
        before = self._budget.left
        outcome = self._one(document, document.root, None)
        document.kept = _kept(outcome, document.nodes)
        self._budget.left += min(before - self._budget.left, document.nodes - document.kept)
        return outcome

    def _one(self, document: Document, root: Node, listed: Listed | None) -> _Outcome:
        report = Report(document, root, self._file)
        found = None
        if isinstance(root, Mapping):
            found = resource(root, report, self._budget, listed)
        else:
            hint = "write each resource as a mapping with apiVersion, kind, metadata and spec"
            report.error("Y014", root, f"expected a resource, found {shown(root)}", hint=hint)
        if not report.refused:
            return _Outcome(found, report.diagnostics())
        if report.kind and report.name and not report.mistaken:
            return _Outcome(None, report.diagnostics(), (report.kind, report.namespace or "", report.name))
        return _Outcome(None, report.diagnostics(), broken=True)

    def _settle(self, outcome: _Outcome) -> None:
        if outcome.resource is not None:
            self._resources.append(outcome.resource)
        if outcome.rejected is not None:
            self._rejected.append(outcome.rejected)
        self._diagnostics.extend(outcome.diagnostics)
        self._broken = self._broken or outcome.broken


def _lost_items(root: Node) -> bool:
    """Items were taken out of it; looked for only in what is no list of resources."""
    lists = (value for key, value in root.value if key.value == ITEMS) if isinstance(root, Mapping) else ()
    return any(isinstance(item, Taken) for found in lists if isinstance(found, Sequence) for item in found.value)


def _kept(outcome: _Outcome, nodes: int) -> int:
    """How many of the nodes of a resource it goes on to count for."""
    found = outcome.resource
    kept = BASE + 2 * len(outcome.diagnostics)
    if isinstance(found, FLAT):
        values = (getattr(found, name) for name in found.__struct_fields__)
        kept += len(found.metadata.labels) + len(found.metadata.annotations)
        kept += sum(len(value) for value in values if isinstance(value, tuple))
    elif found is not None:
        return nodes
    return min(kept, nodes)
