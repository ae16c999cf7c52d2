"""One resource: apiVersion and kind choose who reads it (semantics 1.1).

Law: a kind that Calico or Kubernetes knows and calicod cannot honour yet is refused by name; only kinds that cannot
bear on a verdict are passed over, with a warning.
"""

from difflib import get_close_matches

from calicod.resources.cluster import KUBERNETES, PASSED_OVER
from calicod.resources.document import Mapping, Node, Scalar
from calicod.resources.endpoints import HOST, WORKLOAD, host_endpoint, workload_endpoint
from calicod.resources.felix import felix_configuration
from calicod.resources.kinds import Metadata, Resource
from calicod.resources.metadata import (
    CALICO,
    CLUSTER,
    DEFAULT_NAMESPACE,
    GLOBAL_POLICY,
    NAMESPACED,
    POLICY,
    TIER,
    Kind,
    identify,
    ignore,
    metadata,
)
from calicod.resources.objects import empty
from calicod.resources.policies import GLOBAL, global_network_policy, network_policy
from calicod.resources.profiles import PROFILE, profile
from calicod.resources.report import Report, printable
from calicod.resources.scalars import quoted
from calicod.resources.sets import FORBIDDEN_LABELS, SET, network_set
from calicod.resources.staged import (
    ACTION,
    staged_global_network_policy,
    staged_kubernetes_network_policy,
    staged_network_policy,
)
from calicod.resources.table import Field, Fields, find, is_mapping, read
from calicod.resources.tiers import tier
from calicod.resources.wellformed import Budget, check

KINDS = {
    "NetworkPolicy": Kind(POLICY, network_policy),
    "GlobalNetworkPolicy": Kind(GLOBAL_POLICY, global_network_policy),
    "StagedNetworkPolicy": Kind(POLICY, staged_network_policy),
    "StagedGlobalNetworkPolicy": Kind(GLOBAL_POLICY, staged_global_network_policy),
    "StagedKubernetesNetworkPolicy": Kind(NAMESPACED, staged_kubernetes_network_policy),
    "Tier": Kind(TIER, tier, extra=("status",)),
    "NetworkSet": Kind(NAMESPACED, network_set, FORBIDDEN_LABELS),
    "GlobalNetworkSet": Kind(CLUSTER, network_set, FORBIDDEN_LABELS),
    "HostEndpoint": Kind(CLUSTER, host_endpoint),
    "WorkloadEndpoint": Kind(NAMESPACED, workload_endpoint),
    "Profile": Kind(CLUSTER, profile),
    "FelixConfiguration": Kind(CLUSTER, felix_configuration),
}
WITHOUT_EFFECT = (
    "BGPConfiguration",
    "BGPFilter",
    "BGPPeer",
    "BlockAffinity",
    "CalicoNodeStatus",
    "ClusterInformation",
    "IPAMBlock",
    "IPAMConfig",
    "IPAMConfiguration",
    "IPAMHandle",
    "IPPool",
    "IPReservation",
    "KubeControllersConfiguration",
    "Node",
)

Listed = tuple[str, str]
"""Kind and apiVersion of a list, whose items need not repeat them."""

_AT_ROOT = ("apiVersion", "kind", "metadata", "spec")
_IN_METADATA = ("name", "namespace", "labels", "annotations")
_IN_SPEC = ("selector", "rules", *GLOBAL, *ACTION, *SET, *HOST, *WORKLOAD, *PROFILE)
_MISPLACED = {name: f"{name} belongs under spec:" for name in _IN_SPEC}


def resource(root: Mapping, report: Report, budget: Budget, listed: Listed | None) -> Resource | None:
    """The resource that a mapping describes; None when it is refused or passed over."""
    check(root, report, budget)
    kind_node, version = find(root, "kind"), find(root, "apiVersion")
    kind = kind_node.value if isinstance(kind_node, Scalar) else listed and listed[0]
    written = version.value if isinstance(version, Scalar) else None
    if version is None and listed:
        written = listed[1] or None
    if kind is None:
        report.error("Y016", kind_node or root, 'field "kind" is missing', field="" if kind_node else "kind")
        return None
    if written is None and not (listed and version is None):
        report.error("Y015", version or root, 'field "apiVersion" is missing', hint=_version_hint(kind))
    known = _known(kind, written)
    if known is None:
        _not_read(root, kind, written, kind_node or root, report)
        return None
    _identify(kind, known, report)
    if written is not None and written != known.version:
        hint = f"write apiVersion: {known.version}"
        message = f"expected apiVersion {known.version}, found {quoted(written)}"
        report.error("Y015", version or root, message, hint=hint)
    return _read(root, known, report)


def _known(kind: str, version: str | None) -> Kind | None:
    """Calico's and Kubernetes' NetworkPolicy and Node share their names: the group tells them apart."""
    of_kubernetes = (version or "").partition("/")[0].endswith(".k8s.io")
    calicos = kind in KINDS or (kind in WITHOUT_EFFECT and version == CALICO)
    if kind in KUBERNETES and (of_kubernetes or not calicos):
        return KUBERNETES[kind]
    return None if of_kubernetes else KINDS.get(kind)


def _version_hint(kind: str) -> str:
    return f"write apiVersion: {KUBERNETES[kind].version if kind in KUBERNETES and kind not in KINDS else CALICO}"


def _identify(kind: str, known: Kind, report: Report) -> None:
    """The identity of what the document becomes: a Pod becomes a WorkloadEndpoint (semantics 1.12)."""
    identify(report, known.becomes or kind, namespaced=known.naming.namespaced)
    if known.identity is not None:
        known.identity(report)


def _not_read(root: Mapping, kind: str, version: str | None, place: Node, report: Report) -> None:
    """A kind that calicod does not read: later, never, or not known at all."""
    identify(report, kind, namespaced=find(root, "metadata", "namespace") is not None)
    if version is not None and version == (CALICO if kind in WITHOUT_EFFECT else PASSED_OVER.get(kind)):
        report.warning("W011", place, f"a {kind} has no effect in calicod")
    else:
        close = get_close_matches(kind[:64], (*KINDS, *KUBERNETES), n=1, cutoff=0.6)
        report.mistaken = bool(close)
        hint = f"did you mean {close[0]}?" if close else f"known kinds: {', '.join((*KINDS, *KUBERNETES))}"
        report.error("Y016", place, f"unknown kind {quoted(kind)}", hint=hint)


def _read(root: Mapping, known: Kind, report: Report) -> Resource | None:
    _check_root(root, known, report)
    found = metadata(report, known.naming, known.forbidden_labels)
    spec = find(root, "spec")
    if spec is None:
        spec = empty(root)
        report.name_path(spec, "spec")
    elif not is_mapping(spec, report):
        return None
    if found is None:
        # The rest is judged all the same, so that every finding is told at once.
        report.refused = True
        found = Metadata(name=report.name or "", namespace=report.namespace or DEFAULT_NAMESPACE)
    if isinstance(spec, Mapping):
        return known.reader(spec, found, report)
    return None


def _check_root(root: Mapping, known: Kind, report: Report) -> None:
    """Nothing but the fields of a resource may stand there."""
    if all(key.value in _AT_ROOT or key.value in known.extra for key, _ in root.value):
        return
    table: Fields = {name: Field("", ignore) for name in (*_AT_ROOT, *known.extra)}
    hints = dict(_MISPLACED)
    for name in _IN_METADATA:
        value = find(root, name)
        text = printable(value.value) if isinstance(value, Scalar) else "…"
        hints[name] = f"{name} belongs under metadata: write `metadata: {{{name}: {text}}}`"
    read(root, table, report, hints)
