"""What is wrong with one resource: findings at nodes, and the paths that lead to them.

Law: a resource with an error is refused whole; every finding of it is told, not only the first. Paths are worked out
only when something is found: a resource without findings costs nothing.
"""

from typing import NamedTuple

from calicod.errors import Diagnostic, Place, Severity
from calicod.resources.document import Document, Mapping, Node, Scalar, Sequence

MAX_SHOWN = 80
MAX_FINDINGS = 200
"""Of one resource; more help nobody."""


class _Finding(NamedTuple):
    code: str
    severity: Severity
    line: int
    column: int
    path: str
    message: str
    hint: str | None


def printable(value: str) -> str:
    r"""A text of the user's as it may go to a terminal: without control characters, cut where it is too long to read.

    >>> print(printable("eth0"), printable("\x1b[2J"))
    eth0 \x1b[2J
    """
    cut = value if len(value) <= MAX_SHOWN else value[:MAX_SHOWN] + "…"
    return cut if cut.isprintable() else repr(cut)[1:-1]


class Report:
    """The findings of the resource below `root`, and who it is as far as that could be read."""

    def __init__(self, document: Document, root: Node, file: str) -> None:
        self.document = document
        self.root = root
        self.file = file
        self.kind: str | None = None
        self.namespace: str | None = None
        self.name: str | None = None
        self.refused = False
        # The kind cannot be what was meant, so the identity is not that of an earlier version.
        self.mistaken = False
        self._findings: list[_Finding] = []
        self._paths: dict[int, str] = {}
        self._named: dict[int, str] = {}

    def error(self, code: str, node: Node, message: str, *, hint: str | None = None, field: str = "") -> None:
        """The resource is refused. `field`: the finding is about a field that `node` lacks."""
        self.refused = True
        self._add(Severity.ERROR, code, node, message, hint, field)

    def error_within(self, code: str, node: Node, message: str, offset: int, *, hint: str | None = None) -> None:
        """As `error`, `offset` characters into the text of a scalar."""
        self.refused = True
        self._add(Severity.ERROR, code, node, message, hint, _inside(node, offset))

    def warning(self, code: str, node: Node, message: str, *, hint: str | None = None, field: str = "") -> None:
        """The resource is accepted, but probably not what was meant."""
        self._add(Severity.WARNING, code, node, message, hint, field)

    @property
    def full(self) -> bool:
        """Whether so much is wrong that no further warning is told; of errors, as many again."""
        return len(self._findings) >= MAX_FINDINGS

    def place(self, node: Node) -> Place:
        """Where a node was written."""
        return Place(self.file, *self.document.position(node))

    def name_path(self, node: Node, path: str) -> None:
        """The path of a node that stands for one nobody wrote."""
        self._named[id(node)] = path

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every finding, in the order of the text."""
        if not self._findings:
            return ()
        return tuple(
            Diagnostic(
                code=finding.code,
                message=finding.message,
                hint=finding.hint,
                severity=finding.severity,
                file=self.file,
                line=finding.line,
                column=finding.column,
                kind=self.kind,
                namespace=self.namespace,
                name=self.name,
                path=finding.path,
            )
            for finding in sorted(self._findings, key=lambda found: (found.line, found.column))
        )

    def _add(  # a finding has so many parts
        self, severity: Severity, code: str, node: Node, message: str, hint: str | None, within: str | int
    ) -> None:
        """`within`: a field that the node lacks, or how many columns into it."""
        if self.full and (severity is Severity.WARNING or len(self._findings) >= 2 * MAX_FINDINGS):
            return
        line, column = self.document.position(node)
        path = self._path(node)
        if isinstance(within, int):
            column += within
        elif within:
            path = f"{path}.{within}" if path else within
        self._findings.append(_Finding(code, severity, line, column, path, message, hint))

    def _path(self, node: Node) -> str:
        if not self._paths:
            self._paths = paths(self.root) | self._named
        return self._paths.get(id(node), "")


def paths(root: Node) -> dict[int, str]:
    """The path of every node (and key) below a root, by its `id`; of an aliased one, the path found first."""
    found = {id(root): ""}
    stack = [root]
    while stack:
        node = stack.pop()
        prefix = found[id(node)]
        children: list[tuple[Node, str]] = []
        if isinstance(node, Mapping):
            for key, value in node.value:
                name = printable(key.value) if isinstance(key, Scalar) else "?"
                path = f"{prefix}.{name}" if prefix else name
                found.setdefault(id(key), path)
                children.append((value, path))
        elif isinstance(node, Sequence):
            children = [(item, f"{prefix}[{index}]") for index, item in enumerate(node.value)]
        for child, path in children:
            if id(child) not in found:
                found[id(child)] = path
                stack.append(child)
    return found


def _inside(node: Node, offset: int) -> int:
    """Columns from the start of a scalar to a character of its text; 0 where they do not correspond."""
    start, end = node.start_mark, node.end_mark
    quotes = 1 if getattr(node, "style", None) in {"'", '"'} else 0
    if start.line != end.line or end.column - start.column != len(node.value) + 2 * quotes:
        return 0
    return quotes + offset
