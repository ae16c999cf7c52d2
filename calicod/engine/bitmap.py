"""All rules at once: one integer of rule bits per field value, intersected; the lowest bit wins.

Law: for every packet the same Decision as the linear engine's. A Decision is made once for each path and way through
the rules, and shared: who receives one may remember what he made of it by its identity, for as long as he keeps it.
What is remembered is bounded for the engine as a whole, so that no sender can make it grow.
"""

from collections.abc import Callable, Iterable
from functools import cached_property, partial

from calicod.engine.cluster import Cluster, join
from calicod.engine.flat import Flat, flatten
from calicod.engine.path import EXEMPT_VERDICTS, NOT_JUDGED, Path, Stage, exempt, exempted, suspects
from calicod.engine.pending import enforced_only, foretold, has_staged, is_told
from calicod.engine.result import DOWN, Result, combine
from calicod.engine.way import Leg, Way, at, paths_of, up_to
from calicod.fields.bounded import Bounded
from calicod.fields.field import Index
from calicod.fields.sets import Sets
from calicod.fields.table import FIELDS
from calicod.model.decision import Decision
from calicod.model.hook import Direction, Hook
from calicod.model.interface import Interface
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import RuleSet
from calicod.ruleset.topology import resolve

Run = Callable[[Packet], Result]
"""One stage."""
Decide = Callable[[Packet], Decision]
"""One path, or several in turn."""
MAX_CLASSES = 65536
"""Combinations of classes that one engine remembers: 16 MB."""
MAX_WAYS = 16384
"""Results and Decisions, each, that one engine remembers: 15 MB."""


class Memory:
    """What one engine remembers of the packets that it judged. Numbers of runners and judges keep their keys apart.

    `results` by classes, one for each field that the runner's rules use; `ways` by the entries taken. `made` by the
    identities of results, `joined` and `foretold` by those of decisions: these are kept with them, so no id is used
    again.
    """

    def __init__(self) -> None:
        self.results: Bounded[tuple[int, ...], Result] = Bounded(MAX_CLASSES)
        self.ways: Bounded[tuple[int, tuple[int, ...]], Result] = Bounded(MAX_WAYS)
        self.made: Bounded[tuple[int, ...], tuple[Decision, tuple[Result, ...]]] = Bounded(MAX_WAYS)
        self.joined: Bounded[tuple[int, int], tuple[Decision, Decision, Decision]] = Bounded(MAX_WAYS)
        self.foretold: Bounded[tuple[int, int], tuple[Decision, Decision, Decision]] = Bounded(MAX_WAYS)


class Side:
    """A way as it is and, made when it is first asked for, as it would be if staged policies were enforced.

    `staged`: its paths that have such policies.
    """

    def __init__(self, enforced: Decide, staged: tuple[Path, ...], make: Callable[[], Decide]) -> None:
        self.enforced = enforced
        self.staged = staged
        self._make = make

    @cached_property
    def would(self) -> Decide:
        """The judge of the pending evaluation."""
        return self._make()


class BitmapEngine:
    """Judges packets by one RuleSet on these interfaces. Programs are made ready when they are first run.

    `former`: an engine whose place this one takes; what it worked out about IP sets is used again if they are equal.
    """

    def __init__(self, ruleset: RuleSet, interfaces: Iterable[Interface], former: "BitmapEngine | None" = None) -> None:
        self.ruleset = ruleset
        self.enforced = enforced_only(ruleset)
        self.topology = resolve(ruleset, interfaces)
        self._memory = Memory()
        same = former is not None and former.ruleset.ip_sets == ruleset.ip_sets
        self.sets: Sets = former.sets if former is not None and same else Sets(ruleset.ip_sets)
        # by id(): an Enum's own hash is a Python function, and its members are there for ever
        self._at: Bounded[tuple[int, str, str], Decide] = Bounded(MAX_WAYS)
        self._up_to: Bounded[tuple[int, str, str], Decide] = Bounded(MAX_WAYS)
        self._runners: dict[tuple[int, Direction, bool], Run] = {}
        self._clusters: tuple[Cluster, Cluster] | None = None
        self._known: dict[int, Side] = {}
        self._judges = 0

    def decide(self, packet: Packet, hook: Hook, in_interface: str, out_interface: str) -> Decision:
        """The decision for a packet at a hook alone; interfaces by name, "" where the hook has none."""
        return self.judge_at(hook, in_interface, out_interface)(packet)

    def judge_at(self, hook: Hook, in_interface: str, out_interface: str) -> Decide:
        """What `decide` asks at this hook between these interfaces, for whoever asks it of many packets."""
        key = (id(hook), in_interface, out_interface)
        found = self._at.get(key)
        if found is None:
            rulesets = (self.enforced, self.ruleset)
            ways = (at(ruleset, self.topology, hook, in_interface, out_interface) for ruleset in rulesets)
            found = self._at.keep(key, self._in_full(self._side(*ways)))
        return found

    def decide_way(self, packet: Packet, hook: Hook, in_interface: str, out_interface: str) -> Decision:
        """The decision for a packet on its whole way to a hook and past it."""
        key = (id(hook), in_interface, out_interface)
        judge = self._up_to.get(key)
        if judge is None:
            rulesets = (self.enforced, self.ruleset)
            ways = (up_to(ruleset, self.topology, hook, in_interface, out_interface) for ruleset in rulesets)
            judge = self._up_to.keep(key, self._in_full(self._side(*ways)))
        return judge(packet)

    def decide_cluster(self, packet: Packet) -> Decision:
        """The decision of the whole cluster: out of the source's endpoint, then into the destination's."""
        if self._clusters is None:
            whole = Cluster(self.ruleset)
            self._clusters = whole if self.enforced is self.ruleset else Cluster(self.enforced), whole
        cluster, whole = self._clusters
        leaving, arriving = cluster.ways(packet)
        first = self._known.get(id(leaving)) or self._know(leaving, whole.ways(packet)[0])
        second = self._known.get(id(arriving)) or self._know(arriving, whole.ways(packet)[1])
        decision = self._join(first.enforced(packet), second.enforced(packet))
        if not (first.staged or second.staged):
            return decision
        would = self._join(first.would(packet), second.would(packet))
        return self._foretell(decision, would, (*first.staged, *second.staged), packet)

    def _know(self, way: Way, would: Way) -> Side:
        side = self._known[id(way)] = self._side(way, would)  # ways live as long as the Cluster that holds them
        return side

    def _join(self, first: Decision, second: Decision) -> Decision:
        key = (id(first), id(second))
        found = self._memory.joined.get(key) or self._memory.joined.keep(key, (join(first, second), first, second))
        return found[0]

    def _foretell(self, decision: Decision, would: Decision, staged: tuple[Path, ...], packet: Packet) -> Decision:
        if not is_told(self.ruleset, staged, packet, (decision.verdict, would.verdict)):
            return decision
        key, memory = (id(decision), id(would)), self._memory.foretold
        found = memory.get(key) or memory.keep(key, (foretold(decision, would), decision, would))
        return found[0]

    def _side(self, way: Way, would: Way) -> Side:
        staged = tuple(path for path in paths_of(would) if has_staged(self.ruleset, path))
        return Side(self._judge_way(way, pending=False), staged, partial(self._judge_way, would, pending=True))

    def _in_full(self, side: Side) -> Decide:
        enforced, staged = side.enforced, side.staged
        if not staged:
            return enforced
        would = side.would
        return lambda packet: self._foretell(enforced(packet), would(packet), staged, packet)

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
        key = (stage.program, stage.direction, pending)
        if key not in self._runners:
            program = self.ruleset.programs[stage.program]
            flat = flatten(self.ruleset, program, stage.direction, pending=pending)
            self._runners[key] = runner(len(self._runners), flat, self.sets, self._memory)
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


def runner(number: int, flat: Flat, sets: Sets, memory: Memory) -> Run:
    """The function that runs one program in one direction: the first terminal rule after the Logs and Passes before it.

    A packet is known by its classes, one for each field that the rules use; what comes of them is remembered, so the
    bits are intersected once for each combination of classes. There may be more combinations than can be kept.
    """
    indexes: list[Index] = [index for index in (field.index(flat.rules, sets) for field in FIELDS) if index is not None]
    key, known, ways = key_of(number, [index.classify for index in indexes]), memory.results, memory.ways

    def run(packet: Packet) -> Result:
        classes = key(packet)
        result = known.get(classes)
        return result if result is not None else known.keep(classes, work_out(classes))

    def work_out(classes: tuple[int, ...]) -> Result:
        bits = (1 << len(flat.rules)) - 1
        for index, of_field in zip(indexes, classes[1:], strict=True):
            bits &= index.mask(of_field)
        way = (number, flat.way(bits))
        result = ways.get(way)
        return result if result is not None else ways.keep(way, flat.result(way[1]))

    return run


def key_of(number: int, classify: list[Callable[[Packet], int]]) -> Callable[[Packet], tuple[int, ...]]:
    """The function that puts together the number and the classes of a packet.

    Written out for as many fields as most programs use: it takes half the time of the last, general one.
    """
    match classify:
        case []:
            return lambda _: (number,)
        case [a]:
            return lambda p: (number, a(p))
        case [a, b]:
            return lambda p: (number, a(p), b(p))
        case [a, b, c]:
            return lambda p: (number, a(p), b(p), c(p))
        case [a, b, c, d]:
            return lambda p: (number, a(p), b(p), c(p), d(p))
        case _:
            return lambda p: (number, *[f(p) for f in classify])
