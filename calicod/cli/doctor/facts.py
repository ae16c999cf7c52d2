"""What is known about this host: everything that the checks look at, as values.

Law: gathered once (`gather`), never changed; a check reads nothing else.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from calicod.daemon.settings import Settings
from calicod.daemon.state import Status
from calicod.errors import Diagnostic
from calicod.model.interface import Link
from calicod.model.steering import Steering
from calicod.netfilter.clash import Clash
from calicod.netfilter.table import Saved
from calicod.ruleset.program import RuleSet


class Trouble(msgspec.Struct, frozen=True):
    """What an edge refused, in its own words; `hint`: its remedy."""

    message: str
    hint: str = ""


class Kernel(msgspec.Struct, frozen=True):
    """`release` as `uname -r`; `version`: of the upstream kernel that it is made from, () when nobody tells."""

    release: str
    version: tuple[int, ...] = ()


class Choice(msgspec.Struct, frozen=True):
    """What the trial of the installers gave: a name, with notices, or why there is none."""

    name: str = ""
    notices: tuple[str, ...] = ()
    trouble: Trouble | None = None


class Holder(msgspec.Struct, frozen=True):
    """The reader of a queue: its process and name; None and "" when it cannot be found out."""

    pid: int | None = None
    name: str = ""


class Daemon(msgspec.Struct, frozen=True):
    """Who holds the run directory. `family`: its processes; `elsewhere`: in another network namespace."""

    pid: int
    family: tuple[int, ...] = ()
    elsewhere: bool = False
    status: Status | None = None
    silence: str = ""


class Unit(msgspec.Struct, frozen=True):
    """A unit of systemd: is it there, is it started at boot."""

    installed: bool = False
    enabled: bool = False


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """Around the network. `free`: bytes by directory; `synchronised`: None when the kernel does not say."""

    free: Mapping[Path, int] = {}
    now: float
    installed_at: float = 0.0
    synchronised: bool | None = None
    systemd: bool = False
    service: Unit = Unit()
    boot: Unit = Unit()
    saved: tuple[str, ...] = ()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`sysctls`: by their path below /proc/sys, those that are there. `queues`: those in use, by number.

    `rules`: of iptables; `tables`: of nftables; `native`: rules of nftables that clash with calicod's.

    `default_routes`: (family, interface). `steering`: what the policy as written would ask of the kernel.
    """

    settings: Settings
    misconfigured: str = ""
    capabilities: int
    kernel: Kernel
    choice: Choice
    binding: Trouble | None = None
    rules: Mapping[str, Saved] = {}
    tables: tuple[str, ...] = ()
    native: tuple[Clash, ...] = ()
    queues: Mapping[int, Holder] = {}
    links: tuple[Link, ...] = ()
    sysctls: Mapping[str, str] = {}
    default_routes: tuple[tuple[int, str], ...] = ()
    ruleset: RuleSet
    rejected: tuple[Diagnostic, ...] = ()
    steering: Steering
    daemon: Daemon | None = None
    host: Host

    def sysctl(self, path: str) -> int | None:
        """The number of a sysctl; None when it is not there, or is no number."""
        value = self.sysctls.get(path, "")
        return int(value) if value.lstrip("-").isdigit() else None
