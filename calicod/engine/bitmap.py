"""All rules at once: one integer of rule bits per field value, intersected; the lowest bit wins.

Law: for every packet the same Decision as the linear engine's. A Decision is made once for each path and way through the
rules, and shared: who receives one may remember what he made of it by its identity, for as long as he keeps it.
What is remembered is bounded, so that no sender can make it grow.
"""

from collections.abc import Callable, Iterable

from calicod.engine.cluster import Cluster, join
from calicod.engine.flat import Flat, flatten
from calicod.engine.path import Path, Stage, exempt, exempted, find
from calicod.engine.result import DOWN, Result, combine
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
MAX_WAYS = 65536
"""Decisions and results remembered by one engine; all are forgotten when it is full."""


class BitmapEngine:
    """Judges packets by one RuleSet on these interfaces. Programs are made ready when they are first run."""

    def __init__(self, ruleset: RuleSet, interfaces: Iterable[Interface]) -> None:
        self.ruleset = ruleset
        self.topology = resolve(ruleset, interfaces)
        self._sets: Sets | None = None
        self._paths: dict[tuple[Hook, str, str], Judge] = {}
        self._runners: dict[tuple[int, Direction], Runner] = {}
        self._cluster: Cluster | None = None
        self._judges: dict[int, Judge] = {}
        self._joined: dict[tuple[int, int], tuple[Decision, Decision, Decision]] = {}

    def decide(self, packet: Packet, hook: Hook, in_interface: str, out_interface: str) -> Decision:
        """The decision for a packet at a hook; interfaces by name, "" where the hook has none."""
        key = (hook, in_interface, out_interface)
        judge = self._paths.get(key)
        if judge is None:
            if len(self._paths) >= MAX_WAYS:
                self._paths.clear()
            path = find(self.ruleset, self.topology, hook, in_interface, out_interface)
            judge = self._paths[key] = self._judge(path)
        return judge.decide(packet)

    def decide_cluster(self, packet: Packet) -> Decision:
        """The decision of the whole cluster: egress of the source's endpoint, then ingress of the destination's."""
        if self._cluster is None:
            self._cluster = Cluster(self.ruleset)
        leaving, arriving = self._cluster.paths(packet)
        first, second = self._known(leaving).decide(packet), self._known(arriving).decide(packet)
        key = (id(first), id(second))
        found = self._joined.get(key)
        if found is None:
            if len(self._joined) >= MAX_WAYS:
                self._joined.clear()
            found = self._joined[key] = (join(first, second), first, second)  # both are kept, so no id is used again
        return found[0]

    def _known(self, path: Path) -> "Judge":
        judge = self._judges.get(id(path))
        if judge is None:
            judge = self._judges[id(path)] = self._judge(path)  # paths live as long as the Cluster that holds them
        return judge

    def _judge(self, path: Path) -> "Judge":
        return Judge(path, self.ruleset, [self._run_of(stage) for stage in path.stages])

    def _run_of(self, stage: Stage) -> Run:
        return self._runner(stage.program, stage.direction).run if stage.active else (lambda _: DOWN)

    def _runner(self, program: int, direction: Direction) -> "Runner":
        key = (program, direction)
        if key not in self._runners:
            if self._sets is None:
                self._sets = Sets(self.ruleset.ip_sets)
            flat = flatten(self.ruleset, self.ruleset.programs[program], direction)
            self._runners[key] = Runner(flat, self._sets)
        return self._runners[key]


class Judge:
    """One path, ready: its stages as functions, its decisions as they were made."""

    def __init__(self, path: Path, ruleset: RuleSet, runs: list[Run]) -> None:
        self.path = path
        self.ruleset = ruleset
        self.runs = runs
        self.decide: Callable[[Packet], Decision] = self._choose()
        self._plain = not (path.failsafes or path.from_workload or path.to_host)
        self._exempted: dict[Reason, Decision] = {}
        self._made: dict[object, tuple[Decision, list[Result]]] = {}

    def _choose(self) -> Callable[[Packet], Decision]:
        if self.path.fixed is not None:
            fixed = self.path.fixed
            return lambda _: fixed
        return self._one if len(self.runs) == 1 else self._many

    def _early(self, packet: Packet) -> Decision | None:
        reason = exempt(self.path, packet, self.ruleset)
        if reason is None:
            return None
        if reason not in self._exempted:
            self._exempted[reason] = exempted(self.path, reason)
        return self._exempted[reason]

    def _one(self, packet: Packet) -> Decision:
        if not self._plain or packet.fragment:
            early = self._early(packet)
            if early is not None:
                return early
        result = self.runs[0](packet)
        made = self._made.get(id(result))
        return made[0] if made is not None else self._make(id(result), [result])

    def _many(self, packet: Packet) -> Decision:
        if not self._plain or packet.fragment:
            early = self._early(packet)
            if early is not None:
                return early
        first, second = self.runs
        result = first(packet)
        if result.verdict is not Verdict.ACCEPT:
            made = self._made.get(id(result))
            return made[0] if made is not None else self._make(id(result), [result])
        last = second(packet)
        key = (id(result), id(last))
        made = self._made.get(key)
        return made[0] if made is not None else self._make(key, [result, last])

    def _make(self, key: object, results: list[Result]) -> Decision:
        if len(self._made) >= MAX_WAYS:
            self._made.clear()
        decision = combine(self.path, results)
        self._made[key] = (decision, results)  # the results are kept, so no id is used again
        return decision


class Runner:
    """One program in one direction: the indexes of its fields, and the ways through its rules.

    A packet is known by its classes, one for each field that the rules use; what comes of them is remembered, so the
    bits are intersected once for each combination of classes. There may be more combinations than can be kept.
    """

    def __init__(self, flat: Flat, sets: Sets) -> None:
        self.flat = flat
        found = [index for index in (field.index(flat.rules, sets) for field in FIELDS) if index is not None]
        self._classify = [index.classify for index in found]
        self._masks = [index.mask for index in found]
        self._every = (1 << len(flat.rules)) - 1
        self._known: dict[tuple[int, ...], Result] = {}
        self._results: dict[tuple[int, ...], Result] = {}

    def run(self, packet: Packet) -> Result:
        """The result for a packet: the first terminal rule after the Log rules and passes before it."""
        classes = tuple([classify(packet) for classify in self._classify])
        result = self._known.get(classes)
        return result if result is not None else self._find(classes)

    def _find(self, classes: tuple[int, ...]) -> Result:
        bits = self._every
        for mask, number in zip(self._masks, classes, strict=True):
            bits &= mask(number)
        way = self.flat.way(bits)
        result = self._results.get(way)
        if result is None:
            if len(self._results) >= MAX_WAYS:
                self._results.clear()
            result = self._results[way] = self.flat.result(way)
        if len(self._known) >= MAX_WAYS:
            self._known.clear()
        self._known[classes] = result
        return result
