"""The kinds of Kubernetes: which are read and what they become, and which are passed over (semantics 1.12, 5).

Law: a kind that says who may talk to whom is read; only what cannot bear on a verdict is passed over.
"""

from calicod.resources.clusterspec import KINDS as POLICY_KINDS
from calicod.resources.document import Mapping
from calicod.resources.kinds import Metadata, Node, Policy
from calicod.resources.knp import converted
from calicod.resources.knpspec import ENFORCED, SPEC
from calicod.resources.knpspec import spec as network_policy_spec
from calicod.resources.kubernetes import account_identity, namespace, namespace_identity, service_account
from calicod.resources.metadata import CLUSTER, NAMESPACED, Kind, Naming
from calicod.resources.pods import identity as pod_identity
from calicod.resources.pods import pod
from calicod.resources.report import Report
from calicod.resources.shapes import shaped
from calicod.resources.slices import endpoint_slice
from calicod.resources.table import mapping

CORE = "v1"
ANY_CASE = Naming(r"[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?", "letters, digits, `-` and inner `.`", namespaced=True)
"""Calico leaves the names of network policies to the API of Kubernetes."""
NETWORKING = "networking.k8s.io/v1"
DISCOVERY = "discovery.k8s.io/v1"


@shaped(lambda: mapping(SPEC))
def network_policy(spec: Mapping, metadata: Metadata, report: Report) -> Policy:
    """A NetworkPolicy of Kubernetes, as a policy in the default tier (semantics 5.1)."""
    read, _ = network_policy_spec(spec, report)
    return converted(read, ENFORCED, metadata, report.place(report.root))


def node(_: Mapping, metadata: Metadata, report: Report) -> Node:
    """A node: its labels."""
    return Node(metadata=metadata, place=report.place(report.root))


def service(_spec: Mapping, _metadata: Metadata, _report: Report) -> None:
    """A Service: policy sees only what is behind it, its EndpointSlices (semantics 1.12)."""


KUBERNETES = {
    "Namespace": Kind(
        CLUSTER,
        lambda _, found, report: namespace(found, report),
        extra=("status",),
        version=CORE,
        becomes="Profile",
        identity=namespace_identity,
    ),
    "ServiceAccount": Kind(
        NAMESPACED,
        lambda _, found, report: service_account(found, report),
        extra=("secrets", "imagePullSecrets", "automountServiceAccountToken"),
        version=CORE,
        becomes="Profile",
        identity=account_identity,
    ),
    "Pod": Kind(NAMESPACED, pod, extra=("status",), version=CORE, becomes="WorkloadEndpoint", identity=pod_identity),
    "Node": Kind(CLUSTER, node, extra=("status",), version=CORE),
    "Service": Kind(NAMESPACED, service, extra=("status",), version=CORE),
    "EndpointSlice": Kind(NAMESPACED, endpoint_slice, extra=("addressType", "endpoints", "ports"), version=DISCOVERY),
    "NetworkPolicy": Kind(ANY_CASE, network_policy, extra=("status",), version=NETWORKING, becomes=ENFORCED),
    **POLICY_KINDS,
}
_OF_NO_EFFECT = {
    CORE: "ConfigMap Endpoints Event LimitRange PersistentVolume PersistentVolumeClaim PodTemplate "
    "ReplicationController ResourceQuota Secret",
    "apps/v1": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "batch/v1": "CronJob Job",
    NETWORKING: "Ingress IngressClass",
    "policy/v1": "PodDisruptionBudget",
}
PASSED_OVER = {kind: version for version, kinds in _OF_NO_EFFECT.items() for kind in kinds.split()}
"""What a dump of a namespace has besides, by kind, with its apiVersion."""
