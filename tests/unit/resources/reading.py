"""Helpers: a resource from the YAML of its spec, and what was said about it."""

from textwrap import dedent, indent

from calicod.errors import Severity
from calicod.resources.load import Loaded, load

NAMESPACED = {"NetworkPolicy", "NetworkSet", "WorkloadEndpoint"}


def text(kind, spec="", *, name="x", meta=""):
    namespace = "  namespace: ns\n" if kind in NAMESPACED else ""
    body = indent(dedent(spec).strip(), "  ")
    head = f"apiVersion: projectcalico.org/v3\nkind: {kind}\nmetadata:\n  name: {name}\n{namespace}"
    return head + indent(dedent(meta).strip(), "  ") + f"\nspec:\n{body}\n"


def one(kind, spec="", **more):
    """The only resource, accepted without any finding."""
    loaded = load(text(kind, spec, **more), "f.yaml")
    assert loaded.diagnostics == ()
    (resource,) = loaded.resources
    return resource


def findings(loaded: Loaded):
    return [(found.code, found.path) for found in loaded.diagnostics]


def errors(loaded: Loaded):
    return [found.code for found in loaded.diagnostics if found.severity is Severity.ERROR]


def told(kind, spec="", **more):
    """Codes and paths of what is said about a resource."""
    return findings(load(text(kind, spec, **more), "f.yaml"))


def rule(flow):
    """The only rule of a policy that has just this one."""
    return one("GlobalNetworkPolicy", f"ingress:\n- {flow}").ingress[0]


def told_of_rule(flow, direction="ingress", kind="GlobalNetworkPolicy"):
    prefix = f"spec.{direction}[0]"
    return [(code, path.removeprefix(prefix).lstrip(".")) for code, path in told(kind, f"{direction}:\n- {flow}")]
