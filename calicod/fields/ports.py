"""`ports` and `notPorts` of one side: numbers, ranges and named ports (semantics 2.7, 2.8).

Law: a packet without ports matches no list with numbers in it, positive or negative; a named port that does not fit
never matches, and its negation then always does, but for fragments, whose ports are unknown (D22).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from operator import attrgetter

from calicod.fields.criteria import CompiledRule, PortMatch
from calicod.fields.field import Index, grouped, remembered
from calicod.fields.sets import Sets
from calicod.fields.stretches import NOWHERE, Classes, mask_of, merged, set_bits, stretches
from calicod.model.network import format_address
from calicod.packet.value import Packet

Pair = tuple[PortMatch | None, PortMatch | None]
"""`ports` and `notPorts`."""
MAX_PORT = 65535
UNKNOWN = -2
"""The port of a fragment, which no criterion matches; -1: the packet's protocol has none."""
HEADLESS = -1
"""The class of a fragment."""
STEP = 1 << 20
"""More than there are classes of port numbers: a class is one of those plus this many times one of named ports."""
NO_PORT = STEP - 1
"""The class, by number, of a packet whose protocol has none."""


class Ports:
    """The port of one side (`source`, `destination`) is in a list and not in another."""

    def __init__(self, side: str, port: str, address: str) -> None:
        self.side = side
        self.attributes = (f"{side}_ports", f"not_{side}_ports")
        self._lists: Callable[[CompiledRule], Pair] = attrgetter(*self.attributes)
        self._port: Callable[[Packet], int] = attrgetter(port)
        self._address: Callable[[Packet], bytes] = attrgetter(address)

    def test(self, rule: CompiledRule, packet: Packet, sets: Sets) -> bool:
        """In `ports`, not in `notPorts`."""
        return fits(self._lists(rule), self._number(packet), lambda named: self._is_named(named, packet, sets))

    def tell(self, rule: CompiledRule, packet: Packet, sets: Sets) -> str:
        """The port and the list that it should, or should not, be in."""
        wanted, unwanted = self._lists(rule)
        number = self._number(packet)
        if wanted is not None and not self.test_list(wanted, packet, sets):
            if number < 0:
                return f"{self.side}.ports {shown(wanted, sets)} wants a packet with ports"
            where = f" of {format_address(self._address(packet))}" if wanted.named else ""
            return f"{self.side}.ports {number}{where} is not in {shown(wanted, sets)}"
        excluded = shown(unwanted or PortMatch(), sets)
        if number < 0:
            return f"{self.side}.notPorts {excluded} wants a packet with ports"
        return f"{self.side}.notPorts {excluded} excludes {number}"

    def test_list(self, match: PortMatch, packet: Packet, sets: Sets) -> bool:
        """One positive list alone."""
        return fits((match, None), self._number(packet), lambda named: self._is_named(named, packet, sets))

    def index(self, rules: Sequence[CompiledRule], sets: Sets) -> Index | None:
        """A class for each stretch of ports between the bounds of ranges, and for each membership in named ports."""
        groups = grouped(rules, self._lists)
        if groups.keys() == {(None, None)}:
            return None
        lists = Lists(groups, len(rules))
        classes = Classes()
        exact, starts, numbers = table(stretches(lists.ranges(), classes))

        def mask(number: int) -> int:
            if number == HEADLESS:
                return lists.without_ports(unknown=True)
            of_names, of_number = divmod(number, STEP)
            if of_number == NO_PORT:
                return lists.without_ports(unknown=False)
            return lists.with_port(classes.memberships[of_number], sets.membership(of_names))

        def classify(packet: Packet, get: Callable[[Packet], int] = self._port) -> int:
            port = get(packet)
            number = exact.get(port)
            return number if number is not None else numbers[bisect_right(starts, port)]

        return Index(classify if lists.numbers_only else self._by_name(classify, sets), remembered(mask))

    def _by_name(self, by_number: Callable[[Packet], int], sets: Sets) -> Callable[[Packet], int]:
        def classify(packet: Packet) -> int:
            if packet.fragment:
                return HEADLESS
            number = sets.port_class_of(self._address(packet), packet.protocol, self._port(packet))
            return number * STEP + by_number(packet)

        return classify

    def _number(self, packet: Packet) -> int:
        return UNKNOWN if packet.fragment else self._port(packet)

    def _is_named(self, named: tuple[int, ...], packet: Packet, sets: Sets) -> bool:
        address, port = self._address(packet), self._port(packet)
        return any(sets.has_port(s, address, packet.protocol, port) for s in named)


def fits(lists: Pair, port: int, is_named: Callable[[tuple[int, ...]], bool]) -> bool:
    """The port is in `ports` and not in `notPorts`; `is_named` says whether it is in one of some named-port sets."""
    wanted, unwanted = lists
    if wanted is not None and not inside(wanted, port, is_named):
        return False
    if unwanted is None:
        return True
    if port < 0:
        return port != UNKNOWN and not unwanted.ranges
    return not inside(unwanted, port, is_named)


def inside(match: PortMatch, port: int, is_named: Callable[[tuple[int, ...]], bool]) -> bool:
    """The port is in the list."""
    return port >= 0 and (any(port in r for r in match.ranges) or is_named(match.named))


class Lists:
    """The ports lists of many rules: which rules want each, and which want none of it."""

    def __init__(self, groups: Mapping[Pair, Sequence[int]], size: int) -> None:
        self._size = size
        self._free: list[int] = []
        self._wanted: dict[PortMatch, list[int]] = {}
        self._unwanted: dict[PortMatch, list[int]] = {}
        for (wanted, unwanted), numbers in groups.items():
            into = self._free if wanted is None else self._wanted.setdefault(wanted, [])
            into += numbers
            if unwanted is not None:
                self._unwanted.setdefault(unwanted, []).extend(numbers)
        self._matches = tuple(dict.fromkeys((*self._wanted, *self._unwanted)))
        self._wanting = [self._wanted.get(match, ()) for match in self._matches]
        self._refusing = [self._unwanted.get(match, ()) for match in self._matches]
        self._by_name: dict[int, int] = {}
        for index, match in enumerate(self._matches):
            for name in match.named:
                self._by_name[name] = self._by_name.get(name, 0) | 1 << index

    @property
    def numbers_only(self) -> bool:
        """Every list has numbers and no names; then a fragment fares like a packet without ports."""
        return all(match.ranges and not match.named for match in self._matches)

    def ranges(self) -> Iterator[tuple[int, int, int]]:
        """First and last port, and the index of the list."""
        for index, match in enumerate(self._matches):
            for first, last in merged([(ports.first, ports.last) for ports in match.ranges]):
                yield first, last, index

    def with_port(self, by_number: int, of_names: int) -> int:
        """The rules that a port matches which is in these lists by number, and in these named-port sets."""
        inside = by_number
        for name in set_bits(of_names):
            inside |= self._by_name.get(name, 0)
        wanted, unwanted = self._free.copy(), list[int]()
        for index in set_bits(inside):
            wanted += self._wanting[index]
            unwanted += self._refusing[index]
        mask = mask_of(wanted, self._size)
        return mask & ~mask_of(unwanted, self._size) if unwanted else mask

    def without_ports(self, *, unknown: bool) -> int:
        """The rules that a packet without ports matches; `unknown`: it has ports, but they cannot be seen."""
        refusing = (numbers for match, numbers in self._unwanted.items() if unknown or match.ranges)
        return self._rules(self._free) & ~self._rules(*refusing)

    def _rules(self, *numbers: Sequence[int]) -> int:
        return mask_of(chain.from_iterable(numbers), self._size)


def table(bounds: Iterable[tuple[int, int]]) -> tuple[dict[int, int], list[int], list[int]]:
    """The class of each port that has one of its own, and for all others where each class begins, and which it is.

    Rules name single ports, mostly: what is between them is all of one class, and found at once.
    """
    exact: dict[int, int] = {}
    starts, numbers = [], [NO_PORT]
    for (start, number), (end, _) in pairwise([(0, NOWHERE), *bounds, (MAX_PORT + 1, NOWHERE)]):
        if end - start == 1:
            exact[start] = number
        elif end > start and number != numbers[-1]:
            starts.append(start)
            numbers.append(number)
    return exact, starts, numbers


def shown(match: PortMatch, sets: Sets) -> str:
    """The list as it was meant."""
    return ", ".join([str(r) for r in match.ranges] + [sets.ip_sets[s].text for s in match.named])
