"""What an operator must know about the interfaces of this host: where policy does not reach, or reaches too far.

Law: only looks. A managed interface whose packets come by another one is not protected, which is a reason not to be
healthy; what is closed too much, or told apart too little, is a notice.
"""

from collections.abc import Iterable

from calicod.compiler.steering import crowded_out
from calicod.model.interface import Link
from calicod.model.steering import Steering
from calicod.ruleset.program import RuleSet

OF_WORKLOADS = frozenset({"veth", "tun", "tap", "macvtap", "ipvtap", "netkit"})
"""Kinds of link that workloads have; all others are the host's own."""
RIDERS = frozenset({"macvlan", "macvtap", "ipvlan", "ipvtap"})
"""Kinds that take packets from the interface below before netfilter sees them come by it."""
LINK_LOCAL = (b"\xfe\x80", b"\xa9\xfe")
LOOPBACK = "lo"


def unprotected(steering: Steering, links: Iterable[Link]) -> tuple[str, ...]:
    """Managed interfaces whose packets come by an interface that nobody manages, each with that one."""
    present = {link.name: link for link in links}
    managed = {nic.name for nic in steering.nics if nic.managed}
    if steering.wildcard_host:
        managed |= present.keys() - {LOOPBACK}
    found = []
    for name, link in present.items():
        if name in managed and link.master and link.master not in managed:
            kind = present[link.master].kind if link.master in present else ""
            found.append(
                f"interface {name} belongs to {link.master} ({kind or 'its master'}): its packets come by "
                f"{link.master}, which no host endpoint manages, and are not judged"
            )
        if link.kind in RIDERS and link.below in managed and name not in managed:
            found.append(
                f"interface {name} ({link.kind}) sits on {link.below} and takes packets from it: no host endpoint "
                f"manages {name}, and they are not judged"
            )
    return tuple(found)


def covered(ruleset: RuleSet, steering: Steering, links: Iterable[Link]) -> tuple[str, ...]:
    """Interfaces of the host itself that a workload prefix covers: closed, the failsafe ports too."""
    if not steering.workload_prefixes:
        return ()
    claimed = {workload.interface for workload in ruleset.workloads} | set(ruleset.ignored_interfaces)
    return tuple(
        link.name
        for link in links
        if link.name.startswith(steering.workload_prefixes) and link.name not in claimed and of_the_host(link)
    )


def of_the_host(link: Link) -> bool:
    """Whether it is a NIC rather than the near end of a workload: by its kind, or by an address beyond the link."""
    if link.name == LOOPBACK:
        return False
    return link.kind not in OF_WORKLOADS or any(not a.startswith(LINK_LOCAL) for a in link.interface.addresses)


def notices(ruleset: RuleSet, steering: Steering, links: Iterable[Link]) -> tuple[str, ...]:
    """What else an operator should know."""
    found = [
        f"interface {name} has a workload's prefix (interfacePrefix {', '.join(steering.workload_prefixes)}) and no "
        "workload endpoint: everything through it is dropped, SSH and other failsafe ports too; choose a longer prefix"
        for name in covered(ruleset, steering, links)
    ]
    if crowded := crowded_out(steering):
        found.append(
            f"{len(crowded)} interfaces share one id in the connection mark ({', '.join(crowded)}): a connection that "
            "was allowed through one of them is not judged again when its route moves to another"
        )
    return tuple(found)
