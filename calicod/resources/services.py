"""`services` of a rule: whose endpoints it means, and what may stand beside it (semantics 2.12).

Law: never lost: a rule without its services would match too much.
"""

from calicod.resources.document import Node
from calicod.resources.kinds import ServiceMatch
from calicod.resources.names import MAX_NAME, name, required_name
from calicod.resources.report import Report
from calicod.resources.table import Field, find, struct

_TABLE = {
    "name": Field("name", required_name("R019", limit=MAX_NAME), required="R019", placeholder=""),
    "namespace": Field("namespace", name("R019", limit=MAX_NAME)),
}
_EXCLUSIVE = ("serviceAccounts", "namespaceSelector", "selector", "notSelector", "nets", "notNets")
_WRONG_SIDE = {("source", "egress"), ("destination", "ingress")}

services = struct(ServiceMatch, _TABLE)
"""Reads the service that a side of a rule means."""


def check_services(rule: Node, side: str, direction: str, report: Report) -> None:
    """R17, R18, R20, R21: what services exclude, and where they may stand."""
    entity = find(rule, side) or rule
    place = find(entity, "services") or entity
    if (side, direction) in _WRONG_SIDE:
        report.error("R020", place, f"services are not allowed in the {side} of an {direction} rule")
    for field in _EXCLUSIVE:
        other = find(entity, field)
        if other is not None and (field == "serviceAccounts" or other.value):
            report.error("R018", other, f"{field} cannot stand beside services")
    for field in ("ports", "notPorts"):
        other = find(entity, field)
        if side == "destination" and other is not None and other.value:
            report.error("R017", other, f"destination {field} cannot stand beside services")
    if not report.namespace and not getattr(find(place, "namespace"), "value", ""):
        report.error("R021", place, f"services of a {report.kind} need a namespace", field="namespace")
