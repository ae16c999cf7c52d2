"""Which packets of this host must be judged, as a value for the kernel side (design 6).

Law: nothing is judged until an endpoint of this node is written; from then on workload interfaces without one are
closed, those of endpoints that count as missing among them. An interface keeps its id as long as it lives, since the
id is in the stamp of every flow that came by it. A stage that no policy takes part in costs nothing.
"""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from calicod.model.interface import Interface, is_nameable
from calicod.model.marks import FIRST_OWN_ID, LAST_OWN_ID, LOCAL_ID, UNMANAGED_ID
from calicod.model.network import Network
from calicod.model.steering import FailsafePort, ForwardingWorkload, Nic, Steering
from calicod.resources.kinds import Failsafe
from calicod.ruleset.program import NO_PROGRAM, LocalEndpoint, RuleSet
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
    there = {i.name for i in present if i.name != LOOPBACK and not is_workload(ruleset, i.name)}
    names = sorted(there | named(ruleset))
    judges = judging(ruleset, topology, names)
    names = [name for name in names if told_apart(name, judges.get(name), topology)]
    granted = forwarding(ruleset, topology)
    apart = kept_apart(judges, topology)
    ids = identified(names, judges, apart, granted, {} if previous is None else ids_of(previous))
    wildcard = None if topology.wildcard is None else ruleset.hosts[topology.wildcard]
    return replace(
        plain,
        nics=tuple(
            nic(name, ids[name], ids[apart.get(name, "")], judge_of(ruleset, judges, name), wildcard) for name in names
        ),
        wildcard_host=wildcard is not None,
        wildcard_forward=wildcard is not None and judges_forwarded(wildcard),
        wildcard_prednat=wildcard is not None and wildcard.pre_dnat != NO_PROGRAM,
        loopback=ids[apart.get(LOOPBACK, "")] if LOOPBACK in judges else None,
        loopback_untracked=judges_untracked(judge_of(ruleset, judges, LOOPBACK)),
        workload_prefixes=settings.workload_prefixes,
        forwarding_workloads=tuple(ForwardingWorkload(w, ids[w], granted[w]) for w in granted),
        failsafe_inbound=failsafe_ports(settings.failsafe_inbound),
        failsafe_outbound=failsafe_ports(settings.failsafe_outbound),
        drop_invalid=not settings.disable_invalid_check,
    )


def told_apart(name: str, judge: int | None, topology: Topology) -> bool:
    """Whether rules name it. What they cannot name counts as any other that is judged alike: by `*`, or not at all."""
    return is_nameable(name) or judge not in {None, topology.wildcard}


def judge_of(ruleset: RuleSet, judges: Mapping[str, int], name: str) -> LocalEndpoint | None:
    """The host endpoint that judges an interface."""
    return ruleset.hosts[judges[name]] if name in judges else None


def nic(name: str, number: int, local: int, host: LocalEndpoint | None, wildcard: LocalEndpoint | None) -> Nic:
    """A host interface and what the host endpoint that judges it, if there is one, has policy for.

    Before DNAT `*` judges it as well, where its own host endpoint does not (semantics 4.2).
    """
    if host is None:
        return Nic(name, number, managed=False)
    return Nic(
        name,
        number,
        managed=True,
        local_id=local,
        forward=judges_forwarded(host),
        untracked_in=host.untracked_ingress != NO_PROGRAM,
        untracked_out=host.untracked_egress != NO_PROGRAM,
        prednat=any(judge is not None and judge.pre_dnat != NO_PROGRAM for judge in (host, wildcard)),
    )


def judges_forwarded(host: LocalEndpoint) -> bool:
    """The host endpoint has policy that applies on forward."""
    return (host.forward_ingress, host.forward_egress) != (NO_PROGRAM, NO_PROGRAM)


def judges_untracked(host: LocalEndpoint | None) -> bool:
    """The host endpoint has policy before connection tracking."""
    return host is not None and (host.untracked_ingress, host.untracked_egress) != (NO_PROGRAM, NO_PROGRAM)


def judging(ruleset: RuleSet, topology: Topology, names: Iterable[str]) -> dict[str, int]:
    """Those of the names, and `lo`, that a host endpoint judges, or will when they are there -> its index."""
    by_name, _, _ = candidates(ruleset.hosts)
    found = {name: topology.hosts.get(name, by_name.get(name, topology.wildcard)) for name in names}
    found[LOOPBACK] = by_name.get(LOOPBACK)  # D6: only a host endpoint that names it
    return {name: number for name, number in found.items() if number is not None}


def kept_apart(judges: Mapping[str, int], topology: Topology) -> dict[str, str]:
    """Managed interface -> what the id of the host's own flows through it is kept under; LOCAL_ID for all others.

    One for each host endpoint but the first (with `*`: but that one), or a process that chooses the interface of its
    datagrams could have a flow judged by one endpoint and continued through another. No interface can have such a name.
    """
    first = min(judges.values(), default=None) if topology.wildcard is None else topology.wildcard
    names: dict[int, str] = {}
    return {name: names.setdefault(n, f"/{name}") for name, n in judges.items() if n != first}


def named(ruleset: RuleSet) -> set[str]:
    """The interfaces that host endpoints name: judged from their first packet on, so before they are there."""
    names = {host.interface for host in ruleset.hosts} - {"", EVERY_INTERFACE, LOOPBACK}
    return {name for name in names if not is_workload(ruleset, name)}


def forwarding(ruleset: RuleSet, topology: Topology) -> dict[str, tuple[Network, ...]]:
    """Interfaces of the active workloads that may send from foreign prefixes, by name -> the prefixes."""
    prefixes = ((name, ruleset.workloads[n].spoofed_prefixes) for name, n in sorted(topology.workloads.items()))
    return {name: granted for name, granted in prefixes if granted}


def identified(
    names: Iterable[str],
    judges: Mapping[str, int],
    apart: Mapping[str, str],
    granted: Iterable[str],
    before: Mapping[str, int],
) -> dict[str, int]:
    """The ids in the stamp by name: judged interfaces first, since ids may run out."""
    wanted = tuple(names)
    judged, rest = ([name for name in wanted if (name in judges) is first] for first in (True, False))
    return {"": LOCAL_ID} | allotted((*judged, *dict.fromkeys(apart.values()), *granted, *rest), before)


def ids_of(steering: Steering) -> dict[str, int]:
    """The ids that interfaces of their own have."""
    local = {f"/{nic.name}": nic.local_id for nic in steering.nics if nic.local_id in OWN_IDS}
    if steering.loopback is not None and steering.loopback in OWN_IDS:
        local[f"/{LOOPBACK}"] = steering.loopback
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
