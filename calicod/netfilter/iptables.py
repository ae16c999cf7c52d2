"""The installer that speaks through `iptables-restore`, in its nft and in its legacy variant.

Law: one transaction for each table, raw and mangle before filter, IPv4 before IPv6 (so the IPv4 rules bear the newest
generation after a failure between the two). Chains are made once, but for one of each stamp; while nothing is managed
they stay, empty, so that the generation stays readable. A jump stands while its chain has rules: it comes and goes in
the transaction of these.
"""

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from calicod.errors import CalicodError
from calicod.model.steering import FlowKind, Steering
from calicod.netfilter import program
from calicod.netfilter.chains import JUMPS, tables
from calicod.netfilter.filter import ABOUT, DENIED, GENERATION_WORD
from calicod.netfilter.installer import Installed, Installer
from calicod.netfilter.kinds import of_family
from calicod.netfilter.plan import DROPS
from calicod.netfilter.program import Family
from calicod.netfilter.table import Saved, Table, erase, fill, is_first, leads_first, ours, words_of

Rules = dict[str, tuple[str, ...]]
"""Our chains of one table, as iptables-save showed them after they were installed."""


class IptablesInstaller:
    """One variant on the families that this host has.

    `others`: installers whose rules are in the kernel too; they would judge every packet twice, so they are removed
    when the first rules of this one are in force.
    """

    def __init__(
        self,
        families: Iterable[Family],
        others: Iterable[Installer] = (),
        notices: Iterable[str] = (),
        *,
        logs: bool = True,
    ) -> None:
        self.families = tuple(families)
        self.logs = logs
        self.name = f"iptables-{self.families[0].variant}"
        self.notices = tuple(notices)
        self._others = tuple(others)
        self._wanted: dict[tuple[int, str], Table] = {}
        self._seen: dict[tuple[int, str], Rules] = {}
        self._denied: tuple[FlowKind, ...] = ()
        self._lock = threading.Lock()

    def install(self, steering: Steering) -> None:
        """Refills what differs, and mends what another program changed. Raises CalicodError."""
        wanted = {family: tables(steering, family.number) for family in self.families}
        with self._lock:
            for family, parts in wanted.items():
                self._install(family, parts)
            self._denied = steering.denied
            for other in self._others:
                other.remove()
            self._others = ()

    def inspect(self) -> Installed:
        """Compares each chain with what was installed; before the first `install`, only that it is there."""
        with self._lock:
            kernel = {family: program.saved(family) for family in self.families}
            missing = [f"{family} {what}" for family, saved in kernel.items() for what in self._missing(family, saved)]
        generations = [_generation(saved) for saved in kernel.values()]
        missing += [
            f"{family} filter: generation {generation}, not {generations[0]}"
            for family, generation in zip(kernel, generations, strict=True)
            if generation != generations[0]
        ]
        drops = {reason: sum(_packets(saved, *where) for saved in kernel.values()) for reason, where in DROPS.items()}
        denied = {kind: n for family, saved in kernel.items() for kind, n in _denials(saved, self._denied, family)}
        return Installed(generations[0], not missing, tuple(missing), drops, denied)

    def script(self, steering: Steering) -> Mapping[str, str]:
        """By the name of each family's `iptables-restore`."""
        return {
            Path(family.restore).name: "".join(fill(table, {}) for table in tables(steering, family.number))
            for family in self.families
        }

    def remove(self) -> None:
        """Filter first: a packet that is no longer cleared must not be judged any more."""
        with self._lock:
            for other in self._others:
                other.remove()
            for family in self.families:
                _erase(family)
            self._wanted.clear()
            self._seen.clear()

    def _install(self, family: Family, parts: tuple[Table, ...]) -> None:
        saved = program.saved(family)
        due = [table for table in parts if self._due(family, table, saved)]
        if not due:
            return
        program.restore(family, "".join(fill(table, saved.get(table.name, {})) for table in due))
        saved = program.saved(family)
        for table in due:
            seen = ours(saved.get(table.name, {}))
            _confirm(family, table, seen)
            self._wanted[family.number, table.name] = table
            self._seen[family.number, table.name] = seen

    def _due(self, family: Family, table: Table, saved: Saved) -> bool:
        if self._wanted.get((family.number, table.name)) != table:
            return True
        return any(True for _ in _differences(table, self._seen[family.number, table.name], saved))

    def _missing(self, family: Family, saved: Saved) -> Iterable[str]:
        if not any(ours(table) for table in saved.values()):
            yield "has no chain of calicod's"
            return
        for name in JUMPS:
            table = self._wanted.get((family.number, name))
            if table is None:
                yield from _former_gaps(name, saved)
            else:
                yield from _differences(table, self._seen[family.number, name], saved)


def _confirm(family: Family, table: Table, seen: Rules) -> None:
    """What is taken for right from now on must be what was asked for, if only by the number of rules."""
    for chain in table.chains:
        if len(seen.get(chain.name, ())) != len(chain.rules):
            raise CalicodError(
                "K013",
                f"{family} {table.name}: chain {chain.name} is not as it was installed",
                hint="another program writes into chains of calicod's: stop it, run `calicod teardown`, start again",
                exit_code=4,
            )


def _differences(table: Table, seen: Rules, saved: Saved) -> Iterable[str]:
    yield from _gaps(table, saved)
    present = ours(saved.get(table.name, {}))
    for chain, rules in seen.items():
        if chain not in present:
            yield f"{table.name}: chain {chain} is gone"
        elif present[chain] != rules:
            yield f"{table.name}: the rules of chain {chain} were changed"


def _gaps(table: Table, saved: Saved) -> Iterable[str]:
    """Jumps that are not the first rule of their hook."""
    part = saved.get(table.name, {})
    for jump in table.jumps:
        if jump.chain not in part:
            yield f"{table.name}: there is no chain {jump.chain}"
        elif table.needs(jump) and not is_first(jump, part):
            yield f"{table.name} {jump.hook}: the jump to {jump.chain} is not the first rule"


def _former_gaps(name: str, saved: Saved) -> Iterable[str]:
    """The same of a former run, of which only the chains tell what it wanted."""
    part = saved.get(name, {})
    for jump in JUMPS[name]:
        if jump.chain not in part:
            yield f"{name}: there is no chain {jump.chain}"
        elif part[jump.chain].rules and not leads_first(jump, part):
            yield f"{name} {jump.hook}: the jump to {jump.chain} is not the first rule"


def _generation(saved: Saved) -> int | None:
    chain = saved.get("filter", {}).get(ABOUT)
    for rule in chain.rules if chain else ():
        for word in words_of(rule):
            name, _, number = word.partition(" ")
            if name == GENERATION_WORD and number.isdigit():
                return int(number)
    return None


def _packets(saved: Saved, table: str, chain: str) -> int:
    found = saved.get(table, {}).get(chain)
    return sum(found.packets) if found else 0


def _denials(saved: Saved, denied: tuple[FlowKind, ...], family: Family) -> Iterable[tuple[FlowKind, int]]:
    """What each rule of the chain has counted: they are in the order in which they were installed."""
    chain = saved.get("filter", {}).get(DENIED)
    kinds = of_family(denied, family.number)
    return zip(kinds, chain.packets, strict=True) if chain and len(chain.packets) == len(kinds) else ()


def _erase(family: Family) -> None:
    saved = program.saved(family)
    text = "".join(
        erase(name, saved[name]) for name in ("filter", *(n for n in saved if n != "filter")) if name in saved
    )
    if text:
        program.restore(family, text)
