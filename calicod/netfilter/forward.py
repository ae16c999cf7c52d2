"""The chains of FORWARD in filter: what the host routes from or to workloads, or by host endpoints that judge that.

Law: no failsafe and no discovery passes here. Between interfaces that nobody asks about nothing is touched.
"""

from calicod.netfilter import kinds, stamped
from calicod.netfilter.pattern import Pattern
from calicod.netfilter.plan import QUEUE, Plan
from calicod.netfilter.stamped import Way
from calicod.netfilter.table import PREFIX, Chain

FORWARD = f"{PREFIX}fwd"
UNSTAMPED = f"{FORWARD}-unstamped"


def chains(plan: Plan) -> tuple[Chain, ...]:
    """Those of FORWARD."""
    judge = f"{FORWARD}-judge"
    asked = _all_but(plan, judge) if plan.rest.forward else _only(plan, judge)
    return (
        *(_first(plan) if asked else (plan.chain(FORWARD),)),
        plan.chain(UNSTAMPED, *asked),
        *plan.judge(FORWARD, (), plan.tests(Pattern.incoming, plan.routed, QUEUE, QUEUE)),
        plan.chain(f"{FORWARD}-reply", *plan.tests(Pattern.outgoing, plan.routed, QUEUE, QUEUE)),
        plan.verdict(FORWARD),
        plan.stamp(FORWARD, plan.stamps(Pattern.incoming, plan.routed)),
        kinds.tell(plan, FORWARD, plan.routed),
        plan.spared(FORWARD, (Pattern.incoming, plan.routed), (Pattern.outgoing, plan.routed)),
        plan.chain(f"{FORWARD}-back", *plan.stamps(Pattern.outgoing, plan.routed)),
    )


def _first(plan: Plan) -> tuple[Chain, ...]:
    """Here already what bears no verdict: a stamp is valid only where somebody asks, and where nobody asks all return.

    So it is with what the kernel allows by itself: it was asked about by these very interfaces. Each rule that such a
    packet does not meet is one in a hundred of the connections that a host can route.
    """
    bare = f"-m mark --mark 0x0/{plan.marks.evidence:#x}"
    ways = (
        Way(f"{stamped.ORIGINAL} {bare}", Pattern.incoming, plan.routed),
        Way(f"{stamped.REPLY} {bare}", Pattern.outgoing, plan.routed),
    )
    chains = stamped.by_stamp(plan, FORWARD, UNSTAMPED, ways, kinds.ids(plan, FORWARD, plan.routed))
    enter = (f"{match} -g {chain.name}" for match, chain in chains.items())
    return plan.chain(FORWARD, *enter, *kinds.ask(plan, FORWARD), f"-g {UNSTAMPED}"), *chains.values()


def _all_but(plan: Plan, judge: str) -> list[str]:
    """A `*` host endpoint judges all that is forwarded but between interfaces whose own host endpoints do not."""
    spared = (f"-i {one.match} -o {other.match} -j RETURN" for one in plan.sparing for other in plan.sparing)
    return [*spared, f"-g {judge}"]


def _only(plan: Plan, judge: str) -> list[str]:
    """Packets with a workload, or an interface whose host endpoint judges what is forwarded, on either side."""
    enter = []
    for host in plan.sparing:
        enter += [f"-i {host.match} -o {other.match} -j RETURN" for other in plan.sparing]
        enter += [f"-i {host.match} -o {pattern.match} -g {judge}" for pattern in plan.judging]
        enter.append(f"-i {host.match} -j RETURN")
    enter += [f"{pattern.incoming()}-g {judge}" for pattern in plan.judging]
    enter += [f"-o {host.match} -j RETURN" for host in plan.sparing]
    return [*enter, *(f"{pattern.outgoing()}-g {judge}" for pattern in plan.judging)]
