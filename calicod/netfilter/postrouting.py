"""The chains of POSTROUTING in mangle: what the host itself sends to a translated destination (semantics 4.7).

Law: OUTPUT shows the interface of the first route, though the destination is the translated one already; only here is
it certain where such a packet leaves. Nothing else is judged here: OUTPUT sends it on by the bit of PREDNAT, which a
process cannot set after mangle OUTPUT. No answer to a refusal is possible here.
"""

from functools import partial

from calicod.model.marks import TO_WORKLOAD_ID
from calicod.netfilter import exempt
from calicod.netfilter.pattern import Pattern
from calicod.netfilter.plan import Plan
from calicod.netfilter.table import PREFIX, Chain

POST = f"{PREFIX}post"
TRANSLATED = "-m conntrack --ctstate DNAT --ctdir ORIGINAL"
"""What the host sends, or forwards, whose destination was translated."""


def chains(plan: Plan) -> tuple[Chain, ...]:
    """As those of OUTPUT for the original direction."""
    judge, host, work, itself, ask = (f"{POST}-{name}" for name in ("judge", "host", "work", "itself", "queue"))
    marks = plan.marks
    tests = partial(plan.tests, Pattern.outgoing)
    late = f"-m mark ! --mark {marks.prednat:#x}/{marks.prednat:#x} -j RETURN"
    passing = (*exempt.host_errors(plan.family), *exempt.answers(plan.steering, plan.family))
    failsafes = exempt.failsafe_chain(plan.steering)
    return (
        plan.chain(POST, f"{TRANSLATED} -g {judge}"),
        plan.chain(
            judge,
            f"-m mark --mark {marks.accept:#x}/{marks.accept:#x} -g {POST}-stamp",
            f"-m mark --mark {marks.reject:#x}/{marks.reject:#x} -j DROP",
            late,
            plan.clear_marks,
            *(f"{pattern.outgoing()}-g {POST}-looped" for pattern in plan.itself),
            *plan.dispatch(Pattern.outgoing, f"{POST}-sent", work),
        ),
        plan.chain(f"{POST}-looped", *tests(plan.itself, itself, itself)),
        plan.chain(f"{POST}-sent", *tests(plan.sent, host, host)),
        plan.chain(host, *passing, *exempt.from_host_failsafes(plan.steering, plan.family), f"-g {ask}"),
        plan.chain(itself, *passing, *exempt.failsafes_to_itself(plan.steering, plan.family), f"-g {ask}"),
        plan.chain(
            work,
            *passing,
            "-m conntrack --ctstate RELATED -j RETURN",
            f"{exempt.MET_LATE} -g {ask}",
            plan.set(TO_WORKLOAD_ID),
        ),
        plan.chain(ask, *plan.about_flow(), plan.into(plan.steering.queues(0)[0])),
        plan.chain(
            f"{POST}-stamp",
            plan.clear_marks,
            "-m conntrack --ctstate RELATED -j RETURN",
            *plan.stamps(Pattern.outgoing, (*plan.itself, *plan.sent)),
        ),
        plan.chain(failsafes.name, *failsafes.rules),
    )


def put_off(plan: Plan) -> Chain:
    """In OUTPUT: judged here."""
    return plan.chain(f"{PREFIX}out-later", f"-j MARK --set-xmark {plan.marks.prednat:#x}/{plan.marks.packet_mask:#x}")
