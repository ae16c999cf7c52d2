"""Healthy or not, and why: one judgement, told when it changes.

Law: a reason is a sentence an operator can act on; the same reasons are told once, and so is their end.
"""

from collections.abc import Iterable

import msgspec

from calicod.errors import Diagnostic
from calicod.model.event import DaemonDegraded, DaemonRecovered

STARTING, HEALTHY, DEGRADED, STOPPING = "starting", "healthy", "degraded", "stopping"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the judgement rests on. `late`: workers that do not judge by the newest revision; `silent`: those that hang.

    `unsteered`, `clash`: what is wrong with our rules in the kernel, or with those of others, as sentences;
    `unprotected`: interfaces that policy does not reach; `uninstalled`: a set that is not among the policy files yet;
    `unserved`: why nobody answers commands.
    """

    ready: bool
    failure: str
    rejected: tuple[Diagnostic, ...]
    late: tuple[int, ...]
    silent: tuple[int, ...] = ()
    unsteered: str = ""
    clash: str = ""
    unprotected: tuple[str, ...] = ()
    uninstalled: str = ""
    unserved: str = ""


def reasons(facts: Facts) -> tuple[str, ...]:
    """Why the daemon is not healthy; () when it is."""
    found = [] if facts.ready else ["not every worker and the kernel have a first rule set yet"]
    if facts.failure:
        found.append(f"the policy could not be brought into force: {facts.failure}")
    if facts.rejected:
        found.append(f"{counted(facts.rejected)}: {summary(facts.rejected)}")
    found += [f"worker {worker} does not judge by the newest revision yet" for worker in facts.late]
    found += [f"worker {worker} does not answer: the packets of its queues wait" for worker in facts.silent]
    troubles = (facts.unsteered, facts.clash, *facts.unprotected, facts.uninstalled, facts.unserved)
    found += [trouble for trouble in troubles if trouble]
    return tuple(found)


def counted(rejected: Iterable[Diagnostic]) -> str:
    """How many resources were refused, and how many files or directories could not be read at all."""
    found = tuple(rejected)
    resources = len({(d.file, d.kind, d.namespace, d.name) for d in found if d.kind})
    paths = len({d.file for d in found if not d.kind})
    told = []
    if resources:
        told.append("1 resource is rejected" if resources == 1 else f"{resources} resources are rejected")
    if paths:
        told.append("1 path cannot be read" if paths == 1 else f"{paths} paths cannot be read")
    return ", ".join(told)


def summary(rejected: tuple[Diagnostic, ...]) -> str:
    """The first of them, with its place."""
    first = rejected[0]
    return f"{first.place}: {first.code} {first.message}"


class Health:
    """The last judgement."""

    def __init__(self) -> None:
        self.state = STARTING
        self.reasons: tuple[str, ...] = ()

    def judge(self, facts: Facts) -> DaemonDegraded | DaemonRecovered | None:
        """Takes the facts; returns what is to be told, if anything changed."""
        before, told = self.state, self.reasons
        self.reasons = reasons(facts)
        if not facts.ready:
            self.state = STARTING
            return None
        self.state = DEGRADED if self.reasons else HEALTHY
        if self.state == DEGRADED and (before != DEGRADED or self.reasons != told):
            return DaemonDegraded(reasons=self.reasons)
        if self.state == HEALTHY and before == DEGRADED:
            return DaemonRecovered()
        return None
