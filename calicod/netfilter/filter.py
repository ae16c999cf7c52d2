"""The chains of filter: those that its hooks share, then each hook's own.

Law: every packet that reaches the queue chain gets to a queue, or is dropped and counted.
"""

from collections.abc import Iterable
from types import MappingProxyType

from calicod.model.network import family_of, format_address
from calicod.model.protocol import SCTP, TCP, UDP, UDPLITE
from calicod.model.steering import FlowKind
from calicod.netfilter import exempt, forward, input, output
from calicod.netfilter.plan import DROP_INVALID, QUEUE, REJECT, Plan
from calicod.netfilter.table import PREFIX, Chain

ABOUT = f"{PREFIX}about"
"""Nothing jumps there: its only rule is a comment that tells the generation to a supervisor that starts."""

DENIED, ALLOWED, ASK = f"{PREFIX}denied", f"{PREFIX}allowed", f"{PREFIX}ask"
PORT_MATCHES = MappingProxyType({TCP: "tcp", UDP: "udp", SCTP: "sctp", UDPLITE: "udplite"})
SYN = "--tcp-flags FIN,SYN,RST,ACK SYN"

GENERATION_WORD = "generation"

UNREACHABLE = MappingProxyType({4: "icmp-port-unreachable", 6: "icmp6-port-unreachable"})


def chains(plan: Plan) -> tuple[Chain, ...]:
    """Dispatch, judgement, queue and stamp of the three hooks."""
    about = f'-m comment --comment "{GENERATION_WORD} {plan.steering.generation}" -j RETURN'
    failsafes = exempt.failsafe_chain(plan.steering)
    return (
        Chain(ABOUT, (about,)),
        Chain(DROP_INVALID, ("-j DROP",), lasting=True),
        reject(plan),
        denied(plan),
        queue(plan),
        allowed(plan),
        ask(plan),
        plan.chain(failsafes.name, *failsafes.rules),
        *input.chains(plan),
        *forward.chains(plan),
        *output.chains(plan),
    )


def queue(plan: Plan) -> Chain:
    """What the kernel remembers first, then into a queue."""
    new = f"-p tcp -m conntrack --ctstate NEW -m connmark --mark 0x0/{plan.marks.judged | plan.marks.filter_stage:#x}"
    return plan.chain(
        QUEUE,
        *plan.invalid(),
        *plan.about_flow(),
        *((f"{new} -g {ALLOWED}",) if plan.remembers else ()),
        f"-g {ASK}",
    )


def ask(plan: Plan) -> Chain:
    """Into the queue of the packet's direction."""
    steering, marks = plan.steering, plan.marks
    original, reply = steering.queues(0)
    # what an early rule has allowed meets less policy than what the memory was learned from
    plain = f"-m mark --mark 0x0/{marks.evidence:#x} " if plan.prednat else ""
    return plan.chain(
        ASK,
        *((f"{plain}-m conntrack --ctstate NEW -j {DENIED}",) if steering.denied else ()),
        *plan.tell_untracked(),
        f"-m conntrack --ctdir REPLY {plan.into(reply)}",
        plan.into(original),
    )


def denied(plan: Plan) -> Chain:
    """Refusals that a flood made the kernel remember, one rule each, in their order. Of TCP only what begins a flow."""
    kinds = of_family(plan.steering.denied, plan.family)
    return plan.chain(DENIED, *(f"{_beginning(kind)} -j DROP" for kind in kinds))


def allowed(plan: Plan) -> Chain:
    """Flows that the kernel stamps by itself, one rule each."""
    kinds = of_family(plan.steering.allowed, plan.family) if plan.remembers else ()
    hooks = ((kind, forward.FORWARD if kind.out_interface else input.IN) for kind in kinds)
    rules = [f"{_beginning(kind)} -g {hook}-tell" for kind, hook in hooks]
    return plan.chain(ALLOWED, *rules, f"-g {ASK}")


def of_family(kinds: Iterable[FlowKind], family: int) -> tuple[FlowKind, ...]:
    """Those of one family."""
    return tuple(kind for kind in kinds if family_of(kind.src) == family)


def _beginning(kind: FlowKind) -> str:
    """The match on a packet that begins such a flow."""
    out = f"-o {kind.out_interface} " if kind.out_interface else ""
    name = PORT_MATCHES[kind.protocol]
    syn = f" {SYN}" if kind.protocol == TCP else ""
    source, target = (f"{format_address(end)}/{len(end) * 8}" for end in (kind.src, kind.dst))
    ends = f"-s {source} -d {target} -i {kind.in_interface} {out}"
    return f"{ends}-p {name} -m {name} --dport {kind.dport}{syn}"


def reject(plan: Plan) -> Chain:
    """The answer to a sender that policy refuses. What conntrack calls INVALID gets none, and costs nothing else."""
    return plan.chain(
        REJECT,
        plan.clear_marks,
        "-m conntrack --ctstate INVALID -j DROP",
        "-p tcp -j REJECT --reject-with tcp-reset",
        f"-j REJECT --reject-with {UNREACHABLE[plan.family]}",
    )
