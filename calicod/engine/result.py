"""What one stage came to, and how the results of all stages become the Decision.

Law: the first stage that denies decides, else the last one that comes to a verdict (D18). Hit strings are numbered
through over all stages (semantics 6.3).
"""

from collections.abc import Sequence

import msgspec

from calicod.engine.path import Path, Stage
from calicod.model.action import Action
from calicod.model.decision import Decision, PolicyReference
from calicod.model.verdict import Reason, Verdict
from calicod.ruleset.program import CompiledPolicy, CompiledRule

PROFILE_TIER = "__PROFILE__"
SHORT_KINDS = {
    "NetworkPolicy": "np",
    "GlobalNetworkPolicy": "gnp",
    "StagedNetworkPolicy": "snp",
    "StagedGlobalNetworkPolicy": "sgnp",
    "StagedKubernetesNetworkPolicy": "sknp",
    "KubernetesNetworkPolicy": "knp",
    "KubernetesClusterNetworkPolicy": "kcnp",
    "KubernetesAdminNetworkPolicy": "kanp",
    "KubernetesBaselineAdminNetworkPolicy": "kbanp",
    "Profile": "pro",
}
DEFAULT_ACTION = -1
"""The rule index of a tier's default action, and of `no profile matched`."""
NO_PROFILE = f"{PROFILE_TIER}|pro:|deny|{DEFAULT_ACTION}"


class Result(msgspec.Struct, frozen=True):
    """Verdict and reason of one stage; `hits` are hit strings without their number; `policy`: the deciding rule."""

    verdict: Verdict
    reason: Reason
    policy: PolicyReference | None
    hits: tuple[str, ...]
    logged: tuple[PolicyReference, ...] = ()


DOWN = Result(Verdict.DROP, Reason.ADMIN_DOWN, None, ())
"""An endpoint that is administratively down (semantics 4.4)."""


def rule_reference(policy: CompiledPolicy, rule: CompiledRule) -> PolicyReference:
    """A rule with the place it was written at."""
    place = rule.place
    return PolicyReference(policy.kind, policy.tier, policy.namespace, policy.name, rule.index, place.file, place.line)


def default_reference(policy: CompiledPolicy) -> PolicyReference:
    """The tier's default action, told of the last policy that was tried."""
    place = policy.place
    return PolicyReference(
        policy.kind, policy.tier, policy.namespace, policy.name, DEFAULT_ACTION, place.file, place.line
    )


def hit(policy: CompiledPolicy, action: str, index: int) -> str:
    """`tier|kind:[namespace/]name|action|index`.

    >>> hit(CompiledPolicy(kind="NetworkPolicy", tier="default", namespace="ns", name="web"), "allow", 0)
    'default|np:ns/web|allow|0'
    """
    name = f"{policy.namespace}/{policy.name}" if policy.namespace else policy.name
    return f"{policy.tier}|{SHORT_KINDS.get(policy.kind, policy.kind)}:{name}|{action}|{index}"


def decided(
    policy: CompiledPolicy, rule: CompiledRule, hits: tuple[str, ...], logged: tuple[PolicyReference, ...]
) -> Result:
    """An Allow or Deny rule ended the stage."""
    verdict = Verdict.ACCEPT if rule.action is Action.ALLOW else Verdict.DROP
    reason = Reason.PROFILE if policy.tier == PROFILE_TIER else Reason.RULE
    return Result(
        verdict, reason, rule_reference(policy, rule), (*hits, hit(policy, verdict.value, rule.index)), logged
    )


def undecided(hits: tuple[str, ...], logged: tuple[PolicyReference, ...]) -> Result:
    """Nobody decided in a phase that leaves it to the next (semantics 4.8, 4.10)."""
    return Result(Verdict.ACCEPT, Reason.NO_VERDICT, None, hits, logged)


def combine(path: Path, results: Sequence[Result]) -> Decision:
    """The Decision of a path from the results of the stages that were run."""
    index = deciding(results)
    last = results[index]
    stage: Stage = path.stages[index]
    verdict, reason, policy = last.verdict, last.reason, last.policy
    if path.closing is not None and verdict is Verdict.ACCEPT:
        verdict, reason, policy = Verdict.DROP, path.closing, None  # the rule that allowed did not decide
    hits = [text for result in results for text in result.hits]
    return Decision(
        verdict=verdict,
        reason=reason,
        policy=policy,
        trace=tuple(f"{number}|{text}" for number, text in enumerate(hits)),
        logged=tuple(reference for result in results for reference in result.logged),
        reporter=stage.reporter,
        endpoint=stage.endpoint,
    )


def deciding(results: Sequence[Result]) -> int:
    """The last stage that came to a verdict; without one the last."""
    for index in range(len(results) - 1, -1, -1):
        if results[index].reason is not Reason.NO_VERDICT:
            return index
    return len(results) - 1
