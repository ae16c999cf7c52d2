"""What preDNAT policy says of live connections after a change: the kernel asks about the original direction alone.

Law: each connection of an interface that is judged before DNAT is asked about by the packet that its client sent, its
destination before DNAT; what is allowed keeps that word for its replies, what is refused is cut in both directions, and
what cannot be placed has no word any more. Told is what was cut.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from calicod.daemon.farewell import FindRoute, Placing
from calicod.engine.bitmap import BitmapEngine
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.marks import UNMANAGED_ID, WORKLOAD_ID, MarkLayout, gather
from calicod.model.network import family_of
from calicod.model.record import Record
from calicod.model.steering import Steering
from calicod.model.verdict import Reason, Verdict
from calicod.netfilter import conntrack
from calicod.netfilter.flow import Flow
from calicod.netfilter.routes import Routes
from calicod.packet.value import Packet
from calicod.ruleset.enforcement import Enforcement


class Word(msgspec.Struct, frozen=True):
    """What is to be written of a flow: bits of the connection mark, under a mask; `cut`: why, if it was allowed."""

    flow: Flow
    mark: int
    mask: int
    cut: Record | None = None


def asked_ids(steering: Steering) -> frozenset[int]:
    """Interface ids of the paths that are judged before DNAT."""
    ids = {nic.id for nic in steering.nics if nic.prednat}
    if steering.wildcard_prednat:
        ids |= {workload.id for workload in steering.forwarding_workloads} | {WORKLOAD_ID, UNMANAGED_ID}
    return frozenset(ids)


def words(
    flows: Iterable[Flow], enforcement: Enforcement, steering: Steering, find_route: FindRoute, *, keep: bool
) -> Iterator[Word]:
    """For each flow that was not asked about under the present generation. `keep`: what was allowed stays so."""
    marks, ids = steering.marks, asked_ids(steering)
    placing = Placing(enforcement, steering, find_route)
    engine = BitmapEngine(enforcement.ruleset, enforcement.interfaces)
    stage = marks.prednat_stage | marks.prednat_rule
    for flow in flows:
        number = gather(flow.mark, marks.interface)
        current = gather(flow.mark, marks.generation) == steering.generation
        if number not in ids or (current and flow.mark & stage):
            continue
        incoming = placing.incoming(flow.original.src, number)
        decision = engine.decide(asked(flow), Hook.PREROUTING, incoming, "") if incoming else None
        allows = decision is not None and decision.verdict is Verdict.ACCEPT
        if current and keep and flow.mark & marks.filter_stage:
            yield Word(flow, marks.prednat_stage, stage)
        elif decision is None or allows:
            bits = said(decision, marks)
            judged = marks.judged if flow.mark & (marks.judged | marks.filter_stage) else 0
            whole = marks.stamp(steering.generation, number) | bits | judged
            yield Word(flow, bits, stage) if current else Word(flow, whole, marks.connection_mask)
        else:
            mark = marks.stamp(steering.generation, number) | marks.prednat_rule | marks.judged
            cut = record(flow, decision, incoming) if flow.mark & (marks.judged | marks.filter_stage) else None
            yield Word(flow, mark, marks.connection_mask, cut)


def said(decision: Decision | None, marks: MarkLayout) -> int:
    """The stage's bits of what it allows; none of what it could not be asked about."""
    if decision is None:
        return 0
    return marks.prednat_stage | (marks.prednat_rule if decision.reason is Reason.RULE else 0)


def asked(flow: Flow) -> Packet:
    """The first packet as PREROUTING saw it."""
    original = flow.original
    ports = original.sport, original.dport
    return Packet(
        family_of(original.src),
        original.protocol,
        original.src,
        original.dst,
        *ports,
        original.icmp_type,
        original.icmp_code,
    )


def record(flow: Flow, decision: Decision, incoming: str) -> Record:
    """As a worker tells it, with the ends by which the flow was told when it was allowed."""
    original, reply = flow.original, flow.reply
    return Record(
        time.time_ns(),
        msgspec.msgpack.encode(decision),
        Hook.PREROUTING,
        incoming,
        "",
        original.protocol,
        original.src,
        reply.src,
        original.sport,
        reply.sport,
        original.icmp_type,
        original.icmp_code,
        known=True,
        icmp_id=original.icmp_id,
    )


def recall(enforcement: Enforcement, steering: Steering, *, keep: bool) -> tuple[Record, ...]:
    """Asks about live connections and writes what is said; returns what was cut. Raises CalicodError or OSError."""
    if not asked_ids(steering):
        return ()
    routes = Routes()
    try:
        found = tuple(words(conntrack.dump(), enforcement, steering, routes.find, keep=keep))
    finally:
        routes.close()
    by_mark: dict[tuple[int, int], list[Flow]] = defaultdict(list)
    for word in found:
        by_mark[word.mark, word.mask].append(word.flow)
    for (mark, mask), flows in by_mark.items():
        conntrack.set_marks(flows, mark, mask)
    return tuple(word.cut for word in found if word.cut is not None)
