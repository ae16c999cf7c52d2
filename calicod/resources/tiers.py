"""Tier (semantics 1.6).

Law: the three well-known tiers are what Calico says they are, or refused.
"""

from typing import NamedTuple

from calicod.model.action import Action
from calicod.resources.document import Mapping, Node
from calicod.resources.kinds import Metadata, Tier
from calicod.resources.report import Report
from calicod.resources.scalars import choice, number
from calicod.resources.shapes import shape_of, shaped
from calicod.resources.table import Field, Fields, find, mapping, read

DEFAULT_ORDER = 1_000_000.0


class WellKnown(NamedTuple):
    """What a well-known tier must be."""

    order: float
    action: Action


WELL_KNOWN = {
    "default": WellKnown(DEFAULT_ORDER, Action.DENY),
    "kube-admin": WellKnown(1_000.0, Action.PASS),
    "kube-baseline": WellKnown(10_000_000.0, Action.PASS),
}
_ACTION = choice((Action.DENY.value, Action.PASS.value), "P021")


@shaped(lambda: shape_of(_ACTION))
def _action(node: Node, report: Report) -> Action | None:
    value = _ACTION(node, report)
    return Action(value) if value else None


TIER: Fields = {"order": Field("order", number("P009")), "defaultAction": Field("default_action", _action)}


@shaped(lambda: mapping(TIER))
def tier(spec: Mapping, metadata: Metadata, report: Report) -> Tier:
    """A tier; without an order it counts as 1,000,000 (D14), without a default action as Deny."""
    values = read(spec, TIER, report)
    order, action = values.get("order"), values.get("default_action", Action.DENY)
    known = WELL_KNOWN.get(metadata.name)
    if known and (DEFAULT_ORDER if order is None else order) != known.order:
        place = find(spec, "order") or spec
        report.error(
            "P020", place, f"tier {metadata.name} must have order {known.order:.0f}", field=_missing(spec, "order")
        )
    if known and action is not known.action:
        place = find(spec, "defaultAction") or spec
        wanted = known.action.value
        field = _missing(spec, "defaultAction")
        report.error("P020", place, f"tier {metadata.name} must have default action {wanted}", field=field)
    return Tier(
        metadata=metadata,
        order=order if isinstance(order, float) else None,
        default_action=action if isinstance(action, Action) else Action.DENY,
        place=report.place(report.root),
    )


def _missing(spec: Mapping, field: str) -> str:
    return field if find(spec, field) is None else ""
