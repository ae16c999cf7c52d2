"""What a user wrote wrong, and where.

Law: codes are stable; each has a page in `docs/diagnostics/` and an example that triggers it.
Nothing here prints, logs or decides whether to go on.
"""

from collections.abc import Iterable
from enum import Enum

import msgspec


class Severity(Enum):
    """`error`: the resource is refused. `warning`: accepted, but probably not what was meant."""

    ERROR = "error"
    WARNING = "warning"


class Place(msgspec.Struct, frozen=True, order=True):
    """A position in a text: file name as given, line and column counted from 1 (0: unknown)."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Place("")


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True):
    """One finding about one place of the input; the JSON shape of `calicod validate --json`."""

    code: str
    message: str
    hint: str | None = None
    severity: Severity = Severity.ERROR
    file: str = ""
    line: int = 0
    column: int = 0
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    path: str = ""

    @property
    def place(self) -> Place:
        """The position as one value."""
        return Place(self.file, self.line, self.column)

    def __str__(self) -> str:
        prefix = f"{self.place}: " if self.file else ""
        word = "warning " if self.severity is Severity.WARNING else ""
        where = f"{self.path}: " if self.path else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{prefix}{word}{self.code} {where}{self.message}{hint}"


class PolicyError(Exception):
    """Input that cannot be accepted; carries every finding, not only the first."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(d) for d in self.diagnostics))


class CalicodError(Exception):
    """A failure of the surroundings: kernel, permission, another instance, unreachable daemon.

    `exit_code` is the documented one: 1 no, 2 usage, 3 daemon unreachable, 4 kernel or permission.
    """

    def __init__(self, code: str, message: str, *, hint: str | None = None, exit_code: int = 1) -> None:
        self.code = code
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        super().__init__(f"{code} {message}" + (f"\n  hint: {hint}" if hint else ""))
