"""NetworkPolicy and GlobalNetworkPolicy, and what their staged kinds share with them (semantics 1.2 to 1.4).

Law: the effective `types` follow the number of rules (D13). What the daemon cannot enforce yet is told, never ignored.
"""

from collections.abc import Callable

from calicod.resources.document import Mapping, Node
from calicod.resources.kinds import Metadata, Policy
from calicod.resources.names import name
from calicod.resources.report import Report
from calicod.resources.rules import rules
from calicod.resources.scalars import boolean, choice, number, quoted
from calicod.resources.selectors import selector
from calicod.resources.shapes import list_shape, shape_of, shaped, words
from calicod.resources.table import Field, Fields, find, items, mapping, read

TYPES = ("Ingress", "Egress")
_TYPE = choice(TYPES, "P006")
_HINT = choice(("AssumeNeededOnEveryNode",), "P018")


@shaped(list_shape(words(*TYPES)))
def _types(node: Node, report: Report) -> tuple[str, ...]:
    found: list[str] = []
    for item in items(node, report):
        value = _TYPE(item, report)
        if value in found:
            report.error("P005", item, f"type {quoted(value or '')} is given twice")
        elif value:
            found.append(value)
    return tuple(found)


@shaped(lambda: list_shape(shape_of(_HINT)))
def _performance_hints(node: Node, report: Report) -> None:
    seen: set[str] = set()
    for item in items(node, report):
        value = _HINT(item, report)
        if value in seen:
            report.error("P018", item, f"performance hint {quoted(value or '')} is given twice")
        seen.add(value or "")


NAMESPACED: Fields = {
    "tier": Field("tier", name("P001")),
    "order": Field("order", number("P009")),
    "selector": Field("selector", selector("P008", global_code="P007")),
    "serviceAccountSelector": Field("service_account_selector", selector("P008", global_code="P007")),
    "types": Field("types", _types),
    "ingress": Field("ingress", rules("ingress")),
    "egress": Field("egress", rules("egress")),
    "performanceHints": Field("", _performance_hints),
}
GLOBAL: Fields = NAMESPACED | {
    "namespaceSelector": Field("namespace_selector", selector("P008", global_code="P007")),
    "doNotTrack": Field("do_not_track", boolean),
    "preDNAT": Field("pre_dnat", boolean),
    "applyOnForward": Field("apply_on_forward", boolean),
}
_MISPLACED = {
    "podSelector": "write selector: with Calico's selector language",
    "policyTypes": "write types:",
    "rules": "write ingress: and egress:",
    "action": "an action belongs to a rule, under ingress: or egress:",
    "source": "source belongs to a rule, under ingress: or egress:",
    "destination": "destination belongs to a rule, under ingress: or egress:",
    "name": "name belongs under metadata:",
    "labels": "labels belong under metadata:",
}
_MISPLACED_IN_NAMESPACE = _MISPLACED | {
    field: f"only a GlobalNetworkPolicy has {field}" for field in GLOBAL if field not in NAMESPACED
}


@shaped(lambda: mapping(NAMESPACED))
def network_policy(spec: Mapping, metadata: Metadata, report: Report) -> Policy:
    """A namespaced policy."""
    return namespaced(spec, NAMESPACED, "NetworkPolicy", metadata, report)


@shaped(lambda: mapping(GLOBAL))
def global_network_policy(spec: Mapping, metadata: Metadata, report: Report) -> Policy:
    """A policy of the whole cluster."""
    return of_cluster(spec, GLOBAL, "GlobalNetworkPolicy", metadata, report)


def namespaced(spec: Mapping, fields: Fields, kind: str, metadata: Metadata, report: Report) -> Policy:
    """A policy of a namespace, enforced or staged."""
    return _policy(read(spec, fields, report, _MISPLACED_IN_NAMESPACE), kind, metadata, report)


def of_cluster(spec: Mapping, fields: Fields, kind: str, metadata: Metadata, report: Report) -> Policy:
    """A policy of the whole cluster, enforced or staged."""
    values = read(spec, fields, report, _MISPLACED)
    _check_stages(values, spec, report)
    return _policy(values, kind, metadata, report)


def _policy(values: dict[str, object], kind: str, metadata: Metadata, report: Report) -> Policy:
    make: Callable[..., Policy] = Policy
    ingress, egress = governed(values.pop("types", ()), values.get("ingress"), values.get("egress"))
    return make(
        **values,
        governs_ingress=ingress,
        governs_egress=egress,
        kind=kind,
        metadata=metadata,
        place=report.place(report.root),
    )


def governed(types: object, ingress: object, egress: object) -> tuple[bool, bool]:
    """Which directions a policy governs: its types, or by the number of rules (semantics 1.4, D13).

    >>> governed((), (), ())
    (True, False)
    """
    if isinstance(types, tuple) and types:
        return "Ingress" in types, "Egress" in types
    return bool(ingress) or not egress, bool(egress)


def _check_stages(values: dict[str, object], spec: Mapping, report: Report) -> None:
    """P10 to P13: which of doNotTrack, preDNAT and applyOnForward go together."""
    pre_dnat, untracked = values.get("pre_dnat"), values.get("do_not_track")
    place = find(spec, "preDNAT") or spec
    if pre_dnat and untracked:
        report.error("P010", place, "preDNAT and doNotTrack cannot both be true")
    if pre_dnat and values.get("egress"):
        report.error("P011", find(spec, "egress") or place, "a preDNAT policy cannot have egress rules")
    types = values.get("types")
    if pre_dnat and isinstance(types, tuple) and "Egress" in types:
        report.error("P012", find(spec, "types") or place, 'a preDNAT policy cannot have type "Egress"')
    if (pre_dnat or untracked) and not values.get("apply_on_forward"):
        place = place if pre_dnat else find(spec, "doNotTrack") or spec
        report.error("P013", place, "preDNAT and doNotTrack need applyOnForward", hint="add `applyOnForward: true`")
