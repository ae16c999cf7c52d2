"""The chains of filter: those that its hooks share, then each hook's own.

Law: every packet that reaches the queue chain gets to a queue, or is dropped and counted.
"""

from types import MappingProxyType

from calicod.netfilter import exempt, forward, input, output
from calicod.netfilter.plan import DROP_INVALID, QUEUE, REJECT, Plan
from calicod.netfilter.table import PREFIX, Chain

ABOUT = f"{PREFIX}about"
"""Nothing jumps there: its only rule is a comment that tells the generation to a supervisor that starts."""

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
        queue(plan),
        plan.chain(failsafes.name, *failsafes.rules),
        *input.chains(plan),
        *forward.chains(plan),
        *output.chains(plan),
    )


def queue(plan: Plan) -> Chain:
    """Into the queue of the packet's direction."""
    steering, marks = plan.steering, plan.marks
    original, reply = steering.queues(0)
    known = f"-m connmark ! --mark 0x0/{marks.judged | marks.filter_stage:#x}"
    return plan.chain(
        QUEUE,
        *plan.invalid(),
        f"{known} -j MARK --set-xmark {marks.known:#x}/{marks.known:#x}",
        f"{exempt.MET_LATE} -j MARK --set-xmark {marks.picked:#x}/{marks.picked:#x}",
        *plan.tell_untracked(),
        f"-m conntrack --ctdir REPLY {plan.into(reply)}",
        plan.into(original),
    )


def reject(plan: Plan) -> Chain:
    """The answer to a sender that policy refuses. What conntrack calls INVALID gets none, and costs nothing else."""
    return plan.chain(
        REJECT,
        plan.clear_marks,
        "-m conntrack --ctstate INVALID -j DROP",
        "-p tcp -j REJECT --reject-with tcp-reset",
        f"-j REJECT --reject-with {UNREACHABLE[plan.family]}",
    )
