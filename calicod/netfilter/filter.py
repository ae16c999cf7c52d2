"""The chains of filter: those that its hooks share, then each hook's own.

Law: every packet that reaches the queue chain gets to a queue, or is dropped and counted.
"""

from types import MappingProxyType

from calicod.netfilter import exempt, forward, input, kinds, output
from calicod.netfilter.plan import DROP_INVALID, QUEUE, REJECT, Plan
from calicod.netfilter.table import PREFIX, Chain

ABOUT = f"{PREFIX}about"
"""Nothing jumps there: its only rule is a comment that tells the generation to a supervisor that starts."""

DENIED, ASK = f"{PREFIX}denied", f"{PREFIX}ask"

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
        kinds.allowed(plan, forward.FORWARD, forward.UNSTAMPED),
        kinds.allowed(plan, input.IN, QUEUE),
        ask(plan),
        plan.chain(failsafes.name, *failsafes.rules),
        *input.chains(plan),
        *forward.chains(plan),
        *output.chains(plan),
    )


def queue(plan: Plan) -> Chain:
    """What the worker is told of the connection, then into a queue."""
    return plan.chain(QUEUE, *plan.invalid(), *plan.about_flow(), f"-g {ASK}")


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
    remembered = kinds.of_family(plan.steering.denied, plan.family)
    return plan.chain(DENIED, *(f"{kinds.beginning(kind)} -j DROP" for kind in remembered))


def reject(plan: Plan) -> Chain:
    """The answer to a sender that policy refuses. What conntrack calls INVALID gets none, and costs nothing else."""
    return plan.chain(
        REJECT,
        plan.clear_marks,
        "-m conntrack --ctstate INVALID -j DROP",
        "-p tcp -j REJECT --reject-with tcp-reset",
        f"-j REJECT --reject-with {UNREACHABLE[plan.family]}",
    )
