"""From the policy sources to a RuleSet: read, keep the last good, compile; and what came of it.

Law: a resource that became invalid keeps its last good version in force, told in every answer (D31); one that never was
valid is absent. Reading never changes what is enforced: the caller decides.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from calicod.compiler.compile import Memory, compile
from calicod.datastore.files import read
from calicod.datastore.lastgood import LastGood
from calicod.errors import Diagnostic, Severity
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import RuleSet

Identity = tuple[str, str, str]


class Reading(msgspec.Struct, frozen=True):
    """One reading of all sources. `kept`: identities whose last good version is in force instead of what is written."""

    ruleset: RuleSet
    resources: int
    rejected: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]
    kept: tuple[Identity, ...]


class Sources:
    """The policy paths of one node, with the state directory that remembers the last good versions."""

    def __init__(self, paths: Sequence[Path], node: str, state_directory: Path) -> None:
        self.paths = tuple(paths)
        self.node = node
        self.last_good = LastGood(state_directory)
        self._memory = Memory()

    def read(self) -> Reading:
        """Reads and compiles everything once; blocking, so call it in a thread. Raises CalicodError."""
        merged = self.last_good.merge(read(self.paths))
        compilation = compile(snapshot(merged.resources), self.node, self._memory)
        findings = (*merged.diagnostics, *compilation.diagnostics)
        return Reading(
            ruleset=compilation.ruleset,
            resources=len(merged.resources),
            rejected=tuple(d for d in findings if d.severity is Severity.ERROR),
            warnings=tuple(d for d in findings if d.severity is Severity.WARNING),
            kept=tuple(merged.kept),
        )
