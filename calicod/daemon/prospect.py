"""Which live flows another policy would cut.

Law: a look, never a change. A flow counts when the policy in force lets it pass, judged or not; it is cut when the
other one refuses its first packet on the path that it has now. What has no certain path is counted, never guessed.
"""

import time
from collections.abc import Iterable
from typing import Literal

import msgspec

from calicod.daemon.farewell import Place, first_packet
from calicod.daemon.live import Live
from calicod.daemon.proposal import Cut, Prospect, Session
from calicod.daemon.reroutes import departed
from calicod.engine.bitmap import BitmapEngine
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.network import family_of, parse_address
from calicod.model.protocol import TCP
from calicod.model.steering import Steering
from calicod.model.verdict import Verdict
from calicod.netfilter import conntrack
from calicod.netfilter.flow import DESTINATION_NAT, Flow, FlowTuple
from calicod.netfilter.routes import Routes
from calicod.packet.value import Packet
from calicod.ruleset.enforcement import Enforcement
from calicod.ruleset.program import RuleSet

PATIENCE_SECONDS = 5.0
"""How long live flows are judged before a set is applied."""
CUTS_TOLD = 1_000

BEFORE_DNAT = (Hook.RAW_PREROUTING, Hook.PREROUTING)

Fate = Literal["stays", "cut", "not-ours", "unknown"]


class Scales:
    """The policy in force beside another one, on the same paths.

    `spared`: live flows keep their present stamp, but those from and to `leaving`.
    """

    def __init__(
        self, live: Live, coming: Enforcement, *, spared: bool = False, leaving: frozenset[bytes] = frozenset()
    ) -> None:
        self.live = live
        self._spared = spared
        self._leaving = leaving
        self._judges = bool(coming.ruleset.workloads or coming.ruleset.hosts or coming.ruleset.ignored_interfaces)
        self._engine = BitmapEngine(coming.ruleset, coming.interfaces)

    def weigh(self, flow: Flow) -> tuple[Fate, Cut | None]:
        """What becomes of a flow, and how it is told if it is cut."""
        place = self.live.place(flow)
        if place is None:
            return "unknown", None
        now = self.live.decision(flow, place)
        allows = now.verdict is Verdict.ACCEPT
        if not allows and not self.live.current(flow):
            return "not-ours", None
        stays = self._leaving.isdisjoint((flow.original.src, flow.reply.src))
        if self._spared and stays and self.live.current(flow):
            return "stays", None
        coming = self._coming(flow, place)
        if coming is None or coming.verdict is Verdict.ACCEPT:
            return "stays", None
        told = self.live.told(flow, place, now if allows else None)
        return "cut", Cut(flow=told, session=False, reason=coming.reason.value, policy=coming.policy)

    def _coming(self, flow: Flow, place: Place) -> Decision | None:
        """What the other policy says; None: it judges nothing on this host."""
        if not self._judges:
            return None
        way = (place.hook, place.in_interface, place.out_interface)
        if not flow.status & DESTINATION_NAT:
            return self._engine.decide_way(first_packet(flow), *way)
        if place.in_interface:
            sent = as_sent(flow)
            for hook in BEFORE_DNAT:
                early = self._engine.decide(sent, hook, place.in_interface, "")
                if early.verdict is not Verdict.ACCEPT:
                    return early
        return self._engine.decide(first_packet(flow), *way)


def as_sent(flow: Flow) -> Packet:
    """The first packet as it came in: before this host translated its destination."""
    one = flow.original
    family = family_of(one.src)
    return Packet(family, one.protocol, one.src, one.dst, one.sport, one.dport, one.icmp_type, one.icmp_code)


def connection(session: Session) -> Flow:
    """The session as a flow that nobody has judged."""
    src, dst = parse_address(session.src_ip), parse_address(session.dst_ip)
    original = FlowTuple(TCP, src, dst, session.src_port, session.dst_port)
    return Flow(original, FlowTuple(TCP, dst, src, session.dst_port, session.src_port))


def is_session(flow: Flow, session: Flow) -> bool:
    """The flow is the session as this host's own end sees it; one picked up in its middle may be tracked reversed."""
    return flow.reply in {session.reply, session.original}


def prospect(
    flows: Iterable[Flow], scales: Scales, session: Session | None, deadline: float, told: int = CUTS_TOLD
) -> Prospect:
    """Judges the session, then every flow until the deadline (`time.monotonic`)."""
    mine = None if session is None else connection(session)
    cuts: list[Cut] = []
    judged = unjudged = count = 0
    fate_of_session: Fate | None = None
    for flow in flows:
        own = mine is not None and is_session(flow, mine)
        if own or time.monotonic() < deadline:
            fate, cut = scales.weigh(mine if own and mine is not None and flow.reply != mine.reply else flow)
        else:
            fate, cut = "unknown", None
        judged += fate in {"stays", "cut"}
        unjudged += fate == "unknown"
        if own:
            fate_of_session = fate
        if cut is not None:
            cuts.append(msgspec.structs.replace(cut, session=own))
            count += 1
            if len(cuts) >= 2 * told:
                cuts = sorted(cuts, key=weight)[:told]
    if mine is not None and fate_of_session in {None, "unknown"}:
        fate_of_session, cut = scales.weigh(mine)  # before anything is enforced, connections may not be tracked
        if cut is not None:
            cuts.append(msgspec.structs.replace(cut, session=True))
            count += 1
    return Prospect(
        cuts=tuple(sorted(cuts, key=weight)[:told]),
        cut=count,
        flows=judged,
        unjudged=unjudged,
        session=None if fate_of_session is None else SESSION[fate_of_session],
    )


def weight(cut: Cut) -> tuple[bool, int]:
    """The session before all, then the busiest."""
    return not cut.session, -(cut.flow.bytes_to_dst or 0) - (cut.flow.bytes_to_src or 0)


SESSION = {"stays": "allow", "cut": "deny", "not-ours": "unknown", "unknown": "unknown"}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: the policy in force, the one that would be, and the operator's session. `spared`: see Scales."""

    now: Enforcement
    steering: Steering
    coming: RuleSet
    node: str
    session: Session | None
    spared: bool


def look(question: Question) -> Prospect:
    """What would become of every live flow; blocks, for little more than `PATIENCE_SECONDS`. Raises OSError."""
    q = question
    routes = Routes()
    try:
        live = Live(q.now, q.steering, routes.find, q.node, time.time_ns())
        coming, leaving = msgspec.structs.replace(q.now, ruleset=q.coming), departed(q.now.ruleset, q.coming)
        scales = Scales(live, coming, spared=q.spared, leaving=leaving)
        return prospect(conntrack.dump(live=True), scales, q.session, time.monotonic() + PATIENCE_SECONDS)
    finally:
        routes.close()
