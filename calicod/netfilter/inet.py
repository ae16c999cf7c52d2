"""The one table of nft that is ours: its chains for a Steering, the transaction that makes it so, and what nft shows.

Law: a base chain is never deleted and made again while it is as we made it: with any base chain every packet goes that
waits in any queue of the namespace. Chains are refilled, the whole table in one transaction, both families together.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec.structs import replace

from calicod.model.steering import Steering
from calicod.netfilter.chains import tables
from calicod.netfilter.table import Jump
from calicod.netfilter.translation import chain_name, translate

NAME = "calicod"
FAMILIES = MappingProxyType({4: "ipv4", 6: "ipv6"})
PRIORITIES = MappingProxyType({"raw": -301, "mangle": -151, "filter": -1})
"""One before the priority of iptables' own table: ours come first, as there the jump to ours is the first rule."""
REROUTING = ("mangle", "OUTPUT")
"""As in iptables, a mark that changes there chooses the route anew."""
COUNTED_DROP = '[{"counter":null},{"drop":null}]'
"""The rule of a lasting chain, as `read` shows it."""


class Base(msgspec.Struct, frozen=True):
    """Where a base chain is hooked in."""

    hook: str
    priority: int
    type: str = "filter"
    policy: str = "accept"

    def __str__(self) -> str:
        return f"{{ type {self.type} hook {self.hook} priority {self.priority}; policy {self.policy}; }}"


class InetChain(msgspec.Struct, frozen=True):
    """A chain with its rules in nft's words. `lasting`: refilled only when its rule is gone, so its counter goes on."""

    name: str
    rules: tuple[str, ...]
    lasting: bool = False
    base: Base | None = None


class Shown(msgspec.Struct, frozen=True):
    """A chain as nft shows it: each rule as JSON without its handle and counts; its comment; the packets it counted."""

    base: Base | None = None
    rules: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    @property
    def packets(self) -> int:
        """What all rules counted."""
        return sum(self.counts)


class InetTable(msgspec.Struct, frozen=True):
    """The table as nft shows it. `flags`: `dormant` switches every base chain off."""

    flags: tuple[str, ...] = ()
    chains: Mapping[str, Shown] = {}


def chains(steering: Steering) -> tuple[InetChain, ...]:
    """The chains of both families and, for each hook, the base chain that leads to them."""
    made: list[InetChain] = []
    entries: dict[tuple[str, str], list[str]] = {}
    for family, protocol in FAMILIES.items():
        for table in tables(steering, family):
            for chain in table.chains:
                rules = tuple(text for rule in chain.rules for text in translate(rule, table.name, family))
                made.append(InetChain(chain_name(chain.name, table.name, family), rules, chain.lasting))
            for jump in table.jumps:
                jumping = translate(jump.rule, table.name, family) if table.needs(jump) else ()
                entries.setdefault((table.name, jump.hook), []).extend(f"meta nfproto {protocol} {j}" for j in jumping)
    return (*made, *(InetChain(base_name(*where), tuple(e), base=base(*where)) for where, e in entries.items()))


def base_name(table: str, hook: str) -> str:
    """What the base chain for a hook of one of iptables' tables is called."""
    return f"{table}-{hook.lower()}"


def base(table: str, hook: str) -> Base:
    """Where it is hooked in."""
    kind = "route" if (table, hook) == REROUTING else "filter"
    return Base(hook.lower(), PRIORITIES[table], kind)


def entrances(jumps: Mapping[str, Iterable[Jump]]) -> dict[str, Base]:
    """The base chains that must be there, whatever the Steering."""
    return {base_name(table, jump.hook): base(table, jump.hook) for table, each in jumps.items() for jump in each}


def script(wanted: tuple[InetChain, ...], shown: InetTable | None, name: str = NAME) -> str:
    """The transaction after which the table is as wanted, whatever it is now."""
    there = shown.chains if shown else {}
    table = f"inet {name}"
    refilled = [chain for chain in wanted if not (chain.lasting and _counts(there.get(chain.name)))]
    displaced = [chain.name for chain in wanted if chain.name in there and _displaced(chain.base, there[chain.name])]
    obsolete = sorted(there.keys() - {chain.name for chain in wanted})
    flushed = [chain.name for chain in refilled if chain.name in there] + obsolete
    lines = [f"add table {table}"]
    lines += [f"flush chain {table} {chain}" for chain in flushed]
    lines += [f"delete chain {table} {chain}" for chain in (*displaced, *(c for c in obsolete if not there[c].base))]
    lines += [f"add chain {table} {chain.name}{f' {chain.base}' if chain.base else ''}" for chain in wanted]
    lines += [f"add chain {table} {c} {replace(b, policy='accept')}" for c in obsolete if (b := there[c].base)]
    lines += [f"add rule {table} {chain.name} {rule}" for chain in refilled for rule in chain.rules]
    return "\n".join([*lines, ""])


def _counts(shown: Shown | None) -> bool:
    return shown is not None and shown.rules == (COUNTED_DROP,) and shown.base is None


def _displaced(wanted: Base | None, shown: Shown) -> bool:
    """Another program deleted the chain and made one of that name elsewhere; the policy alone can be set back."""
    if wanted is None or shown.base is None:
        return wanted is not shown.base
    return (wanted.hook, wanted.priority, wanted.type) != (shown.base.hook, shown.base.priority, shown.base.type)


def read(text: str) -> InetTable:
    """What `nft --json list table` has printed."""
    flags: tuple[str, ...] = ()
    bases: dict[str, Base | None] = {}
    rules: dict[str, list[tuple[str, str, int]]] = {}
    for item in msgspec.json.decode(text)["nftables"]:
        match item:
            case {"table": table}:
                flags = tuple(_listed(table.get("flags")))
            case {"chain": chain}:
                bases[chain["name"]] = _base(chain)
            case {"rule": rule}:
                expressions, packets = _uncounted(rule["expr"])
                entry = (msgspec.json.encode(expressions).decode(), rule.get("comment", ""), packets)
                rules.setdefault(rule["chain"], []).append(entry)
            case _:
                pass
    return InetTable(flags, {name: _shown(found, rules.get(name, [])) for name, found in bases.items()})


def _shown(found: Base | None, rules: Iterable[tuple[str, str, int]]) -> Shown:
    listed = tuple(rules)
    return Shown(found, tuple(r[0] for r in listed), tuple(r[1] for r in listed), tuple(r[2] for r in listed))


def _base(chain: Mapping[str, Any]) -> Base | None:
    """`Any`: JSON of another program."""
    if "hook" not in chain:
        return None
    return Base(chain["hook"], int(chain["prio"]), chain["type"], chain.get("policy", "accept"))


def _uncounted(expressions: Iterable[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], int]:
    """The expressions with their counters at nothing, and how many packets those had counted."""
    plain, packets = list[Mapping[str, Any]](), 0
    for expression in expressions:
        match expression:
            case {"counter": {"packets": int(count)}}:
                plain.append({"counter": None})
                packets += count
            case _:
                plain.append(expression)
    return plain, packets


def _listed(value: str | list[str] | None) -> list[str]:
    """One flag is shown as a word, several as a list."""
    return [value] if isinstance(value, str) else value or []
