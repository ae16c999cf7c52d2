"""From the policy sources to a RuleSet: read, keep the last good, compile; and what came of it.

Law: a resource that became invalid keeps its last good version in force, told in every answer (D31); one that never was
valid is absent. Reading never changes what is enforced: the caller decides.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from calicod.compiler.compile import Memory, compile
from calicod.datastore.files import Files, Text, read_texts
from calicod.datastore.lastgood import LastGood, Merged, beside
from calicod.errors import Diagnostic, Severity
from calicod.model.event import PolicyRejected
from calicod.resources.kinds import Resource, identity
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import RuleSet


class Reading(msgspec.Struct, frozen=True):
    """One reading of all sources. `kept`: what is in force in its last good version instead of what is written.

    `held`: a set was read in place of the policy files.
    """

    ruleset: RuleSet
    resources: int
    rejected: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]
    kept: tuple[Resource, ...]
    held: bool = False


class Instead(msgspec.Struct, frozen=True):
    """A set that is read in place of the policy files, with the last good versions that belong to it."""

    texts: tuple[Text, ...]
    last_good: bytes = b""


class Sources:
    """The policy paths of one node, with the state directory that remembers the last good versions.

    `held`: what is read in their place, for as long as it is there.
    """

    def __init__(self, paths: Sequence[Path], node: str, state_directory: Path) -> None:
        self.paths = tuple(paths)
        self.node = node
        self.files = Files(self.paths)
        self.last_good = LastGood(state_directory)
        self.held: Instead | None = None
        self._memory = Memory()

    def read(self) -> Reading:
        """Reads and compiles everything once; blocking, so call it in a thread. Raises CalicodError."""
        held = self.held
        if held is not None:
            reading = self._compiled(beside(held.last_good, read_texts(held.texts)), self._memory)
            return msgspec.structs.replace(reading, held=True)
        return self._compiled(self.last_good.merge(self.files.read()), self._memory)

    def propose(self, texts: Iterable[Text]) -> Reading:
        """What these texts would be in place of the files; blocking as `read`, and may run beside it."""
        return self._compiled(beside(b"", read_texts(texts)), Memory())

    def _compiled(self, merged: Merged, memory: Memory) -> Reading:
        compilation = compile(snapshot(merged.resources), self.node, memory)
        findings = (*merged.diagnostics, *compilation.diagnostics)
        return Reading(
            ruleset=compilation.ruleset,
            resources=len(merged.resources),
            rejected=tuple(d for d in findings if d.severity is Severity.ERROR),
            warnings=tuple(d for d in findings if d.severity is Severity.WARNING),
            kept=merged.kept,
        )


def rejections(before: Reading | None, now: Reading) -> tuple[PolicyRejected, ...]:
    """What was refused in this reading and not in the one before, as events."""
    known = set(before.rejected) if before else set[Diagnostic]()
    kept = {identity(resource) for resource in now.kept}
    files = {resource.place.file for resource in now.kept}
    told = []
    for d in now.rejected:
        if d in known:
            continue
        who = (d.kind or "", d.namespace or "", d.name or "")
        told.append(
            PolicyRejected(
                code=d.code,
                message=d.message,
                hint=d.hint,
                file=d.file,
                line=d.line,
                column=d.column,
                kind=d.kind,
                namespace=d.namespace,
                name=d.name,
                path=d.path,
                kept=who in kept if d.name else any(file == d.file or file.startswith(f"{d.file}/") for file in files),
            )
        )
    return tuple(told)
