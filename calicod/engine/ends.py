"""The two ends of a packet between workloads, without a Decision for each pair of them.

Law: what is told is what `BitmapEngine.decide_cluster` makes a Decision of; of packets and endpoints for which it takes
more than one program at each end, nothing is told. Only addresses of endpoints are kept, so no sender can add to them.
"""

from collections.abc import Callable
from typing import final

import msgspec

from calicod.engine.cluster import Cluster
from calicod.engine.path import Path, Stage, exempt, suspects
from calicod.engine.pending import has_staged
from calicod.engine.result import Result
from calicod.engine.runner import Run
from calicod.engine.way import NOBODY, Way
from calicod.model.verdict import Verdict
from calicod.packet.value import Packet
from calicod.ruleset.program import RuleSet

RunOf = Callable[[Stage], tuple[Run, Run]]
"""The runs of a stage as it is, and as it would be if staged policies were enforced."""
Came = tuple[Result | None, Result | None]
"""What the source's end came to, and the destination's: None where nobody is, or nobody was asked."""


@final
class Outcome(msgspec.Struct, frozen=True, gc=False):
    """`would`: what the ends would come to if staged policies were enforced, None if neither has any.

    `stage`: the one that decided, the last that was asked.
    """

    came: Came
    would: Came | None
    stage: Stage


@final
class End(msgspec.Struct, frozen=True, gc=False):
    """One endpoint in one direction; `enforced` and `would` are None where nobody is.

    `suspects`: the protocols for which `path` may exempt a packet. Not `simple`: it cannot be asked here.
    """

    simple: bool
    path: Path | None = None
    enforced: Run | None = None
    would: Run | None = None
    staged: bool = False
    suspects: frozenset[int] = frozenset()


NO_END = End(simple=True)
OTHER_END = End(simple=False)


class Ends:
    """Of a whole cluster: `clusters` as it is, and as it would be if staged policies were enforced."""

    def __init__(self, ruleset: RuleSet, clusters: tuple[Cluster, Cluster], run_of: RunOf) -> None:
        self._ruleset = ruleset
        self._cluster, self._whole = clusters
        self._run_of = run_of
        self._leaving: dict[bytes, End] = {}
        self._arriving: dict[bytes, End] = {}
        self._known: dict[int, End] = {}

    def ask(self, packet: Packet) -> Outcome | None:
        """What the ends come to; None: ask `decide_cluster`."""
        first = self._leaving.get(packet.src) or self._leave(packet.src)
        second = self._arriving.get(packet.dst) or self._arrive(packet.dst)
        if not (first.simple and second.simple) or packet.fragment or packet.src == packet.dst:
            return None
        for end in (first, second):
            if packet.protocol in end.suspects and end.path and exempt(end.path, packet, self._ruleset):
                return None
        came = in_turn(first.enforced, second.enforced, packet)
        last = first if came[1] is None else second
        if last.path is None:
            return None
        staged = first.staged or second.staged
        return Outcome(came, in_turn(first.would, second.would, packet) if staged else None, last.path.stages[0])

    def _leave(self, address: bytes) -> End:
        if address not in self._cluster.leaving:
            return NO_END
        end = self._leaving[address] = self._know(self._cluster.leaving[address], self._whole.leaving[address])
        return end

    def _arrive(self, address: bytes) -> End:
        if address not in self._cluster.arriving:
            return NO_END
        end = self._arriving[address] = self._know(self._cluster.arriving[address], self._whole.arriving[address])
        return end

    def _know(self, way: Way, would: Way) -> End:
        """One for all addresses of an endpoint."""
        end = self._known.get(id(way))  # ways live as long as the Cluster that holds them
        if end is None:
            end = self._known[id(way)] = self._end(way, would)
        return end

    def _end(self, way: Way, would: Way) -> End:
        leg, path = way[0], way[0].path
        if way == NOBODY:
            return NO_END
        if way != would or len(way) > 1 or leg.early or len(path.stages) != 1 or path.closing is not None:
            return OTHER_END
        stage = path.stages[0]
        if not stage.active or self._ruleset.programs[stage.program].open_ended:
            return OTHER_END
        enforced, pending = self._run_of(stage)
        return End(
            simple=True,
            path=path,
            enforced=enforced,
            would=pending,
            staged=has_staged(self._ruleset, path),
            suspects=suspects(path),
        )


def in_turn(first: Run | None, second: Run | None, packet: Packet) -> Came:
    """The source's end; the destination's, if the packet gets there."""
    result = None if first is None else first(packet)
    if second is None or (result is not None and result.verdict is not Verdict.ACCEPT):
        return result, None
    return result, second(packet)
