"""The chains of INPUT in filter: what comes to the host by host endpoints, and from workloads.

Law: a failsafe never helps a workload. No stamp is trusted for a workload's link-local address, nor for a packet with
extension headers that the kernel may read otherwise than conntrack did.
"""

from functools import partial

from msgspec.structs import replace

from calicod.model.marks import TO_WORKLOAD_ID
from calicod.netfilter import exempt, kinds, stamped
from calicod.netfilter.pattern import Pattern
from calicod.netfilter.plan import QUEUE, Plan
from calicod.netfilter.stamped import Way
from calicod.netfilter.table import Chain

IN = kinds.INPUT


def chains(plan: Plan) -> tuple[Chain, ...]:
    """Those of INPUT."""
    host, work = f"{IN}-host", f"{IN}-work"
    discovery = exempt.to_host_discovery(plan.family)
    tests = partial(plan.tests, Pattern.incoming)
    others = plan.local[len(plan.like) :]
    local = [replace(pattern, id=pattern.local) for pattern in plan.like]
    local += [replace(pattern, id=TO_WORKLOAD_ID) for pattern in plan.cover]
    local += [pattern for pattern in plan.sent if pattern not in local]
    return (
        plan.chain(IN, *plan.dispatch(Pattern.incoming, f"{IN}-judge", f"{IN}-judge")),
        *plan.judge(
            IN,
            _stamped(plan),
            (*tests(plan.like, host, work), *_unsure(plan, work), *tests(others, host, work)),
            _asked(plan),
        ),
        plan.chain(f"{IN}-reply", *tests(local, host, work)),
        plan.chain(
            host,
            *discovery,
            *plan.invalid(),
            *exempt.to_host_failsafes(plan.steering, plan.family),
            *kinds.ask(plan, IN),
            f"-g {QUEUE}",
        ),
        plan.chain(work, *exempt.workload_discovery(plan.family), *kinds.ask(plan, IN), f"-g {QUEUE}"),
        plan.verdict(IN),
        plan.stamp(IN, plan.stamps(Pattern.incoming, plan.local)),
        kinds.tell(plan, IN, plan.local),
        plan.spared(IN, (Pattern.incoming, plan.local)),
        plan.chain(f"{IN}-back", *plan.stamps(Pattern.incoming, local)),
    )


def _stamped(plan: Plan) -> tuple[str, ...]:
    """A host endpoint without an id of its own for what the host sends has that of all."""
    hosts = (replace(pattern, id=pattern.local) for pattern in plan.managed if pattern not in plan.like)
    like = (replace(pattern, id=pattern.local) for pattern in plan.like)
    work = (replace(pattern, id=TO_WORKLOAD_ID) for pattern in plan.cover)
    ways = (
        Way(stamped.ORIGINAL, Pattern.incoming, plan.local),
        Way(stamped.REPLY, Pattern.incoming, (*like, *work, *hosts)),
    )
    others = f"{IN}-others"
    return (*_unsure(plan, others), *stamped.rules(plan, others, ways))


def _unsure(plan: Plan, work: str) -> list[str]:
    """Any workload may send from any link-local address, and conntrack tells no links apart: never trusted."""
    return [f"-s fe80::/10 {p.incoming()}-g {work}" for p in plan.cover] if plan.family == exempt.V6 else []


def _asked(plan: Plan) -> tuple[str, ...]:
    """What may be read in two ways (packet/ambiguous.py) is asked about packet by packet: options, routing headers."""
    return tuple(f"-m {header} -g {QUEUE}" for header in ("dst", "rt")) if plan.family == exempt.V6 else ()
