"""The chains of mangle.

Law: nobody who may set SO_MARK or restore a connection's mark brings a verdict of ours along: our packet bits are
cleared before each hook of filter, and a packet that comes back from a queue of filter does not pass here again.
"""

from calicod.netfilter.plan import Plan
from calicod.netfilter.table import PREFIX, Chain

CLEAR = f"{PREFIX}clear"


def chains(plan: Plan) -> tuple[Chain, ...]:
    """Clears our packet bits."""
    return (plan.chain(CLEAR, plan.clear_marks),)
