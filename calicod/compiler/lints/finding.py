"""How a lint tells what it found.

Law: a finding is a warning at a place that somebody wrote.
"""

from calicod.errors import Diagnostic, Place, Severity
from calicod.resources.kinds import POLICY_KINDS, Policy, Resource


def warning(
    code: str, resource: Resource, path: str, message: str, hint: str | None = None, place: Place | None = None
) -> Diagnostic:
    """A warning about a resource, at a place in it."""
    metadata, at = resource.metadata, place or resource.place
    return Diagnostic(
        code=code,
        message=message,
        hint=hint,
        severity=Severity.WARNING,
        file=at.file,
        line=at.line,
        column=at.column,
        kind=resource.kind,
        namespace=metadata.namespace,
        name=metadata.name,
        path=path if is_as_written(resource) else "",
    )


def is_as_written(resource: Resource) -> bool:
    """Fields, rules and order are those of the document; a policy of Kubernetes has become one with others."""
    return not isinstance(resource, Policy) or resource.kind in POLICY_KINDS


def title(resource: Resource) -> str:
    """Kind and name.

    >>> from calicod.resources.kinds import Metadata, Tier
    >>> title(Tier(metadata=Metadata(name="security")))
    'Tier security'
    """
    metadata = resource.metadata
    return (
        f"{resource.kind} {metadata.namespace}/{metadata.name}"
        if metadata.namespace
        else (f"{resource.kind} {metadata.name}")
    )
