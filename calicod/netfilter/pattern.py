"""Interfaces as the rules select them: by exact name before prefix, each with its id in the stamp.

Law: what a rule of iptables cannot name exactly is never named loosely: a managed interface is refused, an
unmanaged one counts as any other.
"""

import msgspec

from calicod.errors import CalicodError
from calicod.model.interface import LONGEST_NAME, is_nameable
from calicod.model.marks import LOCAL_ID, UNMANAGED_ID, WORKLOAD_ID
from calicod.model.steering import Nic, Steering


class Pattern(msgspec.Struct, frozen=True):
    """What `-i` or `-o` takes ("" matches all), the id in the stamp, and whose interface it is.

    `local`: the id in the stamp of what this host itself sends there. `forward`: a host endpoint judges what is
    forwarded by it.
    """

    match: str
    id: int
    workload: bool
    managed: bool = True
    local: int = LOCAL_ID
    forward: bool = False

    def selects(self, name: str) -> bool:
        """Whether the interface is one of these.

        >>> Pattern("cali+", 2, workload=True).selects("caliw1"), Pattern("", 31, workload=False).selects("eth0")
        (True, True)
        """
        if self.match.endswith("+"):
            return name.startswith(self.match[:-1])
        return self.match in {"", name}

    def incoming(self) -> str:
        """The match on the incoming interface, with a space behind."""
        return f"-i {self.match} " if self.match else ""

    def outgoing(self) -> str:
        """The match on the outgoing interface, with a space behind."""
        return f"-o {self.match} " if self.match else ""


def prefix_match(prefix: str) -> str:
    """A prefix as `-i` takes it.

    >>> prefix_match("cali"), prefix_match("fifteen-letters")
    ('cali+', 'fifteen-letters')
    """
    return f"{prefix}+" if len(prefix) < LONGEST_NAME else prefix


def workload_prefix(name: str, steering: Steering) -> bool:
    """Whether the name begins with one of the workload prefixes."""
    return name.startswith(steering.workload_prefixes) if steering.workload_prefixes else False


def ordered(steering: Steering, hosts: tuple[Pattern, ...]) -> tuple[Pattern, ...]:
    """Hosts and workloads in the order of selection: host interfaces named like workloads, workloads, other hosts.

    Workloads stand early because most packets that are tested are theirs.
    """
    like = tuple(pattern for pattern in hosts if workload_prefix(pattern.match, steering))
    return (*like, *workload_patterns(steering), *(pattern for pattern in hosts if pattern not in like), rest(steering))


def host_patterns(steering: Steering) -> tuple[Pattern, ...]:
    """Host interfaces with an id of their own; an unmanaged one with a workload's prefix counts as a workload."""
    return tuple(
        Pattern(nic.name, nic.id, workload=False, managed=nic.managed, local=nic.local_id, forward=nic.forward)
        for nic in steering.nics
        if _selectable(nic) and (nic.managed or not workload_prefix(nic.name, steering))
    )


def workload_patterns(steering: Steering) -> tuple[Pattern, ...]:
    """Forwarding workloads by name, then all workloads by prefix."""
    exact = [Pattern(_named(w.name), w.id, workload=True) for w in steering.forwarding_workloads]
    return (*exact, *(Pattern(prefix_match(_named(p)), WORKLOAD_ID, workload=True) for p in steering.workload_prefixes))


def workload_cover(steering: Steering) -> tuple[Pattern, ...]:
    """The fewest patterns that select every workload interface."""
    prefixes = {prefix_match(prefix) for prefix in steering.workload_prefixes}
    return tuple(
        pattern
        for pattern in workload_patterns(steering)
        if pattern.match in prefixes or not workload_prefix(pattern.match, steering)
    )


def rest(steering: Steering) -> Pattern:
    """Every interface that no other pattern selects."""
    return Pattern("", UNMANAGED_ID, workload=False, managed=steering.wildcard_host, forward=steering.wildcard_forward)


def _selectable(nic: Nic) -> bool:
    if nic.managed:
        _named(nic.name)
        return True
    return is_nameable(nic.name)


def _named(name: str) -> str:
    if is_nameable(name):
        return name
    raise CalicodError(
        "K016",
        f"interface name {name!r} cannot be written in a rule of iptables",
        hint="rename the interface, or let a HostEndpoint with interfaceName `*` manage it",
        exit_code=4,
    )
