"""`ports` and `notPorts` of one side: numbers, ranges and named ports (semantics 2.7, 2.8).

Law: a packet without ports matches no list with numbers in it, positive or negative; a named port that does not fit
never matches, and its negation then always does, but for fragments, whose ports are unknown (D22).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from calicod.fields.criteria import CompiledRule, PortMatch
from calicod.fields.field import Index, mask_of, remembered
from calicod.fields.sets import NOWHERE, Sets
from calicod.model.network import format_address
from calicod.packet.value import Packet

Lists = tuple[PortMatch | None, PortMatch | None]
UNKNOWN = -2
"""The port of a fragment, which no criterion matches; -1: the packet's protocol has none."""
STEP = 1 << 20
"""More than there are classes of port numbers: a class is one of those plus this many times one of named ports."""


class Ports:
    """The port of one side (`source`, `destination`) is in a list and not in another."""

    def __init__(self, side: str, port: str, address: str) -> None:
        self.side = side
        self.attributes = (f"{side}_ports", f"not_{side}_ports")
        self._lists: Callable[[CompiledRule], Lists] = attrgetter(*self.attributes)
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
        groups: dict[Lists, list[int]] = {}
        for number, rule in enumerate(rules):
            groups.setdefault(self._lists(rule), []).append(number)
        free = mask_of(groups.pop((None, None), ()), len(rules))
        if not groups:
            return None
        matches = [match for lists in groups for match in lists if match is not None]
        starts = boundaries(matches)
        named = any(match.named or not match.ranges for match in matches)

        def mask(number: int) -> int:
            of_named, of_number = divmod(number, STEP)
            members = sets.members(of_named) if of_named > NOWHERE else frozenset()
            port = UNKNOWN if number < 0 else starts[of_number]
            fitting = (
                numbers for lists, numbers in groups.items() if fits(lists, port, lambda s: not members.isdisjoint(s))
            )
            return free | mask_of((n for numbers in fitting for n in numbers), len(rules))

        return Index(self._by_name(starts, sets) if named else self._by_number(starts), remembered(mask))

    def _by_number(self, starts: list[int]) -> Callable[[Packet], int]:
        def source(packet: Packet) -> int:
            return bisect_right(starts, packet.sport) - 1

        def destination(packet: Packet) -> int:
            return bisect_right(starts, packet.dport) - 1

        return source if self.side == "source" else destination

    def _by_name(self, starts: list[int], sets: Sets) -> Callable[[Packet], int]:
        def classify(packet: Packet) -> int:
            if packet.fragment:
                return -1
            port = self._port(packet)
            number = sets.port_class_of(self._address(packet), packet.protocol, port)
            return number * STEP + bisect_right(starts, port) - 1

        return classify

    def _number(self, packet: Packet) -> int:
        return UNKNOWN if packet.fragment else self._port(packet)

    def _is_named(self, named: tuple[int, ...], packet: Packet, sets: Sets) -> bool:
        address, port = self._address(packet), self._port(packet)
        return any(sets.has_port(s, address, packet.protocol, port) for s in named)


def fits(lists: Lists, port: int, is_named: Callable[[tuple[int, ...]], bool]) -> bool:
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


def boundaries(matches: Iterable[PortMatch]) -> list[int]:
    """Where membership in any range may change, in order; the first two are: no port, and the lowest one."""
    starts = {-1, 0}
    for match in matches:
        for ports in match.ranges:
            starts |= {ports.first, ports.last + 1}
    return sorted(starts)


def shown(match: PortMatch, sets: Sets) -> str:
    """The list as it was meant."""
    return ", ".join([str(r) for r in match.ranges] + [sets.ip_sets[s].text for s in match.named])
