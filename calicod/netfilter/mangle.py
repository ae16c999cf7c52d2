"""The chains of mangle: nobody's marks before filter, and the preDNAT stage.

Law: nobody who may set SO_MARK or restore a connection's mark brings a verdict of ours along: our packet bits are
cleared before each hook of filter, and a packet that comes back from a queue of filter does not pass here again. In
PREROUTING they were cleared in raw. The stage trusts its own bit of the connection mark alone.
"""

from calicod.netfilter import exempt, postrouting
from calicod.netfilter.plan import EXPECTED, Plan
from calicod.netfilter.table import PREFIX, Chain

CLEAR = f"{PREFIX}clear"
PRE = f"{PREFIX}pre"
JUDGE, HOST, WORK, ASK = f"{PRE}-judge", f"{PRE}-host", f"{PRE}-work", f"{PRE}-queue"
STAMP, ADD, ON = f"{PRE}-stamp", f"{PRE}-add", f"{PRE}-on"
REPLY = "-m conntrack --ctdir REPLY"


def chains(plan: Plan) -> tuple[Chain, ...]:
    """Clears our packet bits; asks what policy before DNAT says of what comes in."""
    asking = _stage(plan) if plan.prednat else {}
    names = (PRE, JUDGE, HOST, WORK, ASK, STAMP, ADD, ON)
    return (
        plan.chain(CLEAR, plan.clear_marks, *(_cut(plan) if plan.prednat else ())),
        *(plan.chain(name, *asking.get(name, ())) for name in names),
        *postrouting.chains(plan),
    )


def matches(plan: Plan) -> dict[str, str]:
    """Chain -> the only packets that it does anything to: most have no mark, and pay for no jump."""
    return {CLEAR: "" if plan.prednat else plan.marked, postrouting.POST: plan.marked}


def _stage(plan: Plan) -> dict[str, tuple[str, ...]]:
    """A packet of the original direction comes up until the connection bears the stage's own stamp of its path."""
    marks = plan.marks
    failsafes = exempt.prednat_failsafes(plan.steering, plan.family)
    invalid = ("-m conntrack --ctstate INVALID -j DROP",) if plan.steering.drop_invalid else ()
    known = f"-m connmark ! --mark 0x0/{marks.judged | marks.filter_stage:#x}"
    return {
        PRE: _enter(plan),
        JUDGE: (
            f"-m mark --mark {marks.accept:#x}/{marks.accept:#x} -g {STAMP}",
            f"{EXPECTED} -j CONNMARK --set-xmark 0x0/{marks.connection_mask:#x}",
            f"{REPLY} -j RETURN",
            *_tests(plan),
        ),
        HOST: (*exempt.to_host_discovery(plan.family), *invalid, *failsafes, f"-g {ASK}"),
        WORK: (*exempt.workload_neighbours(plan.family), *invalid, *failsafes, f"-g {ASK}"),
        ASK: (
            f"{known} -j MARK --set-xmark {marks.known:#x}/{marks.known:#x}",
            *plan.tell_untracked(),
            plan.into(plan.steering.queues(0)[0]),
        ),
        STAMP: (f"-m conntrack --ctstate RELATED,UNTRACKED -g {ON}", *_stamps(plan)),
        ADD: _add(plan),
        ON: (plan.clear_marks,),
    }


def _enter(plan: Plan) -> tuple[str, ...]:
    """`*` judges what comes by any interface; `lo` is judged in OUTPUT."""
    if plan.steering.wildcard_prednat:
        return "-i lo -j RETURN", f"-g {JUDGE}"
    return tuple(f"{pattern.incoming()}-g {JUDGE}" for pattern in plan.prednat)


def _tests(plan: Plan) -> list[str]:
    """Any workload may send from any link-local address, and conntrack tells no links apart: never trusted."""
    covered = plan.cover if plan.steering.wildcard_prednat and plan.family == exempt.V6 else ()
    rules = []
    for pattern in plan.prednat:
        if pattern.workload and covered:
            rules += [f"-s fe80::/10 {p.incoming()}-g {WORK}" for p in covered]
            covered = ()
        stamp = plan.path(pattern.id, plan.marks.prednat_stage)
        rules.append(f"{pattern.incoming()}-m connmark --mark {stamp} -j RETURN")
        rules.append(f"{pattern.incoming()}-g {WORK if pattern.workload else HOST}")
    return rules


def _stamps(plan: Plan) -> list[str]:
    """What the filter stage knows of this very path stays; that it knew of another, or earlier, is remembered."""
    marks = plan.marks
    kept = f"-m connmark --mark {marks.filter_stage:#x}/{marks.filter_stage:#x}"
    mask = marks.connection_mask & ~marks.judged
    rules = []
    for pattern in plan.prednat:
        side, stamp = pattern.incoming(), marks.stamp(plan.steering.generation, pattern.id)
        rules += [
            f"{side}-m connmark --mark {plan.path(pattern.id)} -g {ADD}",
            f"{side}{kept} -j CONNMARK --set-xmark {marks.judged:#x}/{marks.judged:#x}",
            f"{side}-j CONNMARK --set-xmark {stamp:#x}/{mask:#x}",
            f"{side}-g {ADD}",
        ]
    return rules


def _add(plan: Plan) -> tuple[str, ...]:
    """The worker says whether a rule allowed."""
    marks = plan.marks
    stage, both = marks.prednat_stage, marks.prednat_stage | marks.prednat_rule
    by_rule = f"--mark {marks.prednat:#x}/{marks.prednat:#x}"
    return (
        f"-m mark {by_rule} -j CONNMARK --set-xmark {both:#x}/{both:#x}",
        f"-m mark ! {by_rule} -j CONNMARK --set-xmark {stage:#x}/{both:#x}",
        plan.clear_marks,
    )


def _cut(plan: Plan) -> tuple[str, ...]:
    """What answers on a connection that the stage has cut: the worker could not tell, it sees it behind DNAT."""
    marks = plan.marks
    stage = marks.generation | marks.prednat_stage | marks.prednat_rule
    value = marks.stamp(plan.steering.generation, 0) | marks.prednat_rule
    return (f"{REPLY} -m connmark --mark {value:#x}/{stage:#x} -j DROP",)
