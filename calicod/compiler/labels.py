"""Labels of many things at once: a selector becomes the set of things that it matches, one bit each.

Law: `select` equals `Selector.matches` for every thing. Nothing here knows what the things are.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import chain, compress, count
from operator import and_, or_
from typing import assert_never

from calicod.selector.tree import (
    All,
    And,
    Contains,
    EndsWith,
    Equals,
    Global,
    Has,
    In,
    Not,
    NotEquals,
    NotIn,
    Or,
    Selector,
    StartsWith,
)

DIGITS = bytes.maketrans(b"01", b"\x00\x01")


class LabelIndex:
    """Label -> value -> positions of the things that bear it, for a fixed sequence of things.

    Bits are made when they are first asked for: a label with as many values as things costs no more than its lists.
    """

    def __init__(self, labels: Sequence[Mapping[str, str]]) -> None:
        self.everything = (1 << len(labels)) - 1
        self._positions: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._bearers: dict[str, int] = {}
        for position, borne in enumerate(labels):
            for label, value in borne.items():
                self._positions[label][value].append(position)

    def select(self, selector: Selector) -> int:  # noqa: C901, PLR0911, PLR0912  one line for each of the language's nodes
        """The bits of the things that match."""
        match selector:
            case All() | Global():
                return self.everything
            case Has(label):
                return self._has(label)
            case Equals(label, value):
                return self._equal(label, (value,))
            case NotEquals(label, value):
                return self.everything & ~self._equal(label, (value,))
            case In(label, values):
                return self._equal(label, values)
            case NotIn(label, values):
                return self.everything & ~self._equal(label, values)
            case Contains(label, text):
                return self._where(label, lambda value: text in value)
            case StartsWith(label, text):
                return self._where(label, lambda value: value.startswith(text))
            case EndsWith(label, text):
                return self._where(label, lambda value: value.endswith(text))
            case Not(operand):
                return self.everything & ~self.select(operand)
            case And(operands):
                return reduce(and_, (self.select(operand) for operand in operands))
            case Or(operands):
                return reduce(or_, (self.select(operand) for operand in operands))
            case _:
                assert_never(selector)

    def _has(self, label: str) -> int:
        if label not in self._bearers:
            self._bearers[label] = self._where(label, lambda _: True)
        return self._bearers[label]

    def _equal(self, label: str, values: tuple[str, ...]) -> int:
        borne = self._positions.get(label, {})
        return bits_at(chain.from_iterable(borne.get(value, ()) for value in values))

    def _where(self, label: str, test: Callable[[str], bool]) -> int:
        borne = self._positions.get(label, {})
        return bits_at(chain.from_iterable(at for value, at in borne.items() if test(value)))


def bits_at(positions: Iterable[int]) -> int:
    """The integer with these bits set.

    >>> bin(bits_at([0, 3]))
    '0b1001'
    """
    chosen = list(positions)
    if not chosen:
        return 0
    octets = bytearray(max(chosen) // 8 + 1)
    for position in chosen:
        octets[position >> 3] |= 1 << (position & 7)
    return int.from_bytes(octets, "little")


def positions_of(bits: int) -> Iterator[int]:
    """The inverse of `bits_at`, ascending.

    >>> list(positions_of(0b1001))
    [0, 3]
    """
    return compress(count(), bin(bits)[:1:-1].encode().translate(DIGITS))
