"""The chains of raw: before connection tracking.

Law: the generation is in no rule here. Workloads send only from addresses that are routed to them, or were granted.
"""

from calicod.model.network import Network
from calicod.netfilter.plan import DROP_SPOOFED, Plan
from calicod.netfilter.table import PREFIX, Chain

RAW = f"{PREFIX}raw"


def chains(plan: Plan) -> tuple[Chain, ...]:
    """Clears our packet bits, and drops what is spoofed."""
    rules = [f"-i {pattern.match} -j RETURN" for pattern in plan.like]
    for workload in plan.steering.forwarding_workloads:
        granted = (net for net in workload.prefixes if net.family == plan.family)
        rules += [f"{_source(net)}-i {workload.name} -j RETURN" for net in granted]
    rules += [f"{pattern.incoming()}-m rpfilter --invert -j {DROP_SPOOFED}" for pattern in plan.cover]
    return (
        Chain(DROP_SPOOFED, ("-j DROP",), lasting=True),
        plan.chain(RAW, plan.clear_marks, *rules),
    )


def _source(net: Network) -> str:
    return f"-s {net} " if net.length else ""
