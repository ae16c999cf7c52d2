"""The ways of steering that this host has programs for: what each finds in the kernel, and whether the kernel takes it.

Law: what works is tried in the kernel, not guessed from versions; the trial leaves nothing behind. An address family
that the kernel speaks and we cannot filter is an error, never a notice.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import MappingProxyType

from calicod.errors import CalicodError
from calicod.model.marks import MarkLayout
from calicod.model.steering import FailsafePort, Nic, Steering
from calicod.netfilter import program
from calicod.netfilter.inet import NAME, chains, script
from calicod.netfilter.installer import Installer
from calicod.netfilter.iptables import IptablesInstaller
from calicod.netfilter.nft import SETTING, NftInstaller
from calicod.netfilter.nftables import table_names
from calicod.netfilter.program import Family
from calicod.netfilter.table import PREFIX, Saved

IPV6 = 6
TRIAL = f"{PREFIX}trial"
FEATURES = (
    "-m conntrack --ctstate RELATED --ctstatus EXPECTED -j CONNMARK --set-xmark 0x0/{connection:#x}",
    "-m connmark ! --mark 0x0/{connection:#x} -j MARK --set-xmark 0x0/{packet:#x}",
    "-m mark --mark 0x0/{packet:#x} -m comment --comment trial -j NFQUEUE --queue-num 0",
    "-p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset",
)
"""A rule for every match and target that the chains use; a kernel that lacks one refuses it."""
LOG_FEATURES = ("-j NFLOG --nflog-prefix trial --nflog-group 0 --nflog-size 80 --nflog-threshold 2",)
"""What calicod does without where a kernel lacks it."""
V6_FEATURES = ("-p ipv6-icmp -m icmp6 --icmpv6-type 133 -m hl --hl-eq 255 -j RETURN",)
RAW_FEATURES = ("-m rpfilter --invert -j DROP",)
COMPATIBLE = frozenset(
    f"{family} {name}"
    for family in ("ip", "ip6", "arp", "bridge")
    for name in ("raw", "mangle", "nat", "filter", "security", "broute")
)
"""Tables of iptables' nft variant and its kin."""
EVERYTHING = MappingProxyType(
    {
        "nics": (Nic("eth0", 3, managed=True),),
        "workload_prefixes": ("cali",),
        "failsafe_inbound": (FailsafePort(6, 22),),
        "failsafe_outbound": (FailsafePort(17, 53),),
        "fail_open": True,
    }
)
"""A Steering that needs every statement of nft that a table of ours may have."""


class IptablesWay:
    """One variant of iptables. `saved`: what its programs show, by family."""

    def __init__(self, variant: str, families: Iterable[Family]) -> None:
        self.name = f"iptables-{variant}"
        self.families = tuple(families)
        with ThreadPoolExecutor() as both:  # a program takes 10 ms, and who takes over waits for them
            self.saved = dict(zip(self.families, both.map(_answer, self.families), strict=True))

    @property
    def ours(self) -> tuple[str, ...]:
        """Where rules of ours are."""
        return tuple(
            f"{self.name} {family}"
            for family, saved in self.saved.items()
            if any(chain.startswith(PREFIX) for table in saved.values() for chain in table)
        )

    @property
    def used(self) -> bool:
        """Whether anybody has rules there."""
        chains = [chain for saved in self.saved.values() for table in saved.values() for chain in table.values()]
        return any(chain.rules or chain.policy == "DROP" for chain in chains)

    def trial(self, marks: MarkLayout, *, logs: bool = False) -> str:
        """Puts one rule of each kind into a chain to which nothing jumps, and takes it away; why it failed, or "".

        `logs`: also those that log.
        """
        with ThreadPoolExecutor() as both:
            failures = both.map(partial(_try, marks=marks, logs=logs), _usable(self)[0])
        return next(filter(None, failures), "")

    def installer(self, others: Iterable[Installer] = (), *, logs: bool = True) -> Installer:
        """Of the families that are to be steered; `others` have rules of ours that are to go. Raises CalicodError."""
        families, notices = _usable(self)
        return IptablesInstaller(families, others, notices, logs=logs)

    def remover(self) -> Installer:
        """For every family of which there are programs."""
        return IptablesInstaller(self.families)


class NftWay:
    """Native nftables. `program`: nft itself; `tables`: family and name of each in this namespace."""

    name = SETTING

    def __init__(self, nft: str, tables: Iterable[str]) -> None:
        self.program = nft
        self.tables = frozenset(tables)

    @property
    def ours(self) -> tuple[str, ...]:
        """Where rules of ours are."""
        return (f"nft inet {NAME}",) if f"inet {NAME}" in self.tables else ()

    @property
    def used(self) -> bool:
        """Whether anybody has a table there. Those of iptables' nft variant are not native."""
        return bool(self.tables - COMPATIBLE)

    def trial(self, marks: MarkLayout, *, logs: bool = False) -> str:
        """Has the kernel check a whole table of ours under another name, and keep nothing; why it failed, or "".

        `logs`: with rules that log.
        """
        group = 0 if logs else None
        steering = Steering(generation=1, marks=marks, log_group=group, **EVERYTHING)  # type: ignore[arg-type]  # a table of arguments
        return program.refusal(self.program, script(chains(steering), None, TRIAL), check=True)

    def installer(self, others: Iterable[Installer] = (), *, logs: bool = True) -> Installer:
        """Of both families at once; `others` have rules of ours that are to go."""
        return NftInstaller(self.program, others, logs=logs)

    def remover(self) -> Installer:
        """Of the one table."""
        return NftInstaller(self.program)


Way = IptablesWay | NftWay


def ways() -> dict[str, Way]:
    """By the name that the setting `steering` has for it."""
    found: dict[str, Way] = {}
    for variant in program.VARIANTS:
        if families := tuple(f for f in (program.family(variant, number) for number in (4, IPV6)) if f is not None):
            way = IptablesWay(variant, families)
            found[way.name] = way
    if nft := program.find("nft"):
        found[SETTING] = NftWay(nft, table_names())
    return found


def ipv6_is_on() -> bool:
    """Whether any interface but lo speaks IPv6, or will when it appears. Read from the caller's network namespace."""
    if not Path("/proc/net/if_inet6").exists():
        return False
    switches = Path("/proc/sys/net/ipv6/conf").glob("*/disable_ipv6")
    return any(switch.read_text().strip() == "0" for switch in switches if switch.parent.name not in {"lo", "all"})


def _usable(way: IptablesWay) -> tuple[tuple[Family, ...], tuple[str, ...]]:
    """The families to steer, and what to say about one that is left out. Raises CalicodError."""
    if not Path("/proc/net/if_inet6").exists():
        notice = "IPv6 is not in this kernel: no IPv6 rules are installed"
        return tuple(f for f in way.families if f.number != IPV6), (notice,)
    if any(f.number == IPV6 for f in way.families):
        return way.families, ()
    if not ipv6_is_on():
        return way.families, ("ip6tables is not installed, and IPv6 is switched off: no IPv6 rules are installed",)
    raise CalicodError(
        "K011",
        f"ip6tables{way.name.removeprefix('iptables')} was not found, but IPv6 is on: its packets would pass unjudged",
        hint="install ip6tables, or switch IPv6 off (`sysctl net.ipv6.conf.all.disable_ipv6=1` and `…default…`)",
        exit_code=4,
    )


def _answer(programs: Family) -> Saved:
    """What is there; nothing when the kernel does not have this variant."""
    try:
        return program.saved(programs)
    except CalicodError:
        return {}


def _try(programs: Family, *, marks: MarkLayout, logs: bool) -> str:
    features = FEATURES + (V6_FEATURES if programs.number == IPV6 else ()) + (LOG_FEATURES if logs else ())
    text = _transaction("raw", RAW_FEATURES) + _transaction("filter", features)
    failure = program.attempt(programs, text.format(packet=marks.packet_mask, connection=marks.connection_mask))
    kernel = _answer(programs)
    left = [table for table in ("raw", "filter") if TRIAL in kernel.get(table, {})]
    if left:
        program.restore(programs, "".join(f"*{t}\n-F {TRIAL}\n-X {TRIAL}\nCOMMIT\n" for t in left))
    return f"{programs}: {failure}" if failure else ""


def _transaction(table: str, rules: tuple[str, ...]) -> str:
    return "\n".join([f"*{table}", f":{TRIAL} - [0:0]", *(f"-A {TRIAL} {rule}" for rule in rules), "COMMIT", ""])
