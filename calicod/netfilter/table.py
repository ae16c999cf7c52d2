"""Chains of iptables rules as values, what `iptables-save` shows of them, and the text that makes the one the other.

Law: a chain of ours is never deleted and made again, only refilled, and everything of one table happens in one
transaction. Rules of others are neither read into meaning nor written.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from itertools import pairwise

import msgspec

PREFIX = "calicod-"
"""Every chain whose name begins so is ours, and no other."""

LONGEST_NAME = 28
"""XT_EXTENSION_MAXNAMELEN - 1: what a chain may be called."""

COUNTED = re.compile(r"^\[(\d+):\d+\] ")


class Chain(msgspec.Struct, frozen=True):
    """A chain of ours. `lasting`: refilled only when it is not as it should be, so that its counters go on."""

    name: str
    rules: tuple[str, ...]
    lasting: bool = False


class Jump(msgspec.Struct, frozen=True):
    """`hook`, a built-in chain, must have as its first rule the jump to `chain`, while that has any rule.

    `match`: of the packets that the chain is for; "" for all.
    """

    hook: str
    chain: str
    match: str = ""

    @property
    def rule(self) -> str:
        """The rule as iptables-save shows it."""
        return f"{self.match} -j {self.chain}".lstrip()


class Table(msgspec.Struct, frozen=True):
    """Our part of one table."""

    name: str
    chains: tuple[Chain, ...]
    jumps: tuple[Jump, ...]

    def needs(self, jump: Jump) -> bool:
        """Whether its chain has any rule: each packet of the hook would pay for a jump to nothing."""
        return any(chain.name == jump.chain and chain.rules for chain in self.chains)


class SavedChain(msgspec.Struct, frozen=True):
    """A chain as the kernel has it. `policy`: None for a user's chain. `packets`: by rule, when they were asked for."""

    policy: str | None
    rules: tuple[str, ...] = ()
    packets: tuple[int, ...] = ()


SavedTable = Mapping[str, SavedChain]
Saved = Mapping[str, SavedTable]
"""Table name -> chain name -> chain."""


def parse_save(text: str) -> Saved:
    """What `iptables-save`, with or without `-c`, has printed."""
    policies: dict[str, dict[str, str | None]] = {}
    rules: dict[tuple[str, str], list[tuple[str, int]]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
            policies.setdefault(table, {})
        elif line.startswith(":"):
            name, policy = line[1:].split()[:2]
            policies[table][name] = None if policy == "-" else policy
        else:
            counted = COUNTED.match(line)
            body = line[counted.end() :] if counted else line
            if body.startswith("-A "):
                _, chain, *rest = body.split(" ", 2)
                entry = (rest[0].strip() if rest else "", int(counted[1]) if counted else 0)
                rules.setdefault((table, chain), []).append(entry)
    return {
        table: {name: _saved_chain(policy, rules.get((table, name), [])) for name, policy in chains.items()}
        for table, chains in policies.items()
    }


def _saved_chain(policy: str | None, entries: Iterable[tuple[str, int]]) -> SavedChain:
    listed = tuple(entries)
    return SavedChain(policy, tuple(rule for rule, _ in listed), tuple(packets for _, packets in listed))


def ours(saved: SavedTable) -> dict[str, tuple[str, ...]]:
    """Our chains with their rules."""
    return {name: chain.rules for name, chain in saved.items() if name.startswith(PREFIX)}


def is_first(jump: Jump, saved: SavedTable) -> bool:
    """Whether the jump is the first rule of its hook, and the only one there that leads to its chain."""
    return leads_first(jump, saved) and leading(jump, saved) == (jump.rule,)


def leads_first(jump: Jump, saved: SavedTable) -> bool:
    """Whether the first rule of the hook, and no other, leads to the chain of the jump, whatever it matches."""
    rules = saved[jump.hook].rules if jump.hook in saved else ()
    return bool(rules) and rules[:1] == leading(jump, saved)


def leading(jump: Jump, saved: SavedTable) -> tuple[str, ...]:
    """The rules of the hook that lead to the chain of the jump."""
    rules = saved[jump.hook].rules if jump.hook in saved else ()
    return tuple(rule for rule in rules if target_of(rule) == jump.chain)


def target_of(rule: str) -> str:
    """The chain or target that a rule of iptables-save jumps or goes to; "" when it has none."""
    return next((value for option, value in pairwise(words_of(rule)) if option in {"-j", "-g"}), "")


def words_of(rule: str) -> list[str]:
    """The words of a rule, a quoted one (a comment) as one."""
    if '"' not in rule:
        return rule.split()
    try:
        return shlex.split(rule)
    except ValueError:
        return rule.split()


def fill(table: Table, saved: SavedTable) -> str:
    """The transaction that makes our part of the table as it should be, whatever is there now."""
    refilled = [c for c in table.chains if not (c.lasting and c.name in saved and saved[c.name].rules == c.rules)]
    obsolete = sorted(ours(saved).keys() - {chain.name for chain in table.chains})
    lines = [f"*{table.name}"]
    lines += [f":{chain.name} - [0:0]" for chain in refilled]
    lines += [f"-A {chain.name} {rule}" for chain in refilled for rule in chain.rules]
    for jump in table.jumps:
        if table.needs(jump) and is_first(jump, saved):
            continue
        lines += [f"-D {jump.hook} {rule}" for rule in leading(jump, saved)]
        lines += [f"-I {jump.hook} 1 {jump.rule}"] if table.needs(jump) else []
    lines += _delete(obsolete, saved)
    return "\n".join([*lines, "COMMIT", ""])


def erase(name: str, saved: SavedTable) -> str:
    """The transaction that removes our part of the table; "" when there is none."""
    chains = sorted(ours(saved))
    return "\n".join([f"*{name}", *_delete(chains, saved), "COMMIT", ""]) if chains else ""


def _delete(chains: Iterable[str], saved: SavedTable) -> list[str]:
    """Jumps from outside first, then the rules (chains of ours jump to each other), then the chains."""
    doomed = tuple(chains)
    jumps = [
        f"-D {name} {rule}"
        for name, chain in saved.items()
        if not name.startswith(PREFIX)
        for rule in chain.rules
        if target_of(rule) in doomed
    ]
    return jumps + [f"-F {chain}" for chain in doomed] + [f"-X {chain}" for chain in doomed]
