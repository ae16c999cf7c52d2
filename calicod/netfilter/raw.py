"""The chains of raw: before connection tracking.

Law: the generation is in no rule here. Workloads send only from addresses that are routed to them, or were granted.
What untracked policy allows is not tracked, and judged again as that wherever filter judges; a verdict is known by its
bits alone, so a process that may set marks may skip a denial here, never gain an allowance (docs/design/threats.md).
"""

from collections.abc import Iterable

from calicod.model.network import Network
from calicod.netfilter import exempt
from calicod.netfilter.plan import DROP_SPOOFED, Plan
from calicod.netfilter.table import PREFIX, Chain

RAW = f"{PREFIX}raw"
RAW_OUT = f"{PREFIX}raw-out"
CAME, SENT = f"{RAW}-came", f"{RAW}-sent"
SPOOFED = "-m rpfilter --invert"
"""What comes by an interface that no route leads back to."""
UNTRACK, TRACK = f"{PREFIX}untrack", f"{PREFIX}track"


def chains(plan: Plan) -> tuple[Chain, ...]:
    """Clears our packet bits, drops what is spoofed, and asks about what a policy without connections judges."""
    came = (*exempt.to_host_discovery(plan.family), *exempt.untracked_failsafes(plan.steering, plan.family, "-s"))
    sent = (*exempt.from_host_discovery(plan.family), *exempt.untracked_failsafes(plan.steering, plan.family, "-d"))
    return (
        Chain(DROP_SPOOFED, ("-j DROP",), lasting=True),
        plan.chain(RAW, *_enter(plan), *_clear(plan), *_spoofed(plan)),
        plan.chain(RAW_OUT, *(f"-o {pattern.match} -g {SENT}" for pattern in plan.untracked_out)),
        plan.chain(CAME, *(_ask(plan, came) if plan.untracked_in else ())),
        plan.chain(SENT, *(_ask(plan, sent) if plan.untracked_out else ())),
        plan.chain(UNTRACK, *((plan.clear_marks, "-j CT --notrack") if plan.untracks else ())),
        plan.chain(TRACK, *((plan.clear_marks,) if plan.untracks else ())),
    )


def matches(plan: Plan) -> dict[str, str]:
    """Chain -> the only packets that it does anything to: mostly those that are spoofed."""
    alone = len(plan.cover) == 1 and not (plan.untracked_in or plan.like or _clear(plan))
    return {RAW: f"{plan.cover[0].incoming()}{SPOOFED}" if alone else ""}


def _clear(plan: Plan) -> tuple[str, ...]:
    """Where something judges in PREROUTING; what judges later has its bits cleared right before it (mangle)."""
    return (plan.clear_marks,) if plan.untracks or plan.prednat else ()


def _enter(plan: Plan) -> list[str]:
    return [f"-i {pattern.match} -g {CAME}" for pattern in plan.untracked_in]


def _spoofed(plan: Plan) -> list[str]:
    rules = [f"-i {pattern.match} -j RETURN" for pattern in plan.like]
    for workload in plan.steering.forwarding_workloads:
        granted = (net for net in workload.prefixes if net.family == plan.family)
        rules += [f"{_source(net)}-i {workload.name} -j RETURN" for net in granted]
    return rules + [f"{pattern.incoming()}{SPOOFED} -j {DROP_SPOOFED}" for pattern in plan.cover]


def _ask(plan: Plan, exempted: Iterable[str]) -> tuple[str, ...]:
    """The verdict first, then what passes without one; no failsafe spares a packet anything later."""
    marks = plan.marks
    return (
        f"-m mark --mark {marks.spare:#x}/{marks.spare:#x} -g {UNTRACK}",
        f"-m mark --mark {marks.accept:#x}/{marks.accept:#x} -g {TRACK}",
        plan.clear_marks,
        *exempted,
        f"-j MARK --set-xmark {marks.before_tracking:#x}/{marks.evidence:#x}",
        plan.into(plan.steering.queues(0)[0]),
    )


def _source(net: Network) -> str:
    return f"-s {net} " if net.length else ""
