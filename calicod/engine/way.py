"""The whole way of a packet up to a hook: untracked and preDNAT policy first (semantics 4.7, 4.8, 4.11 to 4.14).

Law: a path is of one hook; a way is what the packet has to pass to get beyond a hook, in that order. What an untracked
or preDNAT rule allows spares the packet the later policy of the same host endpoint in the same direction, nothing else.
"""

from collections.abc import Iterable

import msgspec

from calicod.engine.path import (
    DISCOVERY,
    DISCOVERY_FROM_WORKLOAD,
    UNJUDGED,
    Path,
    forwarded,
    from_host,
    into_host,
    out_of_host,
    special,
    to_host,
)
from calicod.model.hook import ENTERING, Direction, Hook, Phase
from calicod.ruleset.program import NO_PROGRAM, LocalEndpoint, RuleSet
from calicod.ruleset.topology import LOOPBACK, Topology, is_workload


class Leg(msgspec.Struct, frozen=True):
    """`early` paths in order, then `path`; `spared` instead of what is left when an early rule allows."""

    path: Path
    early: tuple[Path, ...] = ()
    spared: Path = UNJUDGED


Way = tuple[Leg, ...]
"""Each leg denies for good."""
NOBODY: Way = (Leg(UNJUDGED),)
"""Nobody judges."""
EARLIER: dict[Hook, tuple[Hook, ...]] = {
    Hook.RAW_PREROUTING: (),
    Hook.PREROUTING: (Hook.RAW_PREROUTING,),
    Hook.INPUT: (Hook.RAW_PREROUTING, Hook.PREROUTING),
    Hook.FORWARD: (Hook.RAW_PREROUTING, Hook.PREROUTING),
    Hook.RAW_OUTPUT: (),
    Hook.OUTPUT: (Hook.RAW_OUTPUT,),
}
"""The hooks that a packet has passed before, and that may judge."""


def paths_of(legs: Iterable[Leg]) -> tuple[Path, ...]:
    """The paths of legs, in order; what an early allow leaves of one is part of it."""
    return tuple(path for leg in legs for path in (*leg.early, leg.path))


def at(
    ruleset: RuleSet, topology: Topology, hook: Hook, in_interface: str, out_interface: str, *, spared: bool = False
) -> Way:
    """What judges at this hook alone. `spared`: an untracked or preDNAT rule has allowed the packet.

    Traffic of the host with itself is judged on its way out for both directions (D30), in OUTPUT for its whole way.
    """
    if hook is Hook.OUTPUT and out_interface == LOOPBACK:
        return up_to(ruleset, topology, hook, in_interface, out_interface)
    leg = Leg(find(ruleset, topology, hook, in_interface, out_interface, spared=spared))
    if hook is Hook.RAW_OUTPUT and out_interface == LOOPBACK:
        return leg, Leg(find(ruleset, topology, Hook.RAW_PREROUTING, LOOPBACK, ""))
    return NOBODY if hook in ENTERING and in_interface == LOOPBACK else (leg,)


def up_to(ruleset: RuleSet, topology: Topology, hook: Hook, in_interface: str, out_interface: str) -> Way:
    """Everything that judges a packet before it is beyond the hook, if no NAT rewrites it on the way."""
    if (hook, in_interface) == (Hook.INPUT, LOOPBACK) or (hook, out_interface) == (Hook.OUTPUT, LOOPBACK):
        return leg_to(ruleset, topology, Hook.OUTPUT, "", LOOPBACK), leg_to(ruleset, topology, Hook.INPUT, LOOPBACK, "")
    return (leg_to(ruleset, topology, hook, in_interface, out_interface),)


def leg_to(ruleset: RuleSet, topology: Topology, hook: Hook, in_interface: str, out_interface: str) -> Leg:
    """A hook and those before it."""
    return leg(
        find(ruleset, topology, hook, in_interface, out_interface),
        (find(ruleset, topology, earlier, in_interface, out_interface) for earlier in EARLIER[hook]),
        find(ruleset, topology, hook, in_interface, out_interface, spared=True),
    )


def leg(path: Path, early: Iterable[Path], spared: Path) -> Leg:
    """A leg without what judges nothing."""
    judging = tuple(path for path in early if path is not UNJUDGED)
    return Leg(path, judging, spared) if judging else Leg(path)


def leaving_host(ruleset: RuleSet, host: LocalEndpoint) -> Leg:
    """What a host sends by the interface of this host endpoint."""
    return leg(out_of_host(ruleset, host), (untracked_out_of(ruleset, host),), UNJUDGED)


def arriving_at_host(ruleset: RuleSet, host: LocalEndpoint) -> Leg:
    """What comes to a host by the interface of this host endpoint."""
    return leg(into_host(ruleset, host), (untracked_into(ruleset, host), before_dnat_into(ruleset, host)), UNJUDGED)


def find(
    ruleset: RuleSet, topology: Topology, hook: Hook, in_interface: str, out_interface: str, *, spared: bool = False
) -> Path:
    """The path of packets at this hook alone; interfaces are names, "" where the hook has none.

    `spared`: an untracked or preDNAT rule has allowed the packet.
    """
    match hook:
        case Hook.INPUT:
            return to_host(ruleset, topology, in_interface, spared=spared)
        case Hook.OUTPUT:
            return from_host(ruleset, topology, out_interface, spared=spared)
        case Hook.FORWARD:
            return forwarded(ruleset, topology, in_interface, out_interface, spared=spared)
        case Hook.PREROUTING:
            return UNJUDGED if spared else before_dnat(ruleset, topology, in_interface)
        case Hook.RAW_PREROUTING:
            return untracked_in(ruleset, topology, in_interface)
        case Hook.RAW_OUTPUT:
            return untracked_out(ruleset, topology, out_interface)


def before_dnat(ruleset: RuleSet, topology: Topology, in_interface: str) -> Path:
    """Into this host or through it: the interface's own host endpoint if it has such policies, else `*` (4.2, 4.14)."""
    number = topology.hosts.get(in_interface)
    if (number is None or ruleset.hosts[number].pre_dnat == NO_PROGRAM) and in_interface != LOOPBACK:
        number = topology.wildcard
    if number is None:
        return UNJUDGED
    discovery = DISCOVERY_FROM_WORKLOAD if is_workload(ruleset, in_interface) else DISCOVERY
    return before_dnat_into(ruleset, ruleset.hosts[number], discovery)


def before_dnat_into(ruleset: RuleSet, host: LocalEndpoint, discovery: frozenset[int] = DISCOVERY) -> Path:
    """Failsafes are those of the port before DNAT (4.11)."""
    stages = special(host, Direction.INGRESS, host.pre_dnat, Phase.PRE_DNAT)
    failsafes = ruleset.settings.failsafe_inbound
    return Path(stages=stages, failsafes=failsafes, inbound=True, discovery=discovery) if stages else UNJUDGED


def untracked_in(ruleset: RuleSet, topology: Topology, in_interface: str) -> Path:
    """Into this host or through it, before any connection is known (4.13); never by `*`."""
    number = topology.hosts.get(in_interface)
    return UNJUDGED if number is None else untracked_into(ruleset, ruleset.hosts[number])


def untracked_into(ruleset: RuleSet, host: LocalEndpoint) -> Path:
    """What answers this host from a failsafe port passes as well (4.11)."""
    stages = special(host, Direction.INGRESS, host.untracked_ingress, Phase.UNTRACKED)
    ours, theirs = ruleset.settings.failsafe_inbound, ruleset.settings.failsafe_outbound
    path = Path(stages=stages, failsafes=ours, replies=theirs, inbound=True, discovery=DISCOVERY)
    return path if stages else UNJUDGED


def untracked_out(ruleset: RuleSet, topology: Topology, out_interface: str) -> Path:
    """Out of this host, before any connection is known (4.13); never by `*`."""
    number = topology.hosts.get(out_interface)
    return UNJUDGED if number is None else untracked_out_of(ruleset, ruleset.hosts[number])


def untracked_out_of(ruleset: RuleSet, host: LocalEndpoint) -> Path:
    """What this host answers from a failsafe port passes as well (4.11)."""
    stages = special(host, Direction.EGRESS, host.untracked_egress, Phase.UNTRACKED)
    ours, theirs = ruleset.settings.failsafe_inbound, ruleset.settings.failsafe_outbound
    path = Path(stages=stages, failsafes=theirs, replies=ours, discovery=DISCOVERY)
    return path if stages else UNJUDGED
