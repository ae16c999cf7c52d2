"""All rules at once: one integer of rule bits per field value, intersected; the lowest bit wins.

Law: for every packet the same Decision as the linear engine's. A Decision is made once for each path and way through
the rules, and shared: who receives one may remember what he made of it by its identity, for as long as he keeps it.
What is remembered is bounded for the engine as a whole, so that no sender can make it grow.
"""

from collections.abc import Callable, Iterable
from functools import cached_property, partial

from calicod.engine.cluster import Cluster, join
from calicod.engine.ends import Ends
from calicod.engine.flat import flatten
from calicod.engine.memory import MAX_WAYS, Memory
from calicod.engine.path import EXEMPT_VERDICTS, NOT_JUDGED, Path, Stage, exempt, exempted, suspects
from calicod.engine.pending import asks, enforced_only, foretold, has_staged
from calicod.engine.result import DOWN, Result, combine
from calicod.engine.runner import Run, runner, twins
from calicod.engine.way import Leg, Way, at, paths_of, up_to
from calicod.fields.bounded import Bounded
from calicod.fields.sets import Sets
from calicod.model.decision import Decision
from calicod.model.hook import Direction, Hook
from calicod.model.interface import Interface
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import RuleSet
from calicod.ruleset.topology import resolve

Decide = Callable[[Packet], Decision]
"""One path, or several in turn."""
SPARED = partial(at, spared=True)
"""An untracked or preDNAT rule has allowed the packet."""


class Side:
    """A way as it is and, made when it is first asked for, as it would be if staged policies were enforced.

    `staged`: its paths that have such policies.
    """

    def __init__(self, enforced: Decide, staged: tuple[Path, ...], make: Callable[[], Decide]) -> None:
        self.enforced = enforced
        self.staged = staged
        self._suspects = frozenset.intersection(*map(suspects, staged)) if staged else frozenset[int]()
        self._make = make

    @cached_property
    def would(self) -> Decide:
        """The judge of the pending evaluation."""
        return self._make()

    def asks(self, packet: Packet, ruleset: RuleSet) -> bool:
        """A path with staged policies asks policy about the packet."""
        if not packet.fragment and packet.protocol not in self._suspects:
            return bool(self.staged)
        return asks(ruleset, self.staged, packet)


class BitmapEngine:
    """Judges packets by one RuleSet on these interfaces. Programs are made ready when they are first run.

    `former`: an engine whose place this one takes; what it worked out about IP sets is used again if they are equal.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        interfaces: Iterable[Interface],
        former: "BitmapEngine | None" = None,
        memory: Memory | None = None,
    ) -> None:
        self.ruleset = ruleset
        self.enforced = enforced_only(ruleset)
        self.topology = resolve(ruleset, interfaces)
        self._memory = memory or Memory()
        same = former is not None and former.ruleset.ip_sets == ruleset.ip_sets
        self.sets: Sets = former.sets if former is not None and same else Sets(ruleset.ip_sets)
        # by id(): an Enum's own hash is a Python function; its members, like the functions, are there for ever
        self._ways: Bounded[tuple[int, int, str, str], Decide] = Bounded(MAX_WAYS)
        self._has_staged = any(policy.staged for policy in ruleset.policies)
        self._runners: dict[tuple[int, Direction], tuple[Run, Run]] = {}
        self._known: dict[int, Side] = {}
        self._leaving: dict[bytes, Side] = {}
        self._arriving: dict[bytes, Side] = {}
        self._nobody = Side(lambda _: NOT_JUDGED, (), lambda: lambda _: NOT_JUDGED)
        self._judges = 0

    def decide(
        self, packet: Packet, hook: Hook, in_interface: str, out_interface: str, *, spared: bool = False
    ) -> Decision:
        """At a hook alone; interfaces by name, "" where it has none. `spared`: an early rule has allowed the packet."""
        return self.judge_at(hook, in_interface, out_interface, spared=spared)(packet)

    def decide_way(self, packet: Packet, hook: Hook, in_interface: str, out_interface: str) -> Decision:
        """The decision for a packet on its whole way to a hook and past it."""
        return self.judge_way(hook, in_interface, out_interface)(packet)

    def judge_at(self, hook: Hook, in_interface: str, out_interface: str, *, spared: bool = False) -> Decide:
        """What `decide` asks at this hook between these interfaces, for whoever asks it of many packets."""
        return self._judge_of(SPARED if spared else at, hook, in_interface, out_interface)

    def judge_way(self, hook: Hook, in_interface: str, out_interface: str) -> Decide:
        """What `decide_way` asks."""
        return self._judge_of(up_to, hook, in_interface, out_interface)

    def _judge_of(self, find: Callable[..., Way], hook: Hook, in_interface: str, out_interface: str) -> Decide:
        key = (id(find), id(hook), in_interface, out_interface)
        judge = self._ways.get(key)
        if judge is None:
            where, rulesets = (self.topology, hook, in_interface, out_interface), (self.enforced, self.ruleset)
            judge = self._ways.keep(key, self._in_full(self._side(*(find(r, *where) for r in rulesets))))
        return judge

    def decide_cluster(self, packet: Packet) -> Decision:
        """The decision of the whole cluster: out of the source's endpoint, then into the destination's."""
        if packet.src == packet.dst:
            return NOT_JUDGED
        first = self._leaving.get(packet.src) or self._leave(packet.src)
        second = self._arriving.get(packet.dst) or self._arrive(packet.dst)
        decision = first.enforced(packet)
        if decision.verdict is Verdict.ACCEPT:
            decision = self._join(decision, second.enforced(packet))
        if not (first.staged or second.staged):
            return decision
        would = first.would(packet)
        if would.verdict is Verdict.ACCEPT:
            would = self._join(would, second.would(packet))
        told = would.verdict is not decision.verdict or any(side.asks(packet, self.ruleset) for side in (first, second))
        return self._foretell(decision, would) if told else decision

    @cached_property
    def ends(self) -> Ends:
        """The ends of packets between workloads, for whoever wants no Decision."""
        return Ends(self.ruleset, self._clusters, self._runs_of)

    @cached_property
    def _clusters(self) -> tuple[Cluster, Cluster]:
        """The ways as they are, and as they would be if staged policies were enforced."""
        whole = Cluster(self.ruleset)
        return whole if self.enforced is self.ruleset else Cluster(self.enforced), whole

    def _leave(self, address: bytes) -> Side:
        """Out of an endpoint; what is remembered are its own addresses, not those that somebody sends."""
        cluster, whole = self._clusters
        if address not in cluster.leaving:
            return self._nobody
        side = self._leaving[address] = self._know(cluster.leaving[address], whole.leaving[address])
        return side

    def _arrive(self, address: bytes) -> Side:
        """Into an endpoint, as above."""
        cluster, whole = self._clusters
        if address not in cluster.arriving:
            return self._nobody
        side = self._arriving[address] = self._know(cluster.arriving[address], whole.arriving[address])
        return side

    def _know(self, way: Way, would: Way) -> Side:
        """One for all addresses of an endpoint."""
        side = self._known.get(id(way))  # ways live as long as the Cluster that holds them
        if side is None:
            side = self._known[id(way)] = self._side(way, would)
        return side

    def _join(self, first: Decision, second: Decision) -> Decision:
        key = (id(first), id(second))
        found = self._memory.joined.get(key) or self._memory.joined.keep(key, (join(first, second), first, second))
        return found[0]

    def _foretell(self, decision: Decision, would: Decision) -> Decision:
        key, memory = (id(decision), id(would)), self._memory.foretold
        found = memory.get(key) or memory.keep(key, (foretold(decision, would), decision, would))
        return found[0]

    def _side(self, way: Way, would: Way) -> Side:
        staged = tuple(path for path in paths_of(would) if has_staged(self.ruleset, path))
        return Side(self._judge_way(way, pending=False), staged, partial(self._judge_way, would, pending=True))

    def _in_full(self, side: Side) -> Decide:
        enforced, ruleset, asks_policy = side.enforced, self.ruleset, side.asks
        if not side.staged:
            return enforced
        would = side.would

        def decide(packet: Packet) -> Decision:
            decision, foreseen = enforced(packet), would(packet)
            told = foreseen.verdict is not decision.verdict or asks_policy(packet, ruleset)
            return self._foretell(decision, foreseen) if told else decision

        return decide

    def _judge_way(self, way: Way, *, pending: bool) -> Decide:
        first, *others = [self._judge_leg(leg, pending=pending) for leg in way]
        if not others:
            return first

        def decide(packet: Packet) -> Decision:
            told = first(packet)
            for judge in others:
                if told.verdict is not Verdict.ACCEPT:
                    break
                told = self._join(told, judge(packet))
            return told

        return decide

    def _judge_leg(self, leg: Leg, *, pending: bool) -> Decide:
        """Early paths until one denies, or a rule of one allows and spares the packet what comes behind."""
        last = self._judge(leg.path, pending=pending)
        if not leg.early:
            return last
        early = [self._judge(path, pending=pending) for path in leg.early]
        spared = self._judge(leg.spared, pending=pending)

        def decide(packet: Packet) -> Decision:
            told = NOT_JUDGED
            for judge in early:
                found = judge(packet)
                told = self._join(told, found)
                if found.verdict is not Verdict.ACCEPT:
                    return told
                if found.reason is Reason.RULE:
                    return self._join(told, spared(packet))
            return self._join(told, last(packet))

        return decide

    def _judge(self, path: Path, *, pending: bool) -> Decide:
        if path.fixed is not None:
            fixed = path.fixed
            return lambda _: fixed
        self._judges += 1
        runs = [self._run_of(stage, pending=pending) for stage in path.stages]
        return judge(self._judges, path, self.ruleset, runs, self._memory)

    def _run_of(self, stage: Stage, *, pending: bool) -> Run:
        if not stage.active:
            return lambda _: DOWN
        return self._runs_of(stage)[pending]

    def _runs_of(self, stage: Stage) -> tuple[Run, Run]:
        """As it is, and as it would be if staged policies were enforced."""
        key = (stage.program, stage.direction)
        if key not in self._runners:
            program, number = self.ruleset.programs[stage.program], len(self._runners)
            flat = flatten(self.ruleset, program, stage.direction, pending=self._has_staged)
            if self._has_staged:
                self._runners[key] = twins(number, flat, self.sets, self._memory)
            else:
                run = runner(number, flat, self.sets, self._memory)
                self._runners[key] = run, run
        return self._runners[key]


def judge(number: int, path: Path, ruleset: RuleSet, runs: list[Run], memory: Memory) -> Decide:
    """The function that judges the packets of one path."""
    suspicious = suspects(path)
    early = {reason: exempted(path, reason) for reason in EXEMPT_VERDICTS}
    made = memory.made
    first, second, more = runs[0], runs[1] if len(runs) > 1 else None, runs[2:]

    def make(key: tuple[int, ...], *results: Result) -> Decision:
        return made.keep(key, (combine(path, results), results))[0]

    def go_on(packet: Packet, *results: Result) -> Decision:
        """The third stage and the fourth: host endpoints that judge what is forwarded."""
        for run in more:
            if results[-1].verdict is not Verdict.ACCEPT:
                break
            results = (*results, run(packet))
        key = (number, *map(id, results))
        found = made.get(key)
        return found[0] if found is not None else make(key, *results)

    def decide(packet: Packet) -> Decision:
        if packet.fragment or packet.protocol in suspicious:
            reason = exempt(path, packet, ruleset)
            if reason is not None:
                return early[reason]
        result = first(packet)
        if second is None or result.verdict is not Verdict.ACCEPT:
            key = (number, id(result))
            found = made.get(key)
            return found[0] if found is not None else make(key, result)
        last = second(packet)
        if more:
            return go_on(packet, result, last)
        both = (number, id(result), id(last))
        found = made.get(both)
        return found[0] if found is not None else make(both, result, last)

    return decide
