"""What the linear engine notes on its way, for `explain`.

Law: a step says what was done, in the order in which it was done; none of them decides anything.
"""

from collections.abc import Callable

import msgspec

from calicod.engine.path import Stage
from calicod.engine.result import Result
from calicod.engine.way import Way
from calicod.fields.field import Field
from calicod.model.decision import Decision
from calicod.ruleset.program import CompiledPolicy, CompiledRule, TierStep


class WayTaken(msgspec.Struct, frozen=True):
    """The endpoints that the packet has to pass, or the answers to every packet there."""

    way: Way


class StageBegun(msgspec.Struct, frozen=True):
    """An endpoint is asked."""

    stage: Stage


class StageEnded(msgspec.Struct, frozen=True):
    """What the endpoint said."""

    result: Result


class TierBegun(msgspec.Struct, frozen=True):
    """The policies of a tier that are asked come next: `asked` of them."""

    tier: TierStep
    asked: int


class PolicyAsked(msgspec.Struct, frozen=True):
    """The rules of a policy, or profile, come next."""

    policy: CompiledPolicy


class RuleTried(msgspec.Struct, frozen=True):
    """`missed`: the fields that did not match, which can tell why; none: the rule matches."""

    rule: CompiledRule
    missed: tuple[Field, ...]


class TierEnded(msgspec.Struct, frozen=True):
    """No policy of the tier decided: its default action did, told of its last policy."""

    policy: CompiledPolicy
    denies: bool


class PendingBegun(msgspec.Struct, frozen=True):
    """What the staged policies of the way would do comes next: stages, tiers and rules as if they were enforced."""


class PendingEnded(msgspec.Struct, frozen=True):
    """`would`: the decision, if they were."""

    would: Decision


Step = (
    WayTaken | StageBegun | TierBegun | PolicyAsked | RuleTried | TierEnded | StageEnded | PendingBegun | PendingEnded
)
Note = Callable[[Step], None]


def unheard(_: Step) -> None:
    """Nobody listens."""
