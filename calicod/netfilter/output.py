"""The chains of OUTPUT in filter: what the host itself sends, and what it sends to itself, for both directions.

Law: what it sends to a workload is subject to no policy: stamped at once, so that replies match, with an id of its own:
an unprivileged process chooses the interface of each datagram (IP_PKTINFO). But for TCP that conntrack met in the
middle: it may answer what the workload called, and that is judged.
"""

from functools import partial

from calicod.model.marks import TO_WORKLOAD_ID
from calicod.netfilter import exempt, postrouting
from calicod.netfilter.pattern import Pattern
from calicod.netfilter.plan import QUEUE, Plan
from calicod.netfilter.table import PREFIX, Chain

OUT = f"{PREFIX}out"


def chains(plan: Plan) -> tuple[Chain, ...]:
    """Those of OUTPUT."""
    host, work, itself = f"{OUT}-host", f"{OUT}-work", f"{OUT}-itself"
    tests = partial(plan.tests, Pattern.outgoing)
    looped = tests(plan.itself, itself, itself)
    enter = [f"{pattern.outgoing()}-g {OUT}-judge" for pattern in plan.itself]
    return (
        plan.chain(
            OUT,
            f"{postrouting.TRANSLATED} -g {OUT}-later",
            *enter,
            *plan.dispatch(Pattern.outgoing, f"{OUT}-judge", work),
        ),
        postrouting.put_off(plan),
        plan.judge(OUT, (*looped, *tests(plan.sent, host, host))),
        plan.chain(
            work,
            *plan.verdicts(OUT),
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


def _asked_of_itself(plan: Plan) -> tuple[str, ...]:
    failsafes = exempt.failsafes_to_itself(plan.steering, plan.family)
    answers = exempt.answers(plan.steering, plan.family)
    return (*exempt.host_errors(plan.family), *answers, *plan.invalid(), *failsafes, f"-g {QUEUE}")
