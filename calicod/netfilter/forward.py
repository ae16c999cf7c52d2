"""The chains of FORWARD in filter: what the host routes from or to workloads.

Law: no failsafe and no discovery passes here.
"""

from calicod.netfilter.pattern import Pattern
from calicod.netfilter.plan import QUEUE, Plan
from calicod.netfilter.table import PREFIX, Chain

FORWARD = f"{PREFIX}fwd"


def chains(plan: Plan) -> tuple[Chain, ...]:
    """Only packets with a workload on either side; hosts judge nothing that is forwarded."""
    judge = f"{FORWARD}-judge"
    enter = []
    for host in plan.like:
        enter += [f"-i {host.match} -o {other.match} -j RETURN" for other in plan.like]
        enter += [f"-i {host.match} -o {pattern.match} -g {judge}" for pattern in plan.cover]
        enter.append(f"-i {host.match} -j RETURN")
    enter += [f"{pattern.incoming()}-g {judge}" for pattern in plan.cover]
    enter += [f"-o {host.match} -j RETURN" for host in plan.like]
    enter += [f"{pattern.outgoing()}-g {judge}" for pattern in plan.cover]
    return (
        plan.chain(FORWARD, *enter),
        plan.judge(FORWARD, plan.tests(Pattern.incoming, plan.routed, QUEUE, QUEUE)),
        plan.chain(f"{FORWARD}-reply", *plan.tests(Pattern.outgoing, plan.routed, QUEUE, QUEUE)),
        plan.stamp(FORWARD, plan.stamps(Pattern.incoming, plan.routed)),
        plan.chain(f"{FORWARD}-back", *plan.stamps(Pattern.outgoing, plan.routed)),
    )
