"""Which packets of this host must be judged, as a value for the kernel side (design 6).

Law: nothing is judged until an endpoint of this node is written; from then on workload interfaces without one are
closed, those of endpoints that count as missing among them. An interface keeps its id as long as it lives, since the
id is in the stamp of every flow that came by it; `lo` and what no endpoint claims are never managed.
"""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from calicod.model.interface import Interface
from calicod.model.marks import FIRST_OWN_ID, LAST_OWN_ID, LOCAL_ID, UNMANAGED_ID
from calicod.model.steering import FailsafePort, ForwardingWorkload, Nic, Steering
from calicod.resources.kinds import Failsafe
from calicod.ruleset.program import RuleSet
from calicod.ruleset.topology import EVERY_INTERFACE, LOOPBACK, Topology, candidates, is_workload, resolve

OWN_IDS = range(FIRST_OWN_ID, LAST_OWN_ID + 1)


def steer(ruleset: RuleSet, interfaces: Iterable[Interface], previous: Steering | None, plain: Steering) -> Steering:
    """The steering of one generation; `previous` only keeps the ids of interfaces as they were.

    `plain`: what does not depend on policy, generation and settings of the kernel side.
    """
    if not (ruleset.workloads or ruleset.hosts or ruleset.ignored_interfaces):
        return plain
    present = tuple(interfaces)
    settings, topology = ruleset.settings, resolve(ruleset, present)
    awaited = named(ruleset)
    there = {i.name for i in present if i.name != LOOPBACK and not is_workload(ruleset, i.name)}
    nics = sorted(there | awaited)
    granted = forwarding(ruleset, topology)
    managed = [name for name in nics if name in awaited or is_managed(topology, name)]
    rest = [name for name in nics if name not in managed]
    apart = kept_apart(ruleset, topology, managed)
    before = {} if previous is None else ids_of(previous)
    ids = {"": LOCAL_ID} | allotted((*managed, *dict.fromkeys(apart.values()), *granted, *rest), before)
    return replace(
        plain,
        nics=tuple(Nic(name, ids[name], name in managed, ids[apart.get(name, "")]) for name in nics),
        wildcard_host=topology.wildcard is not None,
        workload_prefixes=settings.workload_prefixes,
        forwarding_workloads=tuple(
            ForwardingWorkload(name, ids[name], ruleset.workloads[index].spoofed_prefixes)
            for name, index in granted.items()
        ),
        failsafe_inbound=failsafe_ports(settings.failsafe_inbound),
        failsafe_outbound=failsafe_ports(settings.failsafe_outbound),
        drop_invalid=not settings.disable_invalid_check,
    )


def is_managed(topology: Topology, name: str) -> bool:
    """A host endpoint judges the local traffic of this interface."""
    return name in topology.hosts or topology.wildcard is not None


def kept_apart(ruleset: RuleSet, topology: Topology, managed: Iterable[str]) -> dict[str, str]:
    """Managed interface -> what the id of the host's own flows through it is kept under; LOCAL_ID for all others.

    One for each host endpoint but the first (with `*`: but that one), or a process that chooses the interface of its
    datagrams could have a flow judged by one endpoint and continued through another. No interface can have such a name.
    """
    by_name, _, _ = candidates(ruleset.hosts)
    judges = {name: topology.hosts.get(name, by_name.get(name, topology.wildcard)) for name in managed}
    first = min((n for n in judges.values() if n is not None), default=None)
    first = first if topology.wildcard is None else topology.wildcard
    names: dict[int | None, str] = {}
    return {name: names.setdefault(n, f"/{name}") for name, n in judges.items() if n != first}


def named(ruleset: RuleSet) -> set[str]:
    """The interfaces that host endpoints name: judged from their first packet on, so before they are there."""
    names = {host.interface for host in ruleset.hosts} - {"", EVERY_INTERFACE, LOOPBACK}
    return {name for name in names if not is_workload(ruleset, name)}


def forwarding(ruleset: RuleSet, topology: Topology) -> dict[str, int]:
    """Interfaces of the active workloads that may send from foreign prefixes, by name -> index of the endpoint."""
    return {
        name: index for name, index in sorted(topology.workloads.items()) if ruleset.workloads[index].spoofed_prefixes
    }


def ids_of(steering: Steering) -> dict[str, int]:
    """The ids that interfaces of their own have."""
    local = {f"/{nic.name}": nic.local_id for nic in steering.nics if nic.local_id in OWN_IDS}
    return {owner.name: owner.id for owner in owners(steering) if owner.id in OWN_IDS} | local


def owners(steering: Steering) -> tuple[Nic | ForwardingWorkload, ...]:
    """Every interface that has an id in its own right."""
    return (*steering.nics, *steering.forwarding_workloads)


def allotted(names: Iterable[str], before: Mapping[str, int]) -> dict[str, int]:
    """An id for each name: the one it had, else one that nobody had before, else any free one, else UNMANAGED_ID.

    An id that an interface has just left may still be in the stamps of its flows, so it is given away last.

    >>> allotted(["eth1", "eth0"], {"eth0": 3, "gone": 4})
    {'eth0': 3, 'eth1': 5}
    """
    wanted = tuple(names)
    ids = {name: before[name] for name in wanted if name in before}
    taken, left = set(ids.values()), set(before.values())
    highest = max(left, default=0)
    vacant = (number for number in OWN_IDS if number not in taken)
    free = iter(sorted(vacant, key=lambda number: (number in left, number < highest, number)))
    for name in wanted:
        if name not in ids:
            ids[name] = next(free, UNMANAGED_ID)
    return ids


def crowded_out(steering: Steering) -> tuple[str, ...]:
    """The interfaces that share an id because all are taken: a second passage between two of them is not judged."""
    return tuple(owner.name for owner in owners(steering) if owner.id == UNMANAGED_ID)


def failsafe_ports(failsafes: Iterable[Failsafe]) -> tuple[FailsafePort, ...]:
    """The same, each once, in the words of the kernel side."""
    return tuple(dict.fromkeys(FailsafePort(failsafe.protocol, failsafe.port, failsafe.net) for failsafe in failsafes))
