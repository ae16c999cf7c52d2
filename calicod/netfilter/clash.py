"""Rules of other programs that would disturb ours: the same queues, or the same bits of the marks.

Rules of iptables are read here, as iptables-save shows them; those of nftables by `native`.

Law: a rule that could forge a verdict or take our packets is refused by name; one that only costs speed is told. Rules
that cannot be read are taken for harmless only in words that no rule of iptables uses for marks and queues.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise

import msgspec

from calicod.errors import CalicodError
from calicod.model.steering import Steering
from calicod.netfilter import native, program
from calicod.netfilter.inet import NAME
from calicod.netfilter.native import Place
from calicod.netfilter.nftables import table_names
from calicod.netfilter.probe import all_saved
from calicod.netfilter.table import PREFIX, Saved, SavedTable, target_of, words_of
from calicod.netfilter.way import COMPATIBLE

LEAVING = ("OUTPUT", "POSTROUTING")
"""Hooks in which a packet's mark may have been chosen by a local process (SO_MARK)."""


class Clash(msgspec.Struct, frozen=True):
    """A rule of another program, where it is, and what it would do. `fatal`: calicod must not start beside it."""

    where: str
    rule: str
    why: str
    fatal: bool

    def __str__(self) -> str:
        return f"{self.where}: `{self.rule}` {self.why}"


def check(steering: Steering) -> tuple[Clash, ...]:
    """The rules that only cost speed. Raises CalicodError that names those that must not be."""
    found = (*find(all_saved(), steering), *find_native(steering))
    fatal = [clash for clash in found if clash.fatal]
    if fatal:
        raise CalicodError(
            "K015",
            "; ".join(str(clash) for clash in fatal),
            hint="change `queue_base`, `packet_mark_mask` or `connection_mark_mask`, or give that rule a mask",
            exit_code=4,
        )
    return tuple(clash for clash in found if not clash.fatal)


def find_native(steering: Steering) -> tuple[Clash, ...]:
    """Every clash among the rules of nftables that are not iptables'. Raises CalicodError."""
    others = [name for name in table_names() if name != f"inet {NAME}"]
    nft = program.find("nft")
    if nft is None:
        why = "cannot be searched for rules that clash with calicod's: nft is not installed"
        return tuple(Clash("nft", name, why, fatal=False) for name in others if name not in COMPATIBLE)
    if not others:
        return ()
    found = []
    for finding in native.find(program.ruleset(nft), steering):
        place = finding.place
        where = f"nft {place.family} {place.table} {place.chain}"
        found.append(Clash(where, _words(nft, place), finding.why, finding.fatal))
    return tuple(found)


def _words(nft: str, place: Place) -> str:
    """The rule as nft shows it; its handle when it is no longer there."""
    mark = f" # handle {place.handle}"
    for line in program.chain(nft, place.family, place.table, place.chain).splitlines():
        if line.endswith(mark):
            return line.removesuffix(mark).strip()
    return mark.strip(" #")


def find(kernel: Mapping[str, Saved], steering: Steering) -> tuple[Clash, ...]:
    """Every clash in what iptables-save shows of each variant and family."""
    found = []
    for variant, saved in kernel.items():
        for table, chains in saved.items():
            leaving = _reachable(chains, LEAVING)
            for chain, content in chains.items():
                if chain.startswith(PREFIX):
                    continue
                for rule in content.rules:
                    why, fatal = _judge(rule, steering, leaving=table != "raw" and chain in leaving)
                    if why:
                        found.append(Clash(f"{variant} {table}", f"-A {chain} {rule}", why, fatal))
    return tuple(found)


def _reachable(chains: SavedTable, hooks: Iterable[str]) -> frozenset[str]:
    """The chains that a packet of these hooks may traverse."""
    reached: set[str] = set()
    waiting = [hook for hook in hooks if hook in chains]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [t for rule in chains[name].rules if (t := target_of(rule)) in chains]
    return frozenset(reached)


def _judge(rule: str, steering: Steering, *, leaving: bool) -> tuple[str, bool]:
    """Why the rule clashes ("" if it does not), and whether it must not be. In raw no connection is known yet."""
    words = words_of(rule)
    options = dict(pairwise(words))
    match target_of(rule):
        case "NFQUEUE":
            return _queue(options, steering)
        case "MARK" | "TPROXY":
            return _packet_mark(options, steering)
        case "CONNMARK":
            return _connection_mark(words, options, steering, leaving=leaving)
        case _:
            return "", False


def _queue(options: Mapping[str, str], steering: Steering) -> tuple[str, bool]:
    balance = options.get("--queue-balance", "")
    first, _, last = balance.partition(":") if balance else (options.get("--queue-num", "0"), "", "")
    low, high = _number(first), _number(last or first)
    ours = range(steering.queue_base, steering.queue_base + 2 * steering.workers)
    if low <= ours[-1] and high >= ours[0]:
        return f"uses queues of calicod's ({ours[0]}-{ours[-1]})", True
    return "", False


def _packet_mark(options: Mapping[str, str], steering: Steering) -> tuple[str, bool]:
    value, _ = _valued(options, ("--set-xmark", "--set-mark", "--or-mark", "--xor-mark", "--tproxy-mark"))
    if value & steering.marks.packet_mask:
        return f"sets packet mark bits of calicod's ({steering.marks.packet_mask:#x})", True
    return "", False


def _connection_mark(
    words: list[str], options: Mapping[str, str], steering: Steering, *, leaving: bool
) -> tuple[str, bool]:
    bits = steering.marks.connection_mask
    if "--restore-mark" in words:
        return "", False
    if "--save-mark" in words:
        packet = _number(options.get("--nfmask") or options.get("--mask") or "0xffffffff")
        connection = _number(options.get("--ctmask") or options.get("--mask") or "0xffffffff")
        if leaving and packet & bits:
            return f"lets a process that may set marks forge a connection mark of calicod's ({bits:#x})", True
        return (native.erases(bits), False) if (connection | packet) & bits else ("", False)
    value, mask = _valued(options, ("--set-xmark", "--set-mark", "--or-mark", "--xor-mark"))
    if value & bits:
        return f"sets connection mark bits of calicod's ({bits:#x})", True
    return (native.erases(bits), False) if mask & bits else ("", False)


def _valued(options: Mapping[str, str], names: Iterable[str]) -> tuple[int, int]:
    """Value and mask of the option that is there; no bits when none is."""
    for name in names:
        if name in options:
            value, slash, mask = options[name].partition("/")
            return _number(value), _number(mask) if slash else 0xFFFFFFFF
    return 0, 0


def _number(text: str) -> int:
    """A number as iptables writes it. What is none is taken for all bits: better a clash too many."""
    try:
        return int(text, 0)
    except ValueError:
        return 0xFFFFFFFF
