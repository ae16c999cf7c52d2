"""The chains of OUTPUT in filter: what the host itself sends, and what it sends to itself, for both directions.

Law: what it sends to a workload is subject to no policy: stamped at once, so that replies match, with an id of its own:
an unprivileged process chooses the interface of each datagram (IP_PKTINFO). But for TCP that conntrack met in the
middle: it may answer what the workload called, and that is judged.
"""

from functools import partial

from msgspec.structs import replace

from calicod.model.marks import TO_WORKLOAD_ID
from calicod.netfilter import exempt, postrouting, stamped
from calicod.netfilter.pattern import Pattern
from calicod.netfilter.plan import QUEUE, Plan
from calicod.netfilter.stamped import Way
from calicod.netfilter.table import PREFIX, Chain

OUT = f"{PREFIX}out"


def chains(plan: Plan) -> tuple[Chain, ...]:
    """Those of OUTPUT."""
    host, work, itself = f"{OUT}-host", f"{OUT}-work", f"{OUT}-itself"
    tests = partial(plan.tests, Pattern.outgoing)
    looped = tests(plan.itself, itself, itself)
    enter = [f"{pattern.outgoing()}-g {OUT}-judge" for pattern in plan.itself]
    first, expected = plan.verdicts(OUT)
    return (
        plan.chain(
            OUT,
            f"{postrouting.TRANSLATED} -g {OUT}-later",
            *enter,
            *plan.dispatch(Pattern.outgoing, f"{OUT}-judge", work),
        ),
        postrouting.put_off(plan),
        *plan.judge(OUT, _stamped(plan), (*looped, *tests(plan.sent, host, host))),
        plan.chain(work, first, *_stamped_for_workloads(plan), f"-g {work}-others"),
        plan.chain(
            f"{work}-others",
            expected,
            *exempt.host_errors(plan.family),
            *exempt.answers(plan.steering, plan.family),
            *plan.invalid(),
            f"-m conntrack --ctdir REPLY -g {OUT}-reply",
            "-m conntrack --ctstate RELATED,UNTRACKED -j RETURN",
            f"{exempt.MET_LATE} -g {QUEUE}",
            plan.set(TO_WORKLOAD_ID),
        ),
        plan.chain(f"{OUT}-reply", *looped, *tests(plan.local, host, QUEUE)),
        plan.chain(
            host,
            *exempt.from_host_discovery(plan.family),
            *exempt.host_errors(plan.family),
            *exempt.answers(plan.steering, plan.family),
            *plan.invalid(),
            *exempt.from_host_failsafes(plan.steering, plan.family),
            f"-g {QUEUE}",
        ),
        plan.chain(itself, *(_asked_of_itself(plan) if plan.itself else ())),
        plan.verdict(OUT),
        plan.stamp(OUT, plan.stamps(Pattern.outgoing, (*plan.itself, *plan.sent))),
        plan.spared(OUT, (Pattern.outgoing, plan.local)),
        plan.chain(f"{OUT}-back", *plan.stamps(Pattern.outgoing, (*plan.itself, *plan.local))),
    )


def _stamped(plan: Plan) -> tuple[str, ...]:
    """A host endpoint without an id of its own for what the host sends has that of all."""
    hosts = (replace(pattern, id=pattern.local) for pattern in plan.managed)
    ways = (
        Way(stamped.ORIGINAL, Pattern.outgoing, (*plan.itself, *hosts)),
        Way(stamped.REPLY, Pattern.outgoing, (*plan.itself, *plan.local), workloads=False),
    )
    return stamped.rules(plan, f"{OUT}-others", ways)


def _stamped_for_workloads(plan: Plan) -> tuple[str, ...]:
    """Of the original direction, where another stamp would change nothing. What is NEW may be met in its middle."""
    stamp = plan.marks.stamp(plan.steering.generation, TO_WORKLOAD_ID) | plan.marks.filter_stage
    sent = f"-m connmark --mark {stamp:#x}/{plan.marks.connection_mask:#x}"
    original = f"{sent} -m conntrack --ctstate ESTABLISHED --ctdir ORIGINAL -j RETURN"
    answered = Way(stamped.REPLY, Pattern.outgoing, tuple(p for p in plan.local if p.workload))
    return (original, *stamped.rules(plan, f"{OUT}-work-others", (answered,)))


def _asked_of_itself(plan: Plan) -> tuple[str, ...]:
    failsafes = exempt.failsafes_to_itself(plan.steering, plan.family)
    answers = exempt.answers(plan.steering, plan.family)
    return (*exempt.host_errors(plan.family), *answers, *plan.invalid(), *failsafes, f"-g {QUEUE}")
