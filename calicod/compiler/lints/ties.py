"""Policies of one order whose turn is decided by their names.

Law: told only of two that govern a common endpoint, one of which allows what the other denies or passes on, as far as
their criteria tell; of policies without an order nobody expects one.
"""

from collections import defaultdict
from collections.abc import Iterator

from calicod.compiler.draft import PolicyDraft
from calicod.compiler.lints.cover import apart
from calicod.compiler.lints.finding import is_as_written, title, warning
from calicod.compiler.lints.rules import directions
from calicod.compiler.lints.scene import Scene
from calicod.compiler.programs import TAKE_PART, phase_of
from calicod.compiler.selectors import policy_selector
from calicod.errors import Diagnostic
from calicod.model.action import Action
from calicod.model.hook import Phase
from calicod.resources.kinds import Policy, Rule

MOST = 64
"""Policies of one order that each is compared with, and pairs of rules of two policies."""


def ties(scene: Scene) -> Iterator[Diagnostic]:
    """Of each policy, the first of the same order before it that it may contradict."""
    groups: dict[tuple[str, float, frozenset[Phase]], list[PolicyDraft]] = defaultdict(list)
    for draft in scene.drafts:
        if draft.policy.order is not None and draft.is_enforced and is_as_written(draft.policy):
            groups[draft.policy.tier, draft.policy.order, beside(draft.policy)].append(draft)
    for (_, order, _), drafts in groups.items():
        for index, draft in enumerate(drafts):
            before = next((other for other in drafts[max(0, index - MOST) : index] if _tied(scene, other, draft)), None)
            if before is not None:
                message = f"order {order:g} is also that of {title(before.policy)}, which its name puts first"
                yield warning("W066", draft.policy, "spec.order", message, "give one of them another order")


def beside(policy: Policy) -> frozenset[Phase]:
    """The phases whose policies meet this one in some phase: two of which none meets the other never tie."""
    phase = phase_of(policy)
    return next((together for together in TAKE_PART.values() if phase in together), frozenset())


def _tied(scene: Scene, first: PolicyDraft, second: PolicyDraft) -> bool:
    if scene.is_peopled:
        common = bool(first.governed(scene.population) & second.governed(scene.population))
    else:
        common = policy_selector(first.policy) == policy_selector(second.policy)
    return common and contradict(first.policy, second.policy)


def contradict(first: Policy, second: Policy) -> bool:
    """One has a rule that allows what may match a rule of the other that does not, in a direction that both govern."""
    for (_, governs, rules), (_, also, others) in zip(directions(first), directions(second), strict=True):
        if governs and also and any(_differ(one, other) for one in rules[:MOST] for other in others[:MOST]):
            return True
    return False


def _differ(one: Rule, other: Rule) -> bool:
    actions = {one.action, other.action}
    return Action.LOG not in actions and Action.ALLOW in actions and len(actions) > 1 and not apart(one, other)
