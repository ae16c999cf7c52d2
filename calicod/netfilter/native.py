"""Rules of nftables that others made, read for what they do with queues and marks.

Law: a statement that cannot be read is taken for any value: better a clash too many. Our own rules are passed over, and
so is what only iptables-save can show.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from calicod.model.steering import Steering
from calicod.netfilter.inet import NAME
from calicod.netfilter.table import PREFIX

ALL = 0xFFFFFFFF
LAST_QUEUE = 0xFFFF
LEAVING = ("output", "postrouting")
"""Hooks in which a packet's mark may have been chosen by a local process (SO_MARK)."""
TRACKED = -200
"""The priority of conntrack: before it no connection is known."""
META, CT = {"meta": {"key": "mark"}}, {"ct": {"key": "mark"}}


class Place(msgspec.Struct, frozen=True):
    """Where a rule is."""

    family: str
    table: str
    chain: str
    handle: int


class Finding(msgspec.Struct, frozen=True):
    """A rule that clashes, and why. `fatal`: calicod must not start beside it."""

    place: Place
    why: str
    fatal: bool


class Bits(msgspec.Struct, frozen=True):
    """What a mark becomes, bit by bit: `chosen` by the rule, `kept`, or `copied` from the other mark; else nothing."""

    chosen: int = 0
    kept: int = 0
    copied: int = 0


def find(text: str, steering: Steering) -> Iterator[Finding]:
    """Every clash in what `nft --json list ruleset` has printed."""
    items = msgspec.json.decode(text)["nftables"]
    leaving = _leaving(items)
    for rule in (item["rule"] for item in items if "rule" in item):
        where = (rule["family"], rule["table"], rule["chain"])
        if where[:2] == ("inet", NAME) or rule["chain"].startswith(PREFIX):
            continue
        for expression in rule["expr"]:
            why, fatal = _judge(expression, steering, leaving=where in leaving)
            if why:
                yield Finding(Place(*where, rule["handle"]), why, fatal)


def _judge(expression: Mapping[str, Any], steering: Steering, *, leaving: bool) -> tuple[str, bool]:
    """Why the statement clashes ("" if it does not), and whether it must not be. `Any`: JSON of another program."""
    match expression:
        case {"queue": queue}:
            return _queue((queue or {}).get("num", 0), steering)
        case {"mangle": {"key": key, "value": value}} if key == META:
            bits = become(value, META)
            if bits.chosen & steering.marks.packet_mask:
                return f"sets packet mark bits of calicod's ({steering.marks.packet_mask:#x})", True
        case {"mangle": {"key": key, "value": value}} if key == CT:
            return _connection_mark(become(value, CT), steering, leaving=leaving)
        case {"flow": _}:
            return "lets live flows pass by every rule: a change of policy does not cut them", False
        case _:
            pass
    return "", False


def _queue(number: object, steering: Steering) -> tuple[str, bool]:
    ours = range(steering.queue_base, steering.queue_base + 2 * steering.workers)
    match number:
        case int():
            low = high = number
        case {"range": [int(low), int(high)]}:
            pass
        case _:
            low, high = _spread(number) or (0, LAST_QUEUE)
    if low <= ours[-1] and high >= ours[0]:
        return f"uses queues of calicod's ({ours[0]}-{ours[-1]})", True
    return "", False


def _spread(value: object) -> tuple[int, int] | None:
    """The least and the greatest number that such an expression gives."""
    match value:
        case {"numgen": {"mod": int(count), **more}} | {"jhash": {"mod": int(count), **more}}:
            pass
        case {"symhash": {"mod": int(count), **more}}:
            pass
        case _:
            return None
    match more:
        case {"offset": int(offset)}:
            return offset, offset + count - 1
        case _:
            return 0, count - 1


def _connection_mark(bits: Bits, steering: Steering, *, leaving: bool) -> tuple[str, bool]:
    ours, packet = steering.marks.connection_mask, steering.marks.packet_mask
    if bits.chosen & ours:
        return f"sets connection mark bits of calicod's ({ours:#x})", True
    if leaving and bits.copied & (ours | packet):
        return f"lets a process that may set marks forge a connection mark of calicod's ({ours:#x})", True
    if ours & ~bits.kept:
        return (
            f"erases connection mark bits of calicod's ({ours:#x}): every packet that it meets is judged again",
            False,
        )
    return "", False


def erases(bits: int) -> str:
    """Why it costs speed."""
    return f"erases connection mark bits of calicod's ({bits:#x}): every packet that it meets is judged again"


def become(value: object, own: Mapping[str, Any]) -> Bits:
    """What the mark `own` becomes when it is set to this.

    >>> become({"|": [{"&": [{"ct": {"key": "mark"}}, 240]}, 1]}, CT)
    Bits(chosen=1, kept=240, copied=0)
    """
    match value:
        case int():
            bits = Bits(chosen=value & ALL)
        case {"meta": {"key": "mark"}} | {"ct": {"key": "mark"}}:
            bits = Bits(kept=ALL) if value == own else Bits(copied=ALL)
        case {"&": [first, *masks]} if all(isinstance(mask, int) for mask in masks):
            bits = become(first, own)
            for mask in masks:
                bits = Bits(bits.chosen & mask, bits.kept & mask, bits.copied & mask)
        case {"|": [first, *others]} | {"^": [first, *others]} if all(isinstance(other, int) for other in others):
            bits = become(first, own)
            for other in others:
                bits = Bits(bits.chosen | other, bits.kept & ~other, bits.copied & ~other)
        case {"map": {"data": {"set": [*pairs]}}}:
            bits = Bits(chosen=_union(pairs))
        case _:
            spread = _spread(value)
            bits = Bits(chosen=(1 << spread[1].bit_length()) - 1 if spread else ALL)
    return bits


def _union(pairs: Iterable[object]) -> int:
    """The bits of every value of an anonymous map."""
    bits = 0
    for pair in pairs:
        match pair:
            case [_, int(value)]:
                bits |= value
            case _:
                return ALL
    return bits


def _leaving(items: Iterable[Mapping[str, Any]]) -> set[tuple[str, str, str]]:
    """The chains that a tracked packet traverses in those hooks."""
    targets: dict[tuple[str, str, str], set[str]] = {}
    maps: dict[tuple[str, str, str], set[str]] = {}
    waiting = []
    for item in items:
        match item:
            case {"chain": {"family": family, "table": table, "name": name, "hook": hook, "prio": priority}}:
                if hook in LEAVING and priority > TRACKED:
                    waiting.append((family, table, name))
            case {"map": {"family": family, "table": table, "name": name, **rest}}:
                maps[family, table, f"@{name}"] = set(leads_to(rest))
            case {"rule": {"family": family, "table": table, "chain": chain, "expr": expr}}:
                targets.setdefault((family, table, chain), set()).update(leads_to(expr))
            case _:
                pass
    reached = set[tuple[str, str, str]]()
    while waiting:
        place = waiting.pop()
        if place not in reached:
            reached.add(place)
            waiting += [(*place[:2], t) for t in targets.get(place, ())]
            waiting += [(*place[:2], t) for t in maps.get(place, ())]
    return reached


def leads_to(value: object) -> Iterator[str]:
    """The chains that a rule jumps or goes to, and the maps, with `@`, that may name others."""
    match value:
        case {"jump": {"target": str(target)}} | {"goto": {"target": str(target)}}:
            yield target
        case dict():
            for inner in value.values():
                yield from leads_to(inner)
        case list():
            for inner in value:
                yield from leads_to(inner)
        case str() if value.startswith("@"):
            yield value
        case _:
            pass
