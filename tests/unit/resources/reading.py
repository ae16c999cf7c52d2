"""Helpers: a resource from the YAML of its spec, and what was said about it.

`«` in a text stands before the place at which the first finding is expected.
"""

from textwrap import dedent, indent
from typing import NamedTuple

from calicod.errors import Diagnostic, Severity
from calicod.resources.load import Loaded, load

NAMESPACED = {
    "NetworkPolicy",
    "NetworkSet",
    "StagedKubernetesNetworkPolicy",
    "StagedNetworkPolicy",
    "WorkloadEndpoint",
}
MARK = "«"


class Finding(NamedTuple):
    """What a test says of a finding: its code, the path, and the hint (None: it has none)."""

    code: str
    path: str
    hint: str | None = None


def text(kind, spec="", *, name="x", meta=""):
    """A resource of this kind; `name` "" leaves the name to `meta`."""
    namespace = "  namespace: ns\n" if kind in NAMESPACED else ""
    body = indent(dedent(spec).strip(), "  ")
    named = f"  name: {name}\n" if name else ""
    head = f"apiVersion: projectcalico.org/v3\nkind: {kind}\nmetadata:\n{named}{namespace}"
    return head + indent(dedent(meta).strip(), "  ") + f"\nspec:\n{body}\n"


def found(written, severity=Severity.ERROR):
    """The findings of this severity in a text; the first stands at the mark, if there is one."""
    told = [d for d in load(written.replace(MARK, ""), "f.yaml").diagnostics if d.severity is severity]
    if MARK in written and told:
        assert (told[0].file, told[0].line, told[0].column) == ("f.yaml", *place(written))
    return [finding(diagnostic) for diagnostic in told]


def finding(diagnostic: Diagnostic):
    return Finding(diagnostic.code, diagnostic.path, diagnostic.hint)


def place(written):
    """Line and column of the mark, counted from 1."""
    before = written[: written.index(MARK)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def refused(kind, spec="", **more):
    """The errors of a resource, in the order of the text."""
    return found(text(kind, spec, **more))


def warned(kind, spec="", **more):
    """The warnings of a resource that is accepted."""
    written = text(kind, spec, **more)
    assert found(written.replace(MARK, "")) == []
    return found(written, Severity.WARNING)


def one(kind, spec="", **more):
    """The only resource, accepted without any finding."""
    loaded = load(text(kind, spec, **more), "f.yaml")
    assert loaded.diagnostics == ()
    (resource,) = loaded.resources
    return resource


def taken(kind, spec="", **more):
    """The only resource, accepted, whatever was warned of."""
    loaded = load(text(kind, spec, **more), "f.yaml")
    assert errors(loaded) == []
    (resource,) = loaded.resources
    return resource


def errors(loaded: Loaded):
    return [told.code for told in loaded.diagnostics if told.severity is Severity.ERROR]


def rule(flow):
    """The only rule of a policy that has just this one."""
    return one("GlobalNetworkPolicy", f"ingress:\n- {flow}").ingress[0]


def refused_rule(flow, direction="ingress", kind="GlobalNetworkPolicy"):
    """The errors of a policy's only rule; paths are those within the rule."""
    prefix = f"spec.{direction}[0]"
    return [
        told._replace(path=told.path.removeprefix(prefix).lstrip("."))
        for told in refused(kind, f"{direction}:\n- {flow}")
    ]
