"""Which installer this host gets: what was asked for, or else what works here and is already used by others.

Law: what works is tried in the kernel, not guessed from versions; the trial leaves nothing behind. An address family
that the kernel speaks and we cannot filter is an error, never a notice.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from calicod.errors import CalicodError
from calicod.model.marks import MarkLayout, layout
from calicod.netfilter import program
from calicod.netfilter.installer import Installer
from calicod.netfilter.iptables import IptablesInstaller
from calicod.netfilter.program import VARIANTS, Family
from calicod.netfilter.table import PREFIX, Saved

SETTINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"auto": VARIANTS, "iptables-nft": ("nft",), "iptables-legacy": ("legacy",)}
)
CAP_NET_ADMIN = 12
TRIAL = f"{PREFIX}trial"
FEATURES = (
    "-m conntrack --ctstate RELATED --ctstatus EXPECTED -j CONNMARK --set-xmark 0x0/{connection:#x}",
    "-m connmark ! --mark 0x0/{connection:#x} -j MARK --set-xmark 0x0/{packet:#x}",
    "-m mark --mark 0x0/{packet:#x} -m comment --comment trial -j NFQUEUE --queue-num 0",
    "-p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset",
)
"""A rule for every match and target that the chains use; a kernel that lacks one refuses it."""
V6_FEATURES = ("-p ipv6-icmp -m icmp6 --icmpv6-type 133 -m hl --hl-eq 255 -j RETURN",)
RAW_FEATURES = ("-m rpfilter --invert -j DROP",)


def choose(setting: str, marks: MarkLayout | None = None) -> Installer:
    """The installer for `steering: <setting>`. Raises CalicodError (exit code 4) that names the remedy."""
    if setting not in SETTINGS:
        raise CalicodError(
            "K014",
            f"steering {setting!r} is not available",
            hint=f"use one of {', '.join(SETTINGS)}",
            exit_code=4,
        )
    require_capability()
    candidates = {variant: found for variant in VARIANTS if (found := _families(variant))}
    wanted = [variant for variant in SETTINGS[setting] if variant in candidates]
    if not wanted:
        raise CalicodError(
            "K011",
            f"no programs for steering {setting!r}: iptables-restore and iptables-save were not found",
            hint="install the package `iptables`",
            exit_code=4,
        )
    kernel = {variant: _saved(families) for variant, families in candidates.items()}
    failures = {}
    for variant in _preferred(wanted, kernel):
        families, notices = _usable(variant, candidates[variant])
        failures[variant] = _trial(families, marks or layout())
        if not failures[variant]:
            others = [
                f for other, saved in kernel.items() if other != variant and _has_ours(saved) for f in candidates[other]
            ]
            return IptablesInstaller(families, others, notices)
    raise CalicodError(
        "K012",
        "the kernel does not take the rules: " + "; ".join(f"iptables-{v}: {why}" for v, why in failures.items()),
        hint="load nf_tables, nfnetlink_queue, nf_conntrack, xt_NFQUEUE, xt_connmark, xt_conntrack, xt_mark, xt_hl, "
        "ipt_rpfilter and ip6t_rpfilter (`modprobe`), or use a kernel that has them",
        exit_code=4,
    )


def remove_everything() -> None:
    """Removes what is ours in both variants: for `teardown`, which cannot know what the daemon used."""
    require_capability()
    for variant in VARIANTS:
        families = _families(variant)
        if _has_ours(_saved(families)):
            IptablesInstaller(families).remove()


def require_capability() -> None:
    """Raises CalicodError when this process may not change the kernel's rules."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff" and int(value, 16) >> CAP_NET_ADMIN & 1:
            return
    raise CalicodError(
        "K010",
        "CAP_NET_ADMIN is missing: the kernel's packet rules cannot be changed",
        hint="run as root, or give the unit AmbientCapabilities=CAP_NET_ADMIN",
        exit_code=4,
    )


def ipv6_is_on() -> bool:
    """Whether any interface but lo speaks IPv6, or will when it appears. Read from the caller's network namespace."""
    if not Path("/proc/net/if_inet6").exists():
        return False
    switches = Path("/proc/sys/net/ipv6/conf").glob("*/disable_ipv6")
    return any(switch.read_text().strip() == "0" for switch in switches if switch.parent.name not in {"lo", "all"})


def all_saved() -> dict[str, Saved]:
    """What `iptables-save` shows, by `<variant> ipv<family>`, of every variant that answers."""
    found = {}
    for variant in VARIANTS:
        for programs in _families(variant):
            if saved := _answer(programs):
                found[f"iptables-{variant} {programs}"] = saved
    return found


def _families(variant: str) -> tuple[Family, ...]:
    found = (program.family(variant, number) for number in (4, 6))
    return tuple(programs for programs in found if programs is not None)


def _usable(variant: str, families: tuple[Family, ...]) -> tuple[tuple[Family, ...], tuple[str, ...]]:
    """The families to steer, and what to say about one that is left out."""
    if not Path("/proc/net/if_inet6").exists():
        notice = "IPv6 is not in this kernel: no IPv6 rules are installed"
        return tuple(f for f in families if f.number == 4), (notice,)  # noqa: PLR2004  the family
    if any(f.number == 6 for f in families):  # noqa: PLR2004  the family
        return families, ()
    if not ipv6_is_on():
        return families, ("ip6tables is not installed, and IPv6 is switched off: no IPv6 rules are installed",)
    raise CalicodError(
        "K011",
        f"ip6tables-{variant} was not found, but IPv6 is on: its packets would pass unjudged",
        hint="install ip6tables, or switch IPv6 off (`sysctl net.ipv6.conf.all.disable_ipv6=1` and `…default…`)",
        exit_code=4,
    )


def _answer(programs: Family) -> Saved:
    """What is there; nothing when the kernel does not have this variant."""
    try:
        return program.saved(programs)
    except CalicodError:
        return {}


def _saved(families: tuple[Family, ...]) -> tuple[Saved, ...]:
    return tuple(_answer(programs) for programs in families)


def _has_ours(kernel: tuple[Saved, ...]) -> bool:
    return any(chain.startswith(PREFIX) for saved in kernel for table in saved.values() for chain in table)


def _in_use(kernel: tuple[Saved, ...]) -> bool:
    chains = [chain for saved in kernel for table in saved.values() for chain in table.values()]
    return any(chain.rules or chain.policy == "DROP" for chain in chains)


def _preferred(wanted: list[str], kernel: Mapping[str, tuple[Saved, ...]]) -> list[str]:
    """Where our rules are already, then where others' are, then as listed."""
    return sorted(wanted, key=lambda v: (not _has_ours(kernel[v]), not _in_use(kernel[v])))


def _trial(families: tuple[Family, ...], marks: MarkLayout) -> str:
    """Puts one rule of each kind into a chain to which nothing jumps, and takes it away; why it failed, or ""."""
    for programs in families:
        features = FEATURES + (V6_FEATURES if programs.number == 6 else ())  # noqa: PLR2004  the family
        text = _transaction("raw", RAW_FEATURES) + _transaction("filter", features)
        failure = program.attempt(programs, text.format(packet=marks.packet_mask, connection=marks.connection_mask))
        kernel = _answer(programs)
        left = [table for table in ("raw", "filter") if TRIAL in kernel.get(table, {})]
        if left:
            program.restore(programs, "".join(f"*{t}\n-F {TRIAL}\n-X {TRIAL}\nCOMMIT\n" for t in left))
        if failure:
            return f"{programs}: {failure}"
    return ""


def _transaction(table: str, rules: tuple[str, ...]) -> str:
    return "\n".join([f"*{table}", f":{TRIAL} - [0:0]", *(f"-A {TRIAL} {rule}" for rule in rules), "COMMIT", ""])
