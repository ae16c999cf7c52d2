"""Which endpoint sits on which interface of this host (semantics 1.8).

Law: depends only on the RuleSet and the interfaces, never on their order. A workload interface is one whose name begins
with a workload prefix; it never has a host endpoint, and any other never a workload endpoint.
"""

from collections.abc import Iterable

import msgspec

from calicod.model.interface import Interface
from calicod.ruleset.program import LocalEndpoint, RuleSet

LOOPBACK = "lo"
EVERY_INTERFACE = "*"


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Interface name -> index in `RuleSet.workloads` or `RuleSet.hosts`; `wildcard` indexes `hosts` too.

    `workloads` holds every workload endpoint, whether or not its interface exists yet. `hosts`: the interfaces that
    exist and have a host endpoint of their own.
    """

    workloads: dict[str, int] = {}
    hosts: dict[str, int] = {}
    wildcard: int | None = None


def resolve(ruleset: RuleSet, interfaces: Iterable[Interface]) -> Topology:
    """The endpoints of these interfaces. Every choice takes the first index: the RuleSet is sorted for that."""
    workloads: dict[str, int] = {}
    for index, workload in enumerate(ruleset.workloads):
        if is_workload(ruleset, workload.interface):
            workloads.setdefault(workload.interface, index)
    by_name, by_address, wildcard = candidates(ruleset.hosts)
    hosts: dict[str, int] = {}
    for interface in interfaces:
        if is_workload(ruleset, interface.name):
            continue
        found = [by_name[interface.name]] if interface.name in by_name else []
        if interface.name != LOOPBACK:  # D6: only a host endpoint that names `lo` judges it
            found += [by_address[address] for address in interface.addresses if address in by_address]
        if found:
            hosts[interface.name] = min(found)
    return Topology(workloads=workloads, hosts=hosts, wildcard=wildcard)


def candidates(hosts: tuple[LocalEndpoint, ...]) -> tuple[dict[str, int], dict[bytes, int], int | None]:
    """The first host endpoint for each interface name, for each address (of those that name none), and of the `*`."""
    by_name: dict[str, int] = {}
    by_address: dict[bytes, int] = {}
    wildcard: int | None = None
    for index, host in enumerate(hosts):
        if host.interface == EVERY_INTERFACE:
            wildcard = index if wildcard is None else wildcard
        elif host.interface:
            by_name.setdefault(host.interface, index)
        else:
            for address in host.addresses:
                by_address.setdefault(address, index)
    return by_name, by_address, wildcard


def is_workload(ruleset: RuleSet, name: str) -> bool:
    """The interface name begins with a workload prefix.

    >>> is_workload(RuleSet(node=None), "cali123"), is_workload(RuleSet(node=None), "eth0")
    (True, False)
    """
    return name.startswith(ruleset.settings.workload_prefixes)


def host_endpoint(topology: Topology, name: str) -> int | None:
    """The host endpoint of a non-workload interface: its own, else the `*` one unless it is `lo` (D6)."""
    own = topology.hosts.get(name)
    if own is not None or name == LOOPBACK:
        return own
    return topology.wildcard
