"""All rules at once: one integer of rule bits per field value, intersected; the lowest bit wins.

Law: for every packet the same Decision as the linear engine's. A Decision is made once for each path and way through
the rules, and shared: who receives one may remember what he made of it by its identity, for as long as he keeps it.
What is remembered is bounded for the engine as a whole, so that no sender can make it grow.
"""

from collections.abc import Callable, Iterable

from calicod.engine.cluster import Cluster, join
from calicod.engine.flat import Flat, flatten
from calicod.engine.path import EXEMPT_VERDICTS, Path, Stage, exempt, exempted, find, suspects
from calicod.engine.pending import foretold, has_staged
from calicod.engine.result import DOWN, Result, combine
from calicod.fields.bounded import Bounded
from calicod.fields.field import Index
from calicod.fields.sets import Sets
from calicod.fields.table import FIELDS
from calicod.model.decision import Decision
from calicod.model.hook import Direction, Hook
from calicod.model.interface import Interface
from calicod.model.verdict import Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import RuleSet
from calicod.ruleset.topology import resolve

Run = Callable[[Packet], Result]
"""One stage."""
Decide = Callable[[Packet], Decision]
"""One path."""
MAX_CLASSES = 65536
"""Combinations of classes that one engine remembers: 16 MB."""
MAX_WAYS = 16384
"""Results and Decisions, each, that one engine remembers: 15 MB."""


class Memory:
    """What one engine remembers of the packets that it judged. Numbers of runners and judges keep their keys apart.

    `results` by classes, one for each field that the runner's rules use; `ways` by the entries taken. `made` by the
    identities of results, `joined` by those of decisions: these are kept with them, so no id is used again.
    """

    def __init__(self) -> None:
        self.results: Bounded[tuple[int, ...], Result] = Bounded(MAX_CLASSES)
        self.ways: Bounded[tuple[int, tuple[int, ...]], Result] = Bounded(MAX_WAYS)
        self.made: Bounded[tuple[int, ...], tuple[Decision, tuple[Result, ...]]] = Bounded(MAX_WAYS)
        self.joined: Bounded[tuple[int, int], tuple[Decision, Decision, Decision]] = Bounded(MAX_WAYS)


class BitmapEngine:
    """Judges packets by one RuleSet on these interfaces. Programs are made ready when they are first run.

    `former`: an engine whose place this one takes; what it worked out about IP sets is used again if they are equal.
    """

    def __init__(self, ruleset: RuleSet, interfaces: Iterable[Interface], former: "BitmapEngine | None" = None) -> None:
        self.ruleset = ruleset
        self.topology = resolve(ruleset, interfaces)
        self._memory = Memory()
        same = former is not None and former.ruleset.ip_sets == ruleset.ip_sets
        self.sets: Sets = former.sets if former is not None and same else Sets(ruleset.ip_sets)
        self._paths: Bounded[tuple[Hook, str, str], Decide] = Bounded(MAX_WAYS)
        self._runners: dict[tuple[int, Direction, bool], Run] = {}
        self._cluster: Cluster | None = None
        self._known: dict[int, Decide] = {}
        self._judges = 0

    def decide(self, packet: Packet, hook: Hook, in_interface: str, out_interface: str) -> Decision:
        """The decision for a packet at a hook; interfaces by name, "" where the hook has none."""
        key = (hook, in_interface, out_interface)
        judge = self._paths.get(key)
        if judge is None:
            path = find(self.ruleset, self.topology, hook, in_interface, out_interface)
            judge = self._paths.keep(key, self._judge(path))
        return judge(packet)

    def decide_cluster(self, packet: Packet) -> Decision:
        """The decision of the whole cluster: egress of the source's endpoint, then ingress of the destination's."""
        if self._cluster is None:
            self._cluster = Cluster(self.ruleset)
        leaving, arriving = self._cluster.paths(packet)
        first, second = self._known_judge(leaving)(packet), self._known_judge(arriving)(packet)
        key = (id(first), id(second))
        found = self._memory.joined.get(key) or self._memory.joined.keep(key, (join(first, second), first, second))
        return found[0]

    def _known_judge(self, path: Path) -> Decide:
        judge = self._known.get(id(path))
        if judge is None:
            judge = self._known[id(path)] = self._judge(path)  # paths live as long as the Cluster that holds them
        return judge

    def _judge(self, path: Path) -> Decide:
        if path.fixed is not None:
            fixed = path.fixed
            return lambda _: fixed
        self._judges += 1
        runs = [self._run_of(stage) for stage in path.stages]
        if not has_staged(self.ruleset, path):
            return judge(self._judges, path, self.ruleset, runs, self._memory)
        staged = [self._run_of(stage, pending=True) for stage in path.stages]
        return foretelling_judge(self._judges, path, self.ruleset, (runs, staged), self._memory)

    def _run_of(self, stage: Stage, *, pending: bool = False) -> Run:
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
    first, second = runs[0], runs[1] if len(runs) > 1 else None

    def make(key: tuple[int, ...], *results: Result) -> Decision:
        return made.keep(key, (combine(path, results), results))[0]

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
        both = (number, id(result), id(last))
        found = made.get(both)
        return found[0] if found is not None else make(both, result, last)

    return decide


def foretelling_judge(
    number: int, path: Path, ruleset: RuleSet, runs: tuple[list[Run], list[Run]], memory: Memory
) -> Decide:
    """The same for a path with staged policies: `runs` as they are enforced, and as they would be."""
    suspicious, made = suspects(path), memory.made
    early = {reason: exempted(path, reason) for reason in EXEMPT_VERDICTS}
    enforced, staged = runs

    def decide(packet: Packet) -> Decision:
        if packet.fragment or packet.protocol in suspicious:
            reason = exempt(path, packet, ruleset)
            if reason is not None:
                return early[reason]
        results, would = through(enforced, packet), through(staged, packet)
        key = (number, len(results), *map(id, results), *map(id, would))
        found = made.get(key)
        if found is None:
            decision = foretold(combine(path, results), combine(path, would))
            found = made.keep(key, (decision, (*results, *would)))
        return found[0]

    return decide


def through(runs: list[Run], packet: Packet) -> tuple[Result, ...]:
    """Stage after stage, until one denies."""
    results = []
    for run in runs:
        result = run(packet)
        results.append(result)
        if result.verdict is not Verdict.ACCEPT:
            break
    return tuple(results)


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
