"""The installer that speaks through `nft`, into a table of its own.

Law: one transaction for both families. Chains are made once, but for one of each stamp, and while nothing is managed
they stay, empty: the generation stays readable. The table is ours alone: whatever else appears in it was put there by
another program.
"""

import threading
from collections.abc import Iterable, Mapping

import msgspec

from calicod.errors import CalicodError
from calicod.model.steering import FlowKind, Steering
from calicod.netfilter import program
from calicod.netfilter.chains import JUMPS
from calicod.netfilter.filter import ABOUT, DENIED, GENERATION_WORD
from calicod.netfilter.inet import (
    FAMILIES,
    NAME,
    InetChain,
    InetTable,
    Shown,
    base_name,
    chains,
    entrances,
    read,
    script,
)
from calicod.netfilter.installer import Installed, Installer
from calicod.netfilter.kinds import of_family
from calicod.netfilter.native import leads_to
from calicod.netfilter.plan import DROPS
from calicod.netfilter.translation import chain_name

SETTING = "nft"


class NftInstaller:
    """Both families in the table `inet calicod`.

    `others`: installers whose rules are in the kernel too; they would judge every packet twice, so they are removed
    when the first rules of this one are in force.
    """

    name = SETTING

    def __init__(
        self, nft: str, others: Iterable[Installer] = (), notices: Iterable[str] = (), *, logs: bool = True
    ) -> None:
        self.nft = nft
        self.logs = logs
        self.notices = tuple(notices)
        self._others = tuple(others)
        self._wanted: tuple[InetChain, ...] = ()
        self._seen = InetTable()
        self._denied: tuple[FlowKind, ...] = ()
        self._lock = threading.Lock()

    def install(self, steering: Steering) -> None:
        """Refills what is due, and mends what another program changed. Raises CalicodError."""
        wanted = chains(steering)
        with self._lock:
            shown = self._show()
            if wanted != self._wanted or shown != self._seen:
                program.apply(self.nft, script(wanted, shown))
                seen = self._show() or InetTable()
                _confirm(wanted, seen)
                self._wanted, self._seen = wanted, seen
            self._denied = steering.denied
            for other in self._others:
                other.remove()
            self._others = ()

    def inspect(self) -> Installed:
        """Compares the table with what was installed; before the first `install`, only that it is there."""
        with self._lock:
            shown = self._show()
            if shown is None:
                return Installed(None, intact=False, missing=(f"there is no table inet {NAME}",))
            missing = tuple(_differences(self._seen, shown) if self._wanted else _gaps(shown))
        generations = {name: _generation(shown, number) for number, name in FAMILIES.items()}
        first, *rest = generations.values()
        if any(generation != first for generation in rest):
            missing += (f"the generations are {', '.join(f'{g} ({name})' for name, g in generations.items())}",)
        drops = {reason: _packets(shown, *where) for reason, where in DROPS.items()}
        denied = {kind: n for number in FAMILIES for kind, n in _denials(shown, self._denied, number)}
        return Installed(first, not missing, missing, drops, denied)

    def script(self, steering: Steering) -> Mapping[str, str]:
        """For nft itself."""
        return {SETTING: script(chains(steering), None)}

    def remove(self) -> None:
        """The table as a whole. Packets that wait in any queue of the namespace go with its base chains."""
        with self._lock:
            for other in self._others:
                other.remove()
            if self._show() is not None:
                program.apply(self.nft, f"delete table inet {NAME}\n")
            self._wanted, self._seen = (), InetTable()

    def _show(self) -> InetTable | None:
        text = program.listed(self.nft, NAME)
        return read(text) if text else None


def _confirm(wanted: Iterable[InetChain], seen: InetTable) -> None:
    """What is taken for right from now on must be what was asked for, if only by the number of rules."""
    for chain in wanted:
        shown = seen.chains.get(chain.name)
        if shown is None or len(shown.rules) != len(chain.rules) or shown.base != chain.base or seen.flags:
            raise CalicodError(
                "K013",
                f"chain {chain.name} of the table inet {NAME} is not as it was installed",
                hint="another program writes into calicod's table: stop it, run `calicod teardown`, start again",
                exit_code=4,
            )


def _differences(seen: InetTable, shown: InetTable) -> Iterable[str]:
    if shown.flags != seen.flags:
        yield f"the table inet {NAME} was made dormant"
    for name, chain in seen.chains.items():
        present = shown.chains.get(name)
        if present is None:
            yield f"chain {name} is gone"
        elif present.base != chain.base:
            yield f"chain {name} is hooked in otherwise"
        elif present.rules != chain.rules or present.comments != chain.comments:
            yield f"the rules of chain {name} were changed"
    yield from (f"chain {name} was added" for name in shown.chains.keys() - seen.chains.keys())


def _gaps(shown: InetTable) -> Iterable[str]:
    """What the rules of a former run lack that every run's have."""
    if shown.flags:
        yield f"the table inet {NAME} was made dormant"
    bases = entrances(JUMPS)
    for table, jump in ((table, jump) for table, jumps in JUMPS.items() for jump in jumps):
        name = base_name(table, jump.hook)
        present = shown.chains.get(name, Shown())
        ours = (chain_name(jump.chain, table, family) for family in FAMILIES)
        if present.base != bases[name]:
            yield f"there is no base chain {name}"
        elif {tuple(leads_to(msgspec.json.decode(rule))) for rule in present.rules} != {
            (our,) for our in ours if shown.chains.get(our, Shown()).rules
        }:
            yield f"the rules of chain {name} were changed"


def _generation(shown: InetTable, family: int) -> int | None:
    about = shown.chains.get(chain_name(ABOUT, "filter", family), Shown())
    for comment in about.comments:
        word, _, number = comment.partition(" ")
        if word == GENERATION_WORD and number.isdigit():
            return int(number)
    return None


def _packets(shown: InetTable, table: str, chain: str) -> int:
    names = (chain_name(chain, table, family) for family in FAMILIES)
    return sum(shown.chains[name].packets for name in names if name in shown.chains)


def _denials(shown: InetTable, denied: tuple[FlowKind, ...], family: int) -> Iterable[tuple[FlowKind, int]]:
    """What each rule of the chain has counted: they are in the order in which they were installed."""
    counts = shown.chains.get(chain_name(DENIED, "filter", family), Shown()).counts
    kinds = of_family(denied, family)
    return zip(kinds, counts, strict=True) if len(counts) == len(kinds) else ()
