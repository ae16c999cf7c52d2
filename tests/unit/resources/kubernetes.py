"""Helpers: objects of Kubernetes from the YAML of what matters in them."""

from textwrap import dedent, indent

from calicod.resources.load import load

VERSIONS = {
    "Pod": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
    "AdminNetworkPolicy": "policy.networking.k8s.io/v1alpha1",
    "BaselineAdminNetworkPolicy": "policy.networking.k8s.io/v1alpha1",
}
CLUSTER = {"ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"}


def written(kind, body="", *, name="x", meta=""):
    """An object; `body`: what stands beside metadata, `meta`: what stands in it."""
    namespace = "" if kind in CLUSTER else "  namespace: ns\n"
    head = f"apiVersion: {VERSIONS.get(kind, 'v1')}\nkind: {kind}\nmetadata:\n  name: {name}\n{namespace}"
    return head + indent(dedent(meta).strip(), "  ") + "\n" + dedent(body).strip() + "\n"


def taken(kind, body="", **more):
    """What becomes of an object that is accepted without any finding; None if nothing does."""
    loaded = load(written(kind, body, **more), "f.yaml")
    assert loaded.diagnostics == ()
    assert len(loaded.resources) <= 1
    return next(iter(loaded.resources), None)
