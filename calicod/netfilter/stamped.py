"""What nearly every packet is: of a connection that bears the present stamp of its path. Such return at once.

Law: nothing returns here that the chain behind would not let return by its own tests of stamps. NEW and ESTABLISHED are
never RELATED, so nothing inherited speaks; an interface of another id never gets to the pattern that covers it too;
what is selected by no name (`*`) is left to the chain behind.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from calicod.netfilter.pattern import Pattern
from calicod.netfilter.plan import Plan, Side
from calicod.netfilter.table import Chain

ORIGINAL = "-m conntrack --ctstate NEW,ESTABLISHED --ctdir ORIGINAL"
REPLY = "-m conntrack --ctstate ESTABLISHED --ctdir REPLY"


class Way(msgspec.Struct, frozen=True):
    """A direction of flows, ORIGINAL or REPLY, the interface that it is told by, and the paths in their order.

    `workloads`: whether packets by interfaces of workloads come here.
    """

    direction: str
    side: Side
    paths: tuple[Pattern, ...]
    workloads: bool = True

    def sees(self, pattern: Pattern) -> bool:
        """Whether a rule for it is worth its time."""
        return bool(pattern.match) and (self.workloads or not pattern.workload)


def rules(plan: Plan, otherwise: str, ways: Iterable[Way]) -> tuple[str, ...]:
    """Cheapest test first: interface, stamp, direction. `otherwise`: the chain of all that does not return here."""
    return tuple(rule for way in ways for rule in _rules(plan, otherwise, way))


def by_stamp(plan: Plan, name: str, otherwise: str, ways: Sequence[Way], often: Collection[int]) -> dict[str, Chain]:
    """The same as `rules`, a chain for each stamp, by the match on it: nobody is asked for interfaces of others.

    A stamp that is borne `often` comes first. The chains' names begin with `name`.
    """
    ids = dict.fromkeys(pattern.id for way in ways for pattern in way.paths if way.sees(pattern))
    return {
        plan.bears(number): plan.chain(
            f"{name}-{number}", *(rule for way in ways for rule in _of(number, otherwise, way)), f"-g {otherwise}"
        )
        for number in sorted(ids, key=lambda number: number not in often)
    }


def _rules(plan: Plan, otherwise: str, way: Way) -> Iterator[str]:
    for pattern, narrows in _met(way):
        yield f"{way.side(pattern)}{plan.bears(pattern.id)} {way.direction} -j RETURN"
        if narrows - {pattern.id}:
            yield f"{way.side(pattern)}-g {otherwise}"


def _of(number: int, otherwise: str, way: Way) -> Iterator[str]:
    """For what bears the stamp of this number."""
    for pattern, narrows in _met(way):
        if pattern.id == number:
            yield f"{way.side(pattern)}{way.direction} -j RETURN"
        elif number in narrows:
            yield f"{way.side(pattern)}-g {otherwise}"


def _met(way: Way) -> Iterator[tuple[Pattern, set[int]]]:
    """The patterns that some packet gets to, each with the ids of those behind it that cover it too."""
    for number, pattern in enumerate(way.paths):
        before, behind = way.paths[:number], way.paths[number + 1 :]
        if way.sees(pattern) and not any(covers(other, pattern) for other in before):
            yield pattern, {other.id for other in behind if way.sees(other) and covers(other, pattern)}


def covers(wide: Pattern, narrow: Pattern) -> bool:
    """Whether every interface that the one selects, the other selects too, among patterns that name some.

    >>> covers(Pattern("cali+", 2, workload=True), Pattern("caliw3", 5, workload=True))
    True
    """
    return bool(wide.match) and wide.selects(narrow.match)
