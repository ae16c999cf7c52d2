"""The lines of decisions, behind the id.

Law: the text of a decision is what msgspec makes of it, also where it is put together from the texts of its parts:
thousands of endpoints have more pairs than decisions can be kept of, and few results at each end.
"""

from collections.abc import Callable
from typing import final

import msgspec

from calicod.engine.bitmap import BitmapEngine
from calicod.engine.ends import Came
from calicod.engine.path import Stage
from calicod.engine.result import Result
from calicod.fields.bounded import Bounded
from calicod.model.decision import Decision
from calicod.packet.value import Packet

MEMO = 65536

encode = msgspec.json.Encoder().encode


@final
class Part(msgspec.Struct, frozen=True, gc=False):
    """The texts of one result; it is kept with them, so its id is not used again.

    `decided`, `foretold`: verdict and the like of a decision, or of what is pending, up to the trace, if this is the
    last result. `trace` begins with a comma if something comes before it; `logged` never does.
    """

    result: Result
    decided: bytes
    foretold: bytes
    trace: bytes
    logged: bytes


def of_decisions() -> Callable[[Decision], bytes]:
    """The text of a decision, remembered by its identity."""
    known: Bounded[int, tuple[bytes, Decision]] = Bounded(MEMO)

    def tail(decision: Decision) -> bytes:
        found = known.get(id(decision))
        if found is None:  # the decision is kept, so its id is not used again
            found = known.keep(id(decision), (b"," + encode(decision)[1:] + b"\n", decision))
        return found[0]

    return tail


def in_cluster(engine: BitmapEngine) -> Callable[[Packet], bytes]:
    """The text of the decision about a packet between any two endpoints."""
    endings: dict[int, bytes] = {}  # of stages, which live as long as the engine
    ask, join, whole = engine.ends.ask, joiner(), of_decisions()

    def tail(packet: Packet) -> bytes:
        outcome = ask(packet)
        if outcome is None:
            return whole(engine.decide_cluster(packet))
        stage, would = outcome.stage, outcome.would
        ending = endings.get(id(stage))
        if ending is None:
            ending = endings[id(stage)] = ending_of(stage)
        last, trace, logged = join(outcome.came)
        if would is None:
            return b'%b%b],"logged":[%b],"pending":null%b' % (last.decided, trace, logged, ending)
        pending, foreseen, _ = join(would)
        return b'%b%b],"logged":[%b]%b%b]}%b' % (last.decided, trace, logged, pending.foretold, foreseen, ending)

    return tail


def joiner() -> Callable[[Came], tuple[Part, bytes, bytes]]:
    """The last part of an outcome, the trace through all of it, and what was logged."""
    known: Bounded[tuple[int, int], Part] = Bounded(MEMO)

    def part(result: Result, start: int) -> Part:
        key = (id(result), start)
        return known.get(key) or known.keep(key, part_of(result, start))

    def join(came: Came) -> tuple[Part, bytes, bytes]:
        first, second = came
        if first is None or second is None:
            alone = first or second
            assert alone is not None  # noqa: S101  somebody was asked
            only = part(alone, 0)
            return only, only.trace, only.logged
        one, two = part(first, 0), part(second, len(first.hits))
        logged = one.logged + b"," + two.logged if one.logged and two.logged else one.logged or two.logged
        return two, one.trace + two.trace, logged

    return join


def part_of(result: Result, start: int) -> Part:
    """Of a result whose first hit has the number `start`."""
    verdict, reason, policy = (encode(value) for value in (result.verdict, result.reason, result.policy))
    trace = b",".join(encode(f"{number}|{text}") for number, text in enumerate(result.hits, start))
    return Part(
        result=result,
        decided=b',"verdict":%b,"reason":%b,"policy":%b,"trace":[' % (verdict, reason, policy),
        foretold=b',"pending":{"verdict":%b,"trace":[' % verdict,
        trace=b"," + trace if start and trace else trace,
        logged=encode(result.logged)[1:-1],
    )


def ending_of(stage: Stage) -> bytes:
    """Of a decision that this stage tells of."""
    return b',"reporter":%b,"endpoint":%b}\n' % (encode(stage.reporter), encode(stage.endpoint))
