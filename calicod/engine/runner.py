"""The functions that run one program in one direction on a packet.

Law: a packet is known by its classes, one for each field that the rules use; what comes of them is remembered, so the
bits are intersected once for each combination of classes. There may be more combinations than can be kept.
"""

from collections.abc import Callable, Sequence

from calicod.engine.flat import Flat
from calicod.engine.memory import Memory
from calicod.engine.result import DOWN, Result
from calicod.fields.field import Index
from calicod.fields.sets import Sets
from calicod.fields.table import FIELDS
from calicod.packet.value import Packet

Run = Callable[[Packet], Result]
"""One stage."""
Classes = tuple[int, ...]
"""The number of a runner, then a class for each field that its rules use."""


def runner(number: int, flat: Flat, sets: Sets, memory: Memory) -> Run:
    """The first terminal rule after the Logs and Passes before it."""
    indexes = indexes_of(flat, sets)
    key, known = key_of(number, [index.classify for index in indexes]), memory.results

    def run(packet: Packet) -> Result:
        classes = key(packet)
        result = known.get(classes)
        return result if result is not None else known.keep(classes, work_out(classes))

    def work_out(classes: Classes) -> Result:
        return result_of(number, flat, bits_of(indexes, classes, flat.enforced), memory)

    return run


def twins(number: int, flat: Flat, sets: Sets, memory: Memory) -> tuple[Run, Run]:
    """The program as it is, and as it would be if its staged policies were enforced.

    Who asks the one about a packet asks the other about it next, most of the time: its classes are found once.
    """
    indexes = indexes_of(flat, sets)
    key, known = key_of(number, [index.classify for index in indexes]), memory.twins
    last: Packet | None = None
    both = DOWN, DOWN

    def enforced(packet: Packet) -> Result:
        nonlocal last, both
        classes = key(packet)
        found = known.get(classes)
        last, both = packet, found if found is not None else known.keep(classes, work_out(classes))
        return both[0]

    def would(packet: Packet) -> Result:
        if packet is not last:
            enforced(packet)
        return both[1]

    def work_out(classes: Classes) -> tuple[Result, Result]:
        bits = bits_of(indexes, classes, flat.enforced | flat.pending)
        return (
            result_of(number, flat, bits & flat.enforced, memory),
            result_of(number, flat, bits & flat.pending, memory),
        )

    return enforced, would


def indexes_of(flat: Flat, sets: Sets) -> list[Index]:
    """An index of each field that the rules use."""
    return [index for index in (field.index(flat.rules, sets) for field in FIELDS) if index is not None]


def bits_of(indexes: Sequence[Index], classes: Classes, bits: int) -> int:
    """Those of the bits whose entries match packets of these classes."""
    for index, of_field in zip(indexes, classes[1:], strict=True):
        bits &= index.mask(of_field)
    return bits


def result_of(number: int, flat: Flat, bits: int, memory: Memory) -> Result:
    """The result of the way that a packet with these bits takes."""
    way = (number, flat.way(bits))
    result = memory.ways.get(way)
    return result if result is not None else memory.ways.keep(way, flat.result(way[1]))


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
