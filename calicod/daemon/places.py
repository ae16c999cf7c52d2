"""Where a packet came up: what the kernel tells of it, in the words of policy.

Law: on its way into a queue our bits of the packet mark tell the kernel's evidence (`MarkLayout`); whoever judges by it
judges no wider than that. Each place is worked out once. `lo` is judged in OUTPUT for both directions (design 6).
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType

import msgspec

from calicod.engine.bitmap import BitmapEngine
from calicod.intercept.interceptor import HOOKS
from calicod.model.decision import Decision
from calicod.model.hook import Hook
from calicod.model.marks import MarkLayout
from calicod.model.verdict import Reason, Verdict
from calicod.packet.value import Packet

UNKNOWN = Decision(verdict=Verdict.DROP, reason=Reason.UNKNOWN_INTERFACE)
LOOPBACK = "lo"
TURNED_HOOKS: Mapping[Hook, Hook] = MappingProxyType({Hook.INPUT: Hook.OUTPUT, Hook.OUTPUT: Hook.INPUT})
RAW_HOOKS: Mapping[Hook, Hook] = MappingProxyType({Hook.PREROUTING: Hook.RAW_PREROUTING, Hook.OUTPUT: Hook.RAW_OUTPUT})
EARLY = frozenset({Hook.RAW_PREROUTING, Hook.RAW_OUTPUT, Hook.PREROUTING})
"""Hooks whose rules, when they allow, spare a packet later policy."""

Key = tuple[int, int, int, int]
"""Netfilter's hook number, incoming and outgoing interface index, our bits that tell evidence."""
Ask = Callable[[Packet], Decision]


class Where(msgspec.Struct, frozen=True):
    """Where a flow's packet was, as its original direction sees it. Not `known`: an interface has no name here.

    `untracked`: it has no connection. `spared`: an early rule has allowed its connection.
    """

    hook: Hook
    in_interface: str
    out_interface: str
    known: bool
    untracked: bool = False
    spared: bool = False

    @property
    def sparing(self) -> bool:
        """What is allowed here rests on, or is, the word of an early rule."""
        return self.spared or self.hook in EARLY


class Places(dict[Key, Where]):
    """Key to Where."""

    def __init__(self, names: Mapping[int, str], marks: MarkLayout, *, reply: bool) -> None:
        super().__init__()
        self._names = names
        self._marks = marks
        self._reply = reply

    def __missing__(self, key: Key) -> Where:
        number, indev, outdev, bits = key
        marks = self._marks
        hook, known = HOOKS.get(number, Hook.INPUT), number in HOOKS
        raw = bits == marks.before_tracking
        if raw:
            hook, known = RAW_HOOKS.get(hook, hook), known and hook in RAW_HOOKS
        known = known and all(not index or index in self._names for index in (indev, outdev))
        untracked, spared = raw or bits == marks.untracked, bits == marks.spared
        where = Where(hook, self._name(indev), self._name(outdev), known, untracked, spared)
        self[key] = found = turned_place(where) if self._reply else where
        return found

    def _name(self, index: int) -> str:
        return self._names.get(index, f"#{index}") if index else ""


class Asks(dict[Key, Ask]):
    """Key to the function that judges a packet there: what has no connection by the whole way there.

    No NAT rewrites it on the way, so that is what the earlier hooks judged it by.
    """

    def __init__(self, places: Places, engine: BitmapEngine) -> None:
        super().__init__()
        self._places = places
        self._engine = engine

    def __missing__(self, key: Key) -> Ask:
        self[key] = found = self._ask(self._places[key])
        return found

    def prepare(self, keys: Iterable[Key]) -> None:
        """Makes these ready; interfaces that are gone are forgotten, or their keys would be handed on for ever."""
        for key in keys:
            if self._places[key].known:
                with suppress(Exception):  # the packet that comes there fails then, as if nobody had tried before
                    self[key]

    def _ask(self, where: Where) -> Ask:
        place = (where.hook, where.in_interface, where.out_interface)
        if not where.known:
            return unknown
        if where.untracked and where.hook not in RAW_HOOKS.values():
            return self._engine.judge_way(*place)
        return self._engine.judge_at(*place, spared=where.spared)


def unknown(_: Packet) -> Decision:
    """Nothing passes where an interface has no name."""
    return UNKNOWN


def turned_place(where: Where) -> Where:
    """Where the original direction of a flow was whose reply is here.

    `lo` is judged in OUTPUT for both directions (design 6): its replies were sent from there too.
    """
    if where.hook is Hook.OUTPUT and where.out_interface == LOOPBACK:
        return where
    hook = TURNED_HOOKS.get(where.hook, where.hook)
    return msgspec.structs.replace(where, hook=hook, in_interface=where.out_interface, out_interface=where.in_interface)
