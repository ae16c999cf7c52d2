"""The order in which tiers, policies and rules are tried (semantics 4.1).

Law: order depends only on (tier present, tier order, tier name, policy order, name, namespace, kind).
Nothing here reads time, insertion order or identity.
"""

from collections.abc import Iterable
from math import inf

import msgspec

from calicod.model.action import Action
from calicod.resources.kinds import Policy, Tier

DEFAULT_TIER_ORDER = 1_000_000.0
"""D14: what a tier without order counts as."""


class Step(msgspec.Struct, frozen=True):
    """A tier in its place; `exists` is false for one that policies name and nobody defined."""

    name: str
    default_deny: bool
    exists: bool


def tiers_in_order(tiers: Iterable[Tier], policies: Iterable[Policy]) -> tuple[Step, ...]:
    """The tiers that exist by order and name, then those that policies merely name."""
    present = sorted(tiers, key=tier_key)
    names = {tier.metadata.name for tier in present}
    ghosts = sorted({policy.tier for policy in policies} - names, key=str.encode)
    return (
        *(Step(tier.metadata.name, tier.default_action is not Action.PASS, exists=True) for tier in present),
        *(Step(name, default_deny=True, exists=False) for name in ghosts),
    )


def tier_key(tier: Tier) -> tuple[float, bytes]:
    """Order, then name by bytes."""
    return DEFAULT_TIER_ORDER if tier.order is None else tier.order, tier.metadata.name.encode()


def policy_key(policy: Policy) -> tuple[float, bytes]:
    """Order (none is last), then the text `<name>/<namespace>/<kind>` by bytes: `a-b/…` precedes `a/…`."""
    metadata = policy.metadata
    text = f"{metadata.name}/{metadata.namespace}/{policy.kind}"
    return inf if policy.order is None else policy.order, text.encode()
