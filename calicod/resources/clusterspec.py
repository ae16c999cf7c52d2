"""The `spec` of a ClusterNetworkPolicy, AdminNetworkPolicy or BaselineAdminNetworkPolicy, as written (semantics 5.2).

Law: what the API would refuse is refused. What it accepts and calicod cannot express is told, and kept as foreign: the
conversion fails closed.
"""

from collections.abc import Callable, Mapping

import msgspec

from calicod.model.action import Action
from calicod.resources import document
from calicod.resources.clusterpolicy import Entry, Peer, Pods, Spec, converted
from calicod.resources.clusterports import CODE, admin_port, cluster_protocol, one_of
from calicod.resources.document import Node, Sequence
from calicod.resources.kinds import Metadata, Policy
from calicod.resources.labelselectors import label_selector
from calicod.resources.metadata import CLUSTER, Kind
from calicod.resources.networks import any_network
from calicod.resources.report import Report
from calicod.resources.scalars import Reader, between, choice, text
from calicod.resources.table import Field, Fields, find, is_mapping, list_of, read

ADMIN, BASELINE = "kube-admin", "kube-baseline"
TIERS = {"Admin": ADMIN, "Baseline": BASELINE}
MAX_PRIORITY = 1000
MAX_NAME = 100
ONLY_BASELINE = "default"
FOREIGN = ("nodes", "domainNames")
"""Peers that the API knows, and no policy of Calico's does."""


class Dialect(msgspec.Struct, frozen=True):
    """How one of the kinds says it. `tier`: the only one; "" where the policy names it."""

    kind: str
    actions: Mapping[str, Action]
    ports: str
    port: Reader[object]
    limit: int
    tier: str = ""
    has_priority: bool = True


DIALECTS = {
    "ClusterNetworkPolicy": Dialect(
        kind="KubernetesClusterNetworkPolicy",
        actions={"Accept": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS},
        ports="protocols",
        port=cluster_protocol,
        limit=25,
    ),
    "AdminNetworkPolicy": Dialect(
        kind="KubernetesAdminNetworkPolicy",
        actions={"Allow": Action.ALLOW, "Deny": Action.DENY, "Pass": Action.PASS},
        ports="ports",
        port=admin_port,
        limit=100,
        tier=ADMIN,
    ),
    "BaselineAdminNetworkPolicy": Dialect(
        kind="KubernetesBaselineAdminNetworkPolicy",
        actions={"Allow": Action.ALLOW, "Deny": Action.DENY},
        ports="ports",
        port=admin_port,
        limit=100,
        tier=BASELINE,
        has_priority=False,
    ),
}


def _name(node: Node, report: Report) -> None:
    value = text(node, report)
    if value is not None and len(value) > MAX_NAME:
        report.error(CODE, node, f"name of {len(value)} characters, at most {MAX_NAME} are allowed")


def _namespaces(node: Node, report: Report) -> Pods | None:
    found = label_selector(node, report)
    return None if found is None else Pods(found)


def _pods(node: Node, report: Report) -> Pods | None:
    if not is_mapping(node, report):
        return None
    make: Callable[..., Pods] = Pods
    return make(**read(node, PODS, report))


def _subject(node: Node, report: Report) -> Pods | None:
    if not is_mapping(node, report):
        return None
    found = read(node, WHO, report).get("who")
    return found if one_of(node, WHO, report) and isinstance(found, Pods) else None


def _ignored(_node: Node, _report: Report) -> None:
    """A peer that cannot be expressed, whatever it says."""


PODS: Fields = {
    "namespaceSelector": Field("namespaces", label_selector),
    "podSelector": Field("pods", label_selector, required=CODE, placeholder=()),
}
WHO: Fields = {"namespaces": Field("who", _namespaces), "pods": Field("who", _pods)}
TO: Fields = (
    WHO
    | {"networks": Field("nets", list_of(any_network("R012"), limit=25, code=CODE, unique=True))}
    | {name: Field("", _ignored) for name in FOREIGN}
)


def _peer(table: Fields) -> Reader[Peer]:
    def read_peer(node: Node, report: Report) -> Peer | None:
        if not is_mapping(node, report):
            return None
        make: Callable[..., Peer] = Peer
        peer = make(**read(node, table, report), place=report.place(node), foreign=_foreign(node))
        if node.value:
            one_of(node, table, report)
        nets = find(node, "networks")
        if isinstance(nets, Sequence) and not nets.value:
            report.error(CODE, nets, "a list of networks cannot be empty")
        return peer

    return read_peer


def _foreign(node: Node) -> str:
    """An entry without any field comes of a newer API than that of whoever stored it."""
    if not node.value:
        return "an entry without a peer"
    given = [name for name in FOREIGN if find(node, name) is not None]
    return f"a peer by {given[0]}" if given else ""


def _entry(dialect: Dialect, side: str) -> Reader[Entry]:
    table = _entry_table(dialect, side)
    other = "to" if side == "from" else "from"
    misplaced = {other: f"write {side}: here", **{name: f"{name} belongs to an entry of {side}:" for name in TO}}

    def read_entry(node: Node, report: Report) -> Entry | None:
        if not is_mapping(node, report):
            return None
        values = read(node, table, report, misplaced)
        make: Callable[..., Entry] = Entry
        entry = make(**values, place=report.place(node))
        listed = find(node, side)
        if isinstance(listed, Sequence) and not listed.value:
            report.error(CODE, listed, f"{side}: needs at least one peer")
        _tell_of_foreign(entry, listed or node, report)
        return entry

    return read_entry


def _entry_table(dialect: Dialect, side: str) -> Fields:
    word = choice(tuple(dialect.actions), CODE)

    def action(node: Node, report: Report) -> Action | None:
        value = word(node, report)
        return dialect.actions[value] if value else None

    def ports(node: Node, report: Report) -> object:
        if dialect.ports == "protocols" and isinstance(node, Sequence) and not node.value:
            report.error(CODE, node, "protocols: cannot be empty", hint="leave it out, and every protocol is meant")
        return list_of(dialect.port, limit=dialect.limit, code=CODE)(node, report)

    peer = _peer(TO if side == "to" else WHO)
    return {
        "name": Field("", _name),
        "action": Field("action", action, required=CODE, placeholder=Action.DENY),
        side: Field("peers", list_of(peer, limit=dialect.limit, code=CODE), required=CODE, placeholder=()),
        dialect.ports: Field("ports", ports),
    }


def _tell_of_foreign(entry: Entry, place: Node, report: Report) -> None:
    if entry.foreign:
        fate = "it allows nothing" if entry.action is Action.ALLOW else "it denies everything"
        hint = "write the addresses as networks:"
        report.warning(
            "W080", place, f"{entry.foreign} cannot be expressed: of this rule is left that {fate}", hint=hint
        )


def _table(dialect: Dialect) -> Fields:
    tier = choice(tuple(TIERS), CODE)
    named: Fields = {"tier": Field("tier", tier, required=CODE, placeholder="Admin")} if not dialect.tier else {}
    priority = between(0, MAX_PRIORITY, CODE, "priority")
    ranked: Fields = {"priority": Field("order", priority, required=CODE)} if dialect.has_priority else {}
    return {
        **named,
        **ranked,
        "subject": Field("subject", _subject, required=CODE, placeholder=Pods()),
        "ingress": Field("ingress", list_of(_entry(dialect, "from"), limit=dialect.limit, code=CODE)),
        "egress": Field("egress", list_of(_entry(dialect, "to"), limit=dialect.limit, code=CODE)),
    }


def _reader(dialect: Dialect) -> Callable[[document.Mapping, Metadata, Report], Policy]:
    table = _table(dialect)

    def read_policy(spec: document.Mapping, metadata: Metadata, report: Report) -> Policy:
        values = read(spec, table, report, MISPLACED)
        tier, order = values.pop("tier", ""), values.pop("order", None)
        if not dialect.has_priority and metadata.name != ONLY_BASELINE:
            place = find(report.root, "metadata", "name") or report.root
            report.error(CODE, place, f'there is one {report.kind}, called "{ONLY_BASELINE}"')
        make: Callable[..., Spec] = Spec
        written = make(
            **values,
            tier=dialect.tier or TIERS[str(tier)],
            order=float(order) if isinstance(order, int) else None,
        )
        return converted(written, dialect.kind, metadata, report.place(report.root))

    return read_policy


MISPLACED = {
    "podSelector": "write subject: { pods: … }",
    "namespaceSelector": "write subject: { namespaces: … }",
    "selector": "write subject:",
    "order": "write priority:",
    "policyTypes": "leave it out: rules say which directions the policy governs",
}
_GROUP = "policy.networking.k8s.io"
KINDS = {
    name: Kind(
        CLUSTER,
        _reader(dialect),
        extra=("status",),
        version=f"{_GROUP}/v1alpha2" if name == "ClusterNetworkPolicy" else f"{_GROUP}/v1alpha1",
        becomes=dialect.kind,
    )
    for name, dialect in DIALECTS.items()
}
