"""What the daemon refuses of what is valid, because it cannot enforce it yet.

Law: a resource that is not enforced as written is refused as loudly as one that is broken, and never reaches a RuleSet,
wherever it was read from.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from calicod.errors import Diagnostic, Severity
from calicod.resources.kinds import Resource, identity
from calicod.resources.load import Identity, Loaded
from calicod.resources.unenforced import Unenforced, unenforced


def enforceable(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """The resources that are enforced as written."""
    return tuple(resource for resource in resources if not unenforced(resource))


def refuse(loaded: Loaded) -> Loaded:
    """The same without the resources that cannot be enforced: rejected, and told as errors in place of warnings."""
    refused = [resource for resource in loaded.resources if unenforced(resource)]
    if not refused:
        return loaded
    wanted = {
        (finding.code, identity(resource)): error(resource, finding)
        for resource in refused
        for finding in unenforced(resource)
    }
    told: list[Diagnostic] = []
    for diagnostic in loaded.diagnostics:
        own = wanted.pop(key(diagnostic), None)
        told.append(diagnostic if own is None else replace(diagnostic, severity=Severity.ERROR))
    return replace(
        loaded,
        resources=enforceable(loaded.resources),
        diagnostics=(*told, *wanted.values()),
        rejected=(*loaded.rejected, *(identity(resource) for resource in refused)),
    )


def key(diagnostic: Diagnostic) -> tuple[str, Identity]:
    """The code and whom it is about."""
    return diagnostic.code, (diagnostic.kind or "", diagnostic.namespace or "", diagnostic.name or "")


def error(resource: Resource, finding: Unenforced) -> Diagnostic:
    """The finding at the resource; the loader's own warning, unless it told of too much else, knows the line."""
    kind, namespace, name = identity(resource)
    place = resource.place
    return Diagnostic(
        code=finding.code,
        message=finding.message,
        hint=finding.hint,
        file=place.file,
        line=place.line,
        column=place.column,
        kind=kind,
        namespace=namespace,
        name=name,
        path=f"spec.{finding.field}",
    )
