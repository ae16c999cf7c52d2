"""The staged kinds: policies that are tried out, and never enforced (semantics 1.5, P14 to P16).

Law: a staged policy is checked as the enforced one would be. One that stages a removal says nothing else.
"""

from msgspec.structs import replace

from calicod.resources.document import Mapping, Node, Scalar
from calicod.resources.kinds import DELETE, Metadata, Policy
from calicod.resources.knp import converted
from calicod.resources.knpspec import SPEC
from calicod.resources.knpspec import spec as kubernetes_spec
from calicod.resources.policies import GLOBAL, NAMESPACED, namespaced, of_cluster
from calicod.resources.report import Report, printable
from calicod.resources.scalars import choice
from calicod.resources.shapes import or_empty, shape_of, shaped
from calicod.resources.table import Field, Fields, mapping, pairs

ACTIONS = ("Set", DELETE, "Learn", "Ignore")
"""Learn and Ignore are evaluated as Set is."""
DEFAULT = "Set"
_ACTION = choice(ACTIONS, "P015")


@shaped(lambda: or_empty(shape_of(_ACTION)))
def _action(node: Node, report: Report) -> str | None:
    """One of the actions; empty text counts as absent."""
    empty = isinstance(node, Scalar) and not node.value
    return None if empty else _ACTION(node, report)


ACTION: Fields = {"stagedAction": Field("staged_action", _action)}
KEPT = ("tier", *ACTION)
"""What a staged removal may say."""


@shaped(lambda: mapping(NAMESPACED | ACTION))
def staged_network_policy(spec: Mapping, metadata: Metadata, report: Report) -> Policy:
    """A namespaced policy, staged."""
    return _staged(namespaced(spec, NAMESPACED | ACTION, "StagedNetworkPolicy", metadata, report), spec, report)


@shaped(lambda: mapping(GLOBAL | ACTION))
def staged_global_network_policy(spec: Mapping, metadata: Metadata, report: Report) -> Policy:
    """A policy of the whole cluster, staged."""
    return _staged(of_cluster(spec, GLOBAL | ACTION, "StagedGlobalNetworkPolicy", metadata, report), spec, report)


@shaped(lambda: mapping(SPEC | ACTION))
def staged_kubernetes_network_policy(spec: Mapping, metadata: Metadata, report: Report) -> Policy:
    """A network policy of Kubernetes, staged: in the default tier, as an enforced one would be."""
    read, others = kubernetes_spec(spec, report, ACTION)
    policy = converted(read, "StagedKubernetesNetworkPolicy", metadata, report.place(report.root))
    return _staged(replace(policy, staged_action=str(others.get("staged_action", ""))), spec, report)


def _staged(policy: Policy, spec: Mapping, report: Report) -> Policy:
    """The policy with its action; a removal that says more is refused (P14)."""
    if policy.staged_action == DELETE:
        for name, node in pairs(spec):
            if name not in KEPT and is_set(node):
                message = f"{printable(name)} cannot stand beside stagedAction: {DELETE}"
                report.error("P014", node, message, hint="leave out everything but tier:")
    return policy if policy.staged_action else replace(policy, staged_action=DEFAULT)


def is_set(node: Node) -> bool:
    """Whether a value says something (semantics 1.15): `[]` and 0 do, `{}`, false and empty text do not."""
    if isinstance(node, Scalar):
        return bool(node.value) and node.value.lower() != "false"
    return not isinstance(node, Mapping) or bool(node.value)
