"""Checks of what the kernel and the programs of iptables can do.

Law: what works was tried; a version only tells of bugs that no trial shows.
"""

import msgspec

from calicod.cli.doctor.facts import Facts
from calicod.cli.doctor.finding import Finding, fail, ok, warn
from calicod.errors import CalicodError
from calicod.netfilter.chains import tables

CAP_NET_ADMIN, CAP_NET_RAW = 12, 13
OLDEST = (5, 10)
"""The oldest series on which calicod was run (Debian 11)."""
FAMILIES = (4, 6)


class Bug(msgspec.Struct, frozen=True):
    """A bug of the kernel: first affected version, where it was mended (first of each series), and what it does."""

    name: str
    since: tuple[int, ...]
    mended: tuple[tuple[int, ...], ...]
    does: str

    def affects(self, version: tuple[int, ...]) -> bool:
        """Whether this version has it: before the mend of its own series or, without one, before the newest mend."""
        own = [mend for mend in self.mended if mend[:2] == version[:2]]
        return self.since <= version < (own[0] if own else max(self.mended))


# Versions as https://osv.dev/vulnerability/<name> gives them.
BUGS = (
    Bug(
        "CVE-2022-48911",
        (2, 6, 29),
        ((5, 4, 183), (5, 10, 104), (5, 15, 27), (5, 16, 13), (5, 17)),
        "packets in a queue may outlive their socket: the kernel can crash",
    ),
    Bug(
        "CVE-2022-49110",
        (5, 14),
        ((5, 15, 34), (5, 16, 20), (5, 17, 3), (5, 18)),
        "ended connections are told minutes late and in bursts, so that `connection.closed` events get lost",
    ),
)


def permission(facts: Facts) -> tuple[Finding, ...]:
    """The capabilities; without the first the command ends before any check."""
    if not facts.capabilities >> CAP_NET_RAW & 1:
        message = "CAP_NET_RAW is missing: iptables-legacy cannot speak to the kernel"
        return (warn(message, "run as root, or leave it in the unit's CapabilityBoundingSet"),)
    return (ok("CAP_NET_ADMIN and CAP_NET_RAW are there"),)


def version(facts: Facts) -> tuple[Finding, ...]:
    """Known bugs by version, and what nobody tried."""
    kernel = facts.kernel
    if kernel.version and kernel.version < OLDEST:
        return (warn(f"Linux {kernel.release} is older than any that was tried", "use Linux 5.10 or newer"),)
    found = [bug for bug in BUGS if kernel.version and bug.affects(kernel.version)]
    shown = ".".join(map(str, kernel.version))
    mend = "update the kernel, unless your distributor has mended it in this one"
    told = tuple(warn(f"Linux {shown} has {bug.name}: {bug.does}", mend) for bug in found)
    return told or (ok(f"Linux {kernel.release}, no known bug concerns calicod"),)


def queue(facts: Facts) -> tuple[Finding, ...]:
    """The kernel's part of NFQUEUE and its binding."""
    if facts.binding is not None:
        return (fail(facts.binding.message, facts.binding.hint),)
    return (ok("the kernel has NFQUEUE and gives queues"),)


def steering(facts: Facts) -> tuple[Finding, ...]:
    """The rules: every match and target that they use, in both families."""
    choice = facts.choice
    if choice.trouble is not None:
        return (fail(choice.trouble.message, choice.trouble.hint),)
    told = [warn(notice, "install what is missing if this family is to be filtered") for notice in choice.notices]
    return (*told, ok(f"{choice.name} takes every rule that calicod needs"))


def names(facts: Facts) -> tuple[Finding, ...]:
    """Whether the rules for the policy as written can be made at all."""
    try:
        for family in FAMILIES:
            tables(facts.steering, family)
    except CalicodError as error:
        return (fail(error.message, error.hint or "rename it"),)
    return (ok("every managed interface can be named in a rule"),)
