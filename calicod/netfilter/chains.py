"""The rules of one address family for a Steering: which packets reach the queues, and which the kernel answers alone.

Law: a packet passes unjudged only by a current stamp of its own path, by a failsafe or by what `exempt` names; equal
Steerings make equal rules.
"""

from types import MappingProxyType

from msgspec.structs import replace

from calicod.model.steering import Steering
from calicod.netfilter import filter, mangle, raw
from calicod.netfilter.forward import FORWARD
from calicod.netfilter.input import IN
from calicod.netfilter.mangle import CLEAR, PRE
from calicod.netfilter.output import OUT
from calicod.netfilter.plan import Plan
from calicod.netfilter.postrouting import POST
from calicod.netfilter.raw import RAW, RAW_OUT
from calicod.netfilter.table import Jump, Table

JUMPS = MappingProxyType(
    {
        "raw": (Jump("PREROUTING", RAW), Jump("OUTPUT", RAW_OUT)),
        "mangle": (
            Jump("PREROUTING", PRE),
            *(Jump(hook, CLEAR) for hook in ("INPUT", "FORWARD", "OUTPUT")),
            Jump("POSTROUTING", POST),
        ),
        "filter": (Jump("INPUT", IN), Jump("FORWARD", FORWARD), Jump("OUTPUT", OUT)),
    }
)
"""What leads to our chains, whatever the Steering; which packets, and whether any, depends on it."""


def tables(steering: Steering, family: int) -> tuple[Table, ...]:
    """Our part of raw, mangle and filter, in the order in which they must come into force."""
    plan = Plan(steering, family)
    parts = (("raw", raw.chains(plan)), ("mangle", mangle.chains(plan)), ("filter", filter.chains(plan)))
    matches = {**raw.matches(plan), **mangle.matches(plan)}
    jumps = {name: tuple(replace(j, match=matches.get(j.chain, "")) for j in each) for name, each in JUMPS.items()}
    return tuple(Table(name, chains, jumps[name]) for name, chains in parts)
