"""What the end of a tier refuses though nobody seems to have meant it.

Law: told only where no policy of the tier can be the one that allows it. Rules are read generously: what could match
under some circumstances counts as matching.
"""

from collections import defaultdict
from collections.abc import Iterator

from calicod.compiler.draft import PolicyDraft
from calicod.compiler.labels import positions_of
from calicod.compiler.lints.dns import DNS
from calicod.compiler.lints.finding import title, warning
from calicod.compiler.lints.rules import directions
from calicod.compiler.lints.scene import Scene
from calicod.compiler.order import tiers_in_order
from calicod.compiler.programs import NEVER_DENIES, phase_of
from calicod.errors import Diagnostic
from calicod.model.action import Action
from calicod.resources.kinds import Policy
from calicod.ruleset.program import Program
from calicod.selector.tree import All

SOMEBODY = 1
"""One endpoint that every policy governs, where the snapshot has none."""


def log_only(scene: Scene) -> Iterator[Diagnostic]:
    """Semantics 4.3: Log goes on, and the end of a tier that has a policy for an endpoint refuses the rest."""
    denying = {tier.name for tier in tiers_in_order(scene.snapshot.tiers, scene.snapshot.policies) if tier.default_deny}
    for number, direction in enumerate(("ingress", "egress")):
        logging = (draft for draft in scene.drafts if draft.only_logs[number] and _may_deny(draft))
        loggers = [draft for draft in logging if draft.policy.tier in denying]
        if not loggers:
            continue
        decided: dict[str, int] = defaultdict(int)
        for draft in scene.drafts:
            if _may_deny(draft) and _decides(draft.policy, number):
                decided[draft.policy.tier] |= _governed(scene, draft)
        for draft in loggers:
            alone = _governed(scene, draft) & ~decided[draft.policy.tier]
            if alone:
                whose = f" of {_name(scene, alone)}" if scene.is_peopled else ""
                message = f"only logs, so the end of tier {draft.policy.tier} denies all {direction}{whose}"
                hint = "add a rule `- action: Allow` or `- action: Pass` behind it"
                yield warning("W063", draft.policy, f"spec.{direction}", message, hint)


def _may_deny(draft: PolicyDraft) -> bool:
    """Early policy leaves open what it does not decide (semantics 4.8), and workloads do not know it."""
    return draft.is_enforced and phase_of(draft.policy) not in NEVER_DENIES


def _decides(policy: Policy, number: int) -> bool:
    _, governs, rules = directions(policy)[number]
    return governs and any(rule.action is not Action.LOG for rule in rules)


def _governed(scene: Scene, draft: PolicyDraft) -> int:
    return draft.governed(scene.population) if scene.is_peopled else SOMEBODY


def _name(scene: Scene, bits: int) -> str:
    first = title(scene.population.subjects[next(positions_of(bits))].endpoint)
    more = bits.bit_count() - 1
    return f"{first} and {more} more" if more else first


def cut_dns(scene: Scene) -> Iterator[Diagnostic]:
    """A workload whose egress policies leave no way to any DNS server, by UDP or TCP."""
    cut: dict[int, int] = defaultdict(int)
    if scene.is_peopled:
        ends = [_cutting(program, scene.drafts) for program in scene.ruleset.programs]
        for position, workload in enumerate(scene.ruleset.workloads):
            last = ends[workload.egress]
            if last is not None:
                cut[last] |= 1 << position
    else:
        last = _cutting_in_general(scene)
        if last is not None:
            cut[last] = SOMEBODY
    for rank, bits in sorted(cut.items()):
        whom = _name(scene, bits) if scene.is_peopled else "the workloads that it selects"
        message = f"no egress rule lets {whom} ask a DNS server (UDP or TCP port {DNS})"
        hint = f"allow UDP and TCP to port {DNS} of the DNS servers, here or in another policy"
        yield warning("W064", scene.drafts[rank].policy, "spec.egress", message, hint)


def _cutting(program: Program, drafts: tuple[PolicyDraft, ...]) -> int | None:
    """The rank of the last policy of the tier that denies DNS; None if none does, or one that speaks of port 53."""
    for tier in program.tiers:
        enforced = [rank for rank in tier.policies if drafts[rank].is_enforced]
        ways = {drafts[rank].dns for rank in enforced}
        if ways & {"allows", "meant"}:
            return None
        if enforced and tier.default_deny and "passes" not in ways:
            return enforced[-1]
    return None


def _cutting_in_general(scene: Scene) -> int | None:
    """The same of one workload that every policy governs: the last that governs whatever workload there is."""
    egress = [
        (rank, draft) for rank, draft in enumerate(scene.drafts) if draft.policy.governs_egress and _may_deny(draft)
    ]
    if any(draft.dns != "refuses" for _, draft in egress):
        return None
    denying = {tier.name for tier in tiers_in_order(scene.snapshot.tiers, scene.snapshot.policies) if tier.default_deny}
    sure = [rank for rank, draft in egress if draft.policy.tier in denying and _governs_workloads(draft.policy)]
    return sure[-1] if sure else None


def _governs_workloads(policy: Policy) -> bool:
    everybody = policy.selector is None or isinstance(policy.selector, All)
    return bool(policy.metadata.namespace) or everybody
