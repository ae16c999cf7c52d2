"""The programs of iptables and nft on this host: which there are, and running them.

Law: output is asked for in the C locale; a program that fails is told with its own words.
"""

import os
import re
import shutil
import subprocess
from types import MappingProxyType

import msgspec

from calicod.errors import CalicodError
from calicod.netfilter.table import Saved, parse_save

VARIANTS = ("nft", "legacy")
COMMANDS = MappingProxyType({4: "iptables", 6: "ip6tables"})
DIRECTORIES = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin")
LOCK_SECONDS = 10
"""How long `-w` waits for the lock that the legacy variant shares with others."""
TIMEOUT = 60.0
LINE = re.compile(r"line:? (\d+)")
NOISE = ("# Warning", "Try `", "^")
ABSENT = "No such file or directory"
"""What nft says of a table that is not there."""
VERSION_WORDS = MappingProxyType({"nft": "nf_tables", "legacy": "legacy"})


class Family(msgspec.Struct, frozen=True):
    """The programs of one variant for one address family."""

    number: int
    variant: str
    restore: str
    save: str

    def __str__(self) -> str:
        return f"ipv{self.number}"


def family(variant: str, number: int) -> Family | None:
    """The programs of this variant, or None when this host does not have them."""
    command = COMMANDS[number]
    restore, save = find(f"{command}-{variant}-restore"), find(f"{command}-{variant}-save")
    if not (restore and save):
        restore, save = find(f"{command}-restore"), find(f"{command}-save")
        if not (restore and save) or VERSION_WORDS[variant] not in _version(restore):
            return None
    return Family(number, variant, restore, save)


def find(name: str) -> str | None:
    """The program in PATH or where system programs are."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *DIRECTORIES])
    return shutil.which(name, path=path)


def saved(programs: Family) -> Saved:
    """Every table as the kernel has it, with counters. Raises CalicodError."""
    done = _run([programs.save, "-c"])
    if done.returncode:
        raise CalicodError(
            "K013",
            f"{programs.save} failed: {_reason(done)}",
            hint="run it by hand as root to see why",
            exit_code=4,
        )
    return parse_save(done.stdout)


def restore(programs: Family, text: str) -> None:
    """Applies the transactions of the text, one for each table. Raises CalicodError that names the line."""
    if failure := attempt(programs, text):
        raise CalicodError(
            "K013",
            f"{programs.restore} did not accept the rules: {failure}",
            hint="`iptables --version` and the kernel's xt_* modules tell what is missing",
            exit_code=4,
        )


def attempt(programs: Family, text: str) -> str:
    """As `restore`, but says in words why it failed; "" when it did not."""
    done = _run([programs.restore, "--noflush", "-w", str(LOCK_SECONDS)], text)
    if not done.returncode:
        return ""
    reason = _reason(done)
    place = LINE.search(reason)
    lines = text.splitlines()
    number = int(place[1]) if place else 0
    return f"{reason} [{lines[number - 1]}]" if 0 < number <= len(lines) else reason


def listed(nft: str, name: str) -> str:
    """The table `inet NAME` as JSON; "" when there is none. Raises CalicodError."""
    done = _run([nft, "--json", "list", "table", "inet", name])
    if done.returncode and ABSENT not in done.stderr:
        raise CalicodError("K013", f"{nft} failed: {_reason(done)}", hint="run `nft list ruleset` as root", exit_code=4)
    return "" if done.returncode else done.stdout


def ruleset(nft: str) -> str:
    """Every table of nftables as JSON. Raises CalicodError."""
    return _shown(nft, "--json", "list", "ruleset")


def chain(nft: str, *place: str) -> str:
    """One chain (family, table, name) for people, with handles. Raises CalicodError."""
    return _shown(nft, "--handle", "list", "chain", *place)


def _shown(nft: str, *words: str) -> str:
    done = _run([nft, *words])
    if done.returncode:
        raise CalicodError("K013", f"{nft} failed: {_reason(done)}", hint="run `nft list ruleset` as root", exit_code=4)
    return done.stdout


def apply(nft: str, text: str) -> None:
    """Applies the text as one transaction. Raises CalicodError that names the line."""
    if failure := refusal(nft, text):
        raise CalicodError(
            "K013",
            f"{nft} did not accept the rules: {failure}",
            hint="`nft --version` and the kernel's nft_* modules tell what is missing",
            exit_code=4,
        )


def refusal(nft: str, text: str, *, check: bool = False) -> str:
    """As `apply`, but says in words why it failed; "" when it did not. `check`: the kernel only tries it."""
    done = _run([nft, *(["--check"] if check else []), "--file", "-"], text)
    return _reason(done) if done.returncode else ""


def _run(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.pathsep.join(DIRECTORIES), "LC_ALL": "C"}
    try:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=TIMEOUT, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CalicodError("K013", f"{command[0]} could not be run: {error}", exit_code=4) from error


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip() and not line.startswith(NOISE)]
    return "; ".join(lines[:3]) or f"exit status {done.returncode}"


def _version(program: str) -> str:
    return _run([program, "--version"]).stdout
