"""What returns at once for its stamp would have returned anyway: the chains, walked with such rules and without."""

import re
from collections.abc import Mapping
from functools import cache
from itertools import product
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from calicod.model.marks import MarkLayout
from calicod.model.steering import FlowKind, Steering
from calicod.netfilter import stamped
from calicod.netfilter.chains import tables
from calicod.netfilter.kinds import chain_of
from calicod.netfilter.table import PREFIX, words_of
from tests.property.test_chains import FAMILIES, steerings

HOOKS = ("in", "fwd", "out")
EARLY = re.compile(rf"{PREFIX}(in-judge|fwd-\d+|out-judge|out-work)")
NAMES = ("eth0", "eth1", "cali-host", "wg0", "caliw1", "caliw2", "cali9", "veth9", "tap1", "other", "lo")
STATES = ("NEW", "ESTABLISHED", "ESTABLISHED", "RELATED", "RELATED", "INVALID", "UNTRACKED")
IDS = (0, 1, 2, 3, 4, 5, 7, 9, 20, 21, 31)
PACKETS = 200
CHAINS = Mapping[str, tuple[str, ...]]


class Packet(msgspec.Struct):
    """`connection`: its mark, None where none is known. `holds`: what is said of any other condition.

    `logged`: a rule has logged it.
    """

    incoming: str
    outgoing: str
    mark: int
    connection: int | None
    state: str
    direction: str
    status: frozenset[str]
    link_local: bool
    holds: bool
    logged: bool = False


def packet_for(steering: Steering, choice: Random) -> Packet:
    """Mostly one whose stamp speaks for some path."""
    marks: MarkLayout = steering.marks
    state = choice.choice(STATES)
    stages = choice.choice([marks.filter_stage] * 4 + [0, marks.filter_stage | marks.judged, marks.prednat_stage])
    generation = steering.generation + (choice.random() < 0.1)
    stamp = marks.stamp(generation, choice.choice(IDS)) | stages
    verdict = choice.choice([marks.accept, marks.reject, marks.known, marks.prednat])
    return Packet(
        incoming=choice.choice(NAMES),
        outgoing=choice.choice(NAMES),
        mark=verdict if choice.random() < 0.1 else 0,
        connection=stamp if state in STATES[:5] else None,
        state=state,
        direction=choice.choice(["ORIGINAL", "REPLY"]) if state != "NEW" else "ORIGINAL",
        status=frozenset(name for name in ("EXPECTED", "CONFIRMED") if choice.random() < 0.5 and state != "NEW"),
        link_local=choice.random() < 0.5,
        holds=choice.random() < 0.5,
    )


def selects(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern


def masked(word: str, mark: int) -> bool:
    value, mask = (int(number, 16) for number in word.split("/"))
    return mark & mask == value


@cache
def parsed(rule: str) -> tuple[tuple[tuple[str, str, str, bool], ...], tuple[str, ...]]:
    """Conditions (option, value, module, negated), and what becomes of a packet."""
    words = words_of(rule)
    at = next(number for number, word in enumerate(words) if word in {"-j", "-g"})
    conditions, module, negated = list[tuple[str, str, str, bool]](), "", False
    rest = iter(words[:at])
    for word in rest:
        if word == "!":
            negated = True
            continue
        value = next(rest)
        if word == "-m":
            module = value
        if word == "--tcp-flags":
            next(rest)
        if word != "-m" or module in {"dst", "rt"}:
            conditions.append((word, value, module, negated))
            negated = False
    return tuple(conditions), tuple(words[at:])


def condition(word: str, value: str, module: str, packet: Packet) -> bool:  # noqa: PLR0911  one for each option
    match word:
        case "-i":
            return selects(value, packet.incoming)
        case "-o":
            return selects(value, packet.outgoing)
        case "--mark" if module == "mark":
            return masked(value, packet.mark)
        case "--mark":
            return packet.connection is not None and masked(value, packet.connection)
        case "--ctstate":
            return packet.state in value.split(",")
        case "--ctdir":
            return packet.connection is not None and packet.direction == value
        case "--ctstatus":
            return bool(packet.status & {*value.split(",")})
        case "-s" if value == "fe80::/10":
            return packet.link_local
        case _:
            return packet.holds


def changed(mark: int, value: str) -> int:
    bits, mask = (int(number, 16) for number in value.split("/"))
    return mark & ~mask | bits


def walk(chains: CHAINS, name: str, packet: Packet) -> str:
    """What becomes of the packet; its marks change on the way."""
    for rule in chains[name]:
        conditions, target = parsed(rule)
        if any(condition(word, value, module, packet) == negated for word, value, module, negated in conditions):
            continue
        match target:
            case ["-j", "MARK", _, value]:
                packet.mark = changed(packet.mark, value)
            case ["-j", "CONNMARK", _, value]:
                packet.connection = None if packet.connection is None else changed(packet.connection, value)
            case ["-j", "NFLOG", *_]:
                packet.logged = True
            case ["-j", chain] if chain in chains:
                if (end := walk(chains, chain, packet)) != "RETURN":
                    return end
            case ["-g", chain]:
                return walk(chains, chain, packet)
            case [_, *end]:
                return " ".join(end)
    return "RETURN"


def early(name: str, rule: str) -> bool:
    """Whether it is one that the chain behind could do without."""
    directions = (stamped.ORIGINAL, stamped.REPLY, stamped.ORIGINAL.replace("NEW,", ""))
    returns = any(f" {direction} " in rule and rule.endswith("-j RETURN") for direction in directions)
    others = rule.endswith(("-others", "-unstamped")) and rule.startswith(("-i", "-o", "-s"))
    return EARLY.fullmatch(name) is not None and (returns or others)


@given(st.randoms(use_true_random=True), steerings(), FAMILIES)
def test_what_returns_at_once_would_have_returned_anyway(choice: Random, steering: Steering, family: int) -> None:
    table = next(part for part in tables(steering, family) if part.name == "filter")
    whole = {chain.name: chain.rules for chain in table.chains}
    without = {name: tuple(rule for rule in rules if not early(name, rule)) for name, rules in whole.items()}

    for packet in (packet_for(steering, choice) for _ in range(PACKETS)):
        for hook in HOOKS:
            one, other = msgspec.structs.replace(packet), msgspec.structs.replace(packet)
            ends = walk(whole, f"{PREFIX}{hook}", one), walk(without, f"{PREFIX}{hook}", other)
            assert ends[0] == ends[1], packet
            assert (one.mark, one.connection) == (other.mark, other.connection), packet


def kind(name: str, outgoing: str, family: int) -> FlowKind:
    ends = (bytes(4 if family == 4 else 16), b"\1" * (4 if family == 4 else 16))
    return FlowKind(name, outgoing, 6, *ends, 80)


BITS = st.integers(0, 0xFFFF_FFFF)


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3), steerings(), FAMILIES, BITS, BITS)
def test_what_the_kernel_allows_by_itself_is_stamped_as_a_verdict_would(
    names: list[str], steering: Steering, family: int, mark: int, connection: int
) -> None:
    """Whatever bits there are but ours: nothing else gets there, see below."""
    mark &= ~steering.marks.packet_mask
    connection &= ~(steering.marks.judged | steering.marks.filter_stage)
    kinds = tuple(kind(name, outgoing, family) for name in names for outgoing in ("eth1", ""))
    nics = tuple(msgspec.structs.replace(nic, prednat=False) for nic in steering.nics)
    given = msgspec.structs.replace(steering, nics=nics, wildcard_prednat=False, allowed=kinds, log_group=7)
    table = next(part for part in tables(given, family) if part.name == "filter")
    chains = {chain.name: chain.rules for chain in table.chains}

    assert bool(chains[f"{PREFIX}in-tell"]) == bool(chains[f"{PREFIX}in-stamp"])
    for hook, name in product(("in", "fwd"), names):
        if not any(f"-i {name} " in rule for rule in chains[chain_of(f"{PREFIX}{hook}")]):
            continue  # nobody asks about what is forwarded there, see below
        one = Packet(name, "eth1", mark, connection, "NEW", "ORIGINAL", frozenset(), link_local=False, holds=False)
        other = msgspec.structs.replace(one)
        assert walk(chains, f"{PREFIX}{hook}-tell", one) == walk(chains, f"{PREFIX}{hook}-stamp", other) == "RETURN"
        assert (one.mark, one.connection, one.logged) == (other.mark, other.connection, True)


@given(st.randoms(use_true_random=True), steerings(), FAMILIES)
def test_the_kernel_allows_by_itself_only_what_begins_and_bears_no_word_of_ours(
    choice: Random, steering: Steering, family: int
) -> None:
    """Nor does what it allows change what becomes of any other packet."""
    nics = tuple(msgspec.structs.replace(nic, prednat=False) for nic in steering.nics)
    plain = msgspec.structs.replace(steering, nics=nics, wildcard_prednat=False, log_group=7)
    kinds = tuple(kind(name, outgoing, family) for name in NAMES[:6] for outgoing in NAMES[:6])
    whole, without = (
        {chain.name: chain.rules for table in tables(given, family) if table.name == "filter" for chain in table.chains}
        for given in (msgspec.structs.replace(plain, allowed=kinds), plain)
    )
    marks = steering.marks
    for packet in (packet_for(steering, choice) for _ in range(PACKETS)):
        packet.connection = None if packet.connection is None else packet.connection * choice.choice((0, 1, 1))
        one, other = msgspec.structs.replace(packet), msgspec.structs.replace(packet)
        ends = walk(whole, f"{PREFIX}fwd", one), walk(without, f"{PREFIX}fwd", other)
        if one.logged:
            assert (packet.mark & marks.packet_mask, packet.state, packet.holds) == (0, "NEW", True)
            assert packet.connection is not None
            assert packet.connection & (marks.judged | marks.filter_stage) == 0
            assert ends[1].startswith("NFQUEUE")
        else:
            assert (ends[0], one) == (ends[1], other)
