"""Which installer this host gets: what was asked for, or else what works here and is already used by others.

Law: what works is tried in the kernel, not guessed from versions. Rules of ours that another way of steering left are
removed, but only when the new ones are in force.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from calicod.errors import CalicodError
from calicod.model.marks import MarkLayout, layout
from calicod.netfilter import nft
from calicod.netfilter.installer import Installer
from calicod.netfilter.table import Saved
from calicod.netfilter.way import IptablesWay, Way, ways

NAMES = ("iptables-nft", "iptables-legacy", nft.SETTING)
"""In the order in which `auto` prefers them among equals."""
SETTINGS: Mapping[str, tuple[str, ...]] = MappingProxyType({"auto": NAMES, **{name: (name,) for name in NAMES}})
PACKAGES = MappingProxyType({nft.SETTING: "nftables"})
CAP_NET_ADMIN = 12


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
    found = ways()
    wanted = [found[name] for name in SETTINGS[setting] if name in found]
    if not wanted:
        raise CalicodError(
            "K011",
            f"no programs for steering {setting!r}: {_programs(setting)} found",
            hint=f"install the package `{PACKAGES.get(setting, 'iptables')}`",
            exit_code=4,
        )
    failures: dict[str, str] = {}
    refused: CalicodError | None = None
    for way in preferred(wanted):
        try:
            logs = not way.trial(marks or layout(), logs=True)
            failures[way.name] = "" if logs else way.trial(marks or layout())
        except CalicodError as refusal:
            refused = refused or refusal
        else:
            if not failures[way.name]:
                others = [other.remover() for other in found.values() if other is not way and other.ours]
                return way.installer(others, logs=logs)
    if refused is not None:
        raise refused
    raise CalicodError(
        "K012",
        "the kernel does not take the rules: " + "; ".join(f"{name}: {why}" for name, why in failures.items()),
        hint="load nf_tables, nfnetlink_queue, nf_conntrack, xt_NFQUEUE, xt_connmark, xt_conntrack, xt_mark, xt_hl, "
        "ipt_rpfilter and ip6t_rpfilter, or nft_queue, nft_ct, nft_fib_inet and nft_reject_inet (`modprobe`), or use a "
        "kernel that has them",
        exit_code=4,
    )


def preferred(wanted: Iterable[Way]) -> list[Way]:
    """Where our rules are already, then where others' are, then as listed."""
    return sorted(wanted, key=lambda way: (not way.ours, not way.used))


def where_ours() -> tuple[str, ...]:
    """Where in the kernel rules of ours are."""
    return tuple(where for way in ways().values() for where in way.ours)


def remove_everything() -> None:
    """Removes what is ours in every way: for `teardown`, which cannot know what the daemon used."""
    require_capability()
    for way in ways().values():
        if way.ours:
            way.remover().remove()


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


def all_saved() -> dict[str, Saved]:
    """What `iptables-save` shows, by `iptables-<variant> ipv<family>`, of every variant that answers."""
    return {
        f"{way.name} {family}": saved
        for way in ways().values()
        if isinstance(way, IptablesWay)
        for family, saved in way.saved.items()
        if saved
    }


def _programs(setting: str) -> str:
    if setting == "auto":
        return "neither iptables-restore with iptables-save nor nft was"
    return "nft was not" if setting == nft.SETTING else "iptables-restore and iptables-save were not"
