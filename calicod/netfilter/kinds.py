"""Kinds of flows that the kernel decides by itself, as rules: what it remembers of what policy said (ADR 0022, 0025).

Law: what was learned where packets come to this host speaks for no packet that is forwarded, whatever its addresses,
nor the other way round; nor for one that may be read in two ways, which comes to the queue by another way (`input`).
"""

from collections.abc import Iterable, Sequence
from types import MappingProxyType

from calicod.model.network import family_of, format_address
from calicod.model.protocol import SCTP, TCP, UDP, UDPLITE
from calicod.model.steering import FlowKind
from calicod.netfilter.exempt import log
from calicod.netfilter.pattern import Pattern
from calicod.netfilter.plan import Plan
from calicod.netfilter.table import PREFIX, Chain

INPUT = f"{PREFIX}in"
PORT_MATCHES = MappingProxyType({TCP: "tcp", UDP: "udp", SCTP: "sctp", UDPLITE: "udplite"})
SYN = "--tcp-flags FIN,SYN,RST,ACK SYN"


def chain_of(hook: str) -> str:
    """The chain of what the kernel allows by itself there."""
    return f"{hook}-allowed" if hook == INPUT else f"{PREFIX}allowed"


def ask(plan: Plan, hook: str) -> tuple[str, ...]:
    """Where something is remembered: what begins a connection goes there, while neither bears any word of ours.

    It is neither RELATED nor a reply, no stamp is its path's, no worker has judged it, nor would be told more of it.
    """
    marks = plan.marks
    new = f"-m conntrack --ctstate NEW -m connmark --mark 0x0/{marks.judged | marks.filter_stage:#x}"
    new = f"-p tcp -m tcp {SYN} -m mark --mark 0x0/{marks.packet_mask:#x} {new}"
    return (f"{new} -g {chain_of(hook)}",) if _kinds(plan, hook) else ()


def allowed(plan: Plan, hook: str, otherwise: str) -> Chain:
    """Flows that the kernel stamps by itself, one rule each; `otherwise`: the chain of all others."""
    rules = [f"{beginning(kind)} -g {hook}-tell" for kind in _kinds(plan, hook)]
    return plan.chain(chain_of(hook), *rules, f"-g {otherwise}")


def tell(plan: Plan, hook: str, paths: Sequence[Pattern]) -> Chain:
    """Logs and stamps them, as a worker's verdict would: they bear no mark of ours, are neither RELATED nor replies.

    Mostly all of them come by one path, whose stamp needs no test then. Each rule less is one connection in 200 more.
    """
    met = ids(plan, hook, paths)
    stamps = [plan.set(number) for number in met] if len(met) == 1 else plan.stamps(Pattern.incoming, paths)
    rules = (log(plan.steering), *stamps) if met else ()
    return plan.chain(f"{hook}-tell", *rules)


def ids(plan: Plan, hook: str, paths: Sequence[Pattern]) -> set[int]:
    """Of these paths, those by which such flows come."""
    return {next(path.id for path in paths if path.selects(kind.in_interface)) for kind in _kinds(plan, hook)}


def of_family(kinds: Iterable[FlowKind], family: int) -> tuple[FlowKind, ...]:
    """Those of one family."""
    return tuple(kind for kind in kinds if family_of(kind.src) == family)


def beginning(kind: FlowKind) -> str:
    """The match on a packet that begins such a flow."""
    out = f"-o {kind.out_interface} " if kind.out_interface else ""
    name = PORT_MATCHES[kind.protocol]
    syn = f" {SYN}" if kind.protocol == TCP else ""
    source, target = (f"{format_address(end)}/{len(end) * 8}" for end in (kind.src, kind.dst))
    ends = f"-s {source} -d {target} -i {kind.in_interface} {out}"
    return f"{ends}-p {name} -m {name} --dport {kind.dport}{syn}"


def _kinds(plan: Plan, hook: str) -> tuple[FlowKind, ...]:
    if not plan.remembers:
        return ()
    kinds = of_family(plan.steering.allowed, plan.family)
    if hook == INPUT:
        return tuple(kind for kind in kinds if not kind.out_interface)
    return tuple(kind for kind in kinds if kind.out_interface and _asked(plan, kind))


def _asked(plan: Plan, kind: FlowKind) -> bool:
    """Nothing is touched that passes between interfaces that nobody asks about."""
    return plan.forwards(kind.in_interface) or plan.forwards(kind.out_interface)
