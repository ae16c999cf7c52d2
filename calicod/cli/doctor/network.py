"""Checks of interfaces and routes: what policy does not reach, and what the kernel drops before it.

Law: they look at the policy as written: an interface that no endpoint manages is nobody's business here.
"""

from calicod.cli.doctor.facts import Facts
from calicod.cli.doctor.finding import Finding, fail, ok, warn
from calicod.compiler.steering import crowded_out
from calicod.daemon.cautions import covered, unprotected
from calicod.model.protocol import TCP
from calicod.netfilter.plan import manages

SSH = 22
STRICT = 1
ALWAYS = 2
BRIDGE = "bridge"


def reach(facts: Facts) -> tuple[Finding, ...]:
    """Managed interfaces whose packets come by another one."""
    mend = "write a HostEndpoint for that interface, or one with interfaceName `*`"
    told = tuple(warn(sentence, mend) for sentence in unprotected(facts.steering, facts.links))
    return told or (ok("packets of every managed interface come by it"),)


def prefix(facts: Facts) -> tuple[Finding, ...]:
    """An interfacePrefix that covers a NIC closes it, SSH's failsafe too."""
    shown = ", ".join(facts.steering.workload_prefixes)
    told = tuple(
        fail(
            f"interfacePrefix ({shown}) covers {name}, an interface of this host: everything through it would be "
            "dropped, SSH too",
            "choose a prefix that only workloads' interfaces have",
        )
        for name in covered(facts.ruleset, facts.steering, facts.links)
    )
    return told or (ok("interfacePrefix covers no interface of this host"),)


def failsafes(facts: Facts) -> tuple[Finding, ...]:
    """Whether SSH stays reachable whatever policy says."""
    steering = facts.steering
    if not (steering.wildcard_host or any(nic.managed for nic in steering.nics)):
        return (ok("no interface of the host itself is managed"),)
    if any((port.protocol, port.port) == (TCP, SSH) for port in steering.failsafe_inbound):
        return (ok("SSH (TCP 22) is a failsafe port"),)
    return (
        warn(
            "TCP 22 is no failsafe port: a policy that refuses SSH, or a daemon that is not there, locks you out",
            "add it to failsafeInboundHostPorts, or use `calicod apply --confirm-within`",
        ),
    )


def identities(facts: Facts) -> tuple[Finding, ...]:
    """Interfaces beyond the ids that the connection mark has room for."""
    if crowded := crowded_out(facts.steering):
        message = f"{', '.join(crowded)} share one id: a flow that moves between them is not judged again"
        return (warn(message, "write fewer host endpoints by name, or give calicod its own `connection_mark_mask`"),)
    return (ok("every interface has an id of its own"),)


def routes(facts: Facts) -> tuple[Finding, ...]:
    """Several default routes: answers may leave by another interface than the question came by."""
    told = []
    for family in (4, 6):
        names = sorted({name for number, name in facts.default_routes if number == family})
        if len(names) < 2:  # noqa: PLR2004  one way out is no choice
            continue
        told.append(
            warn(
                f"IPv{family} has default routes by {', '.join(names)}: connections whose answers take another way are "
                "judged packet by packet, which is slow",
                "route by source address (`ip rule add from …`), so that answers leave where the question came",
            )
        )
        strict = [name for name in names if family == 4 and reverse_path(facts, name) == STRICT]  # noqa: PLR2004
        if strict:
            message = f"rp_filter is 1 on {', '.join(strict)}: what comes by another way than answers take is dropped"
            told.append(warn(f"{message} before policy sees it", "`sysctl -w net.ipv4.conf.all.rp_filter=2`"))
    return tuple(told) or (ok("one default route in each family"),)


def reverse_path(facts: Facts, name: str) -> int:
    """The rp_filter in force: the higher one of the interface's and of all (ip-sysctl)."""
    places = (f"net/ipv4/conf/{place}/rp_filter" for place in ("all", name))
    return max(facts.sysctl(place) or 0 for place in places)


def advertisements(facts: Facts) -> tuple[Finding, ...]:
    """Workload interfaces on which the host would believe a router advertisement that policy let in."""
    believed = []
    for link in facts.links:
        if facts.steering.workload_prefixes and link.name.startswith(facts.steering.workload_prefixes):
            accept = facts.sysctl(f"net/ipv6/conf/{link.name}/accept_ra") or 0
            router = facts.sysctl(f"net/ipv6/conf/{link.name}/forwarding") or 0
            if accept == ALWAYS or (accept and not router):
                believed.append(link.name)
    if not believed:
        return (ok("no workload's router advertisement would be believed"),)
    message = f"accept_ra lets {', '.join(believed)} make routes of this host, if policy lets router advertisements in"
    return (warn(message, "`sysctl -w net.ipv6.conf.default.accept_ra=0`, and for each of these"),)


def bridges(facts: Facts) -> tuple[Finding, ...]:
    """Whether frames that a bridge passes on come by our rules."""
    present = {link.name for link in facts.links if link.kind == BRIDGE}
    ports = [link for link in facts.links if link.master in present]
    if not present:
        return (ok("no bridge is here"),)
    off = [name for name in ("iptables", "ip6tables") if not facts.sysctl(f"net/bridge/bridge-nf-call-{name}")]
    prefixes = facts.steering.workload_prefixes
    between = [port.name for port in ports if prefixes and port.name.startswith(prefixes)]
    if off and between:
        mend = "; ".join(f"`sysctl -w net.bridge.bridge-nf-call-{name}=1`" for name in off)
        message = f"workloads {', '.join(between)} are ports of a bridge: what they send each other is not judged"
        return (warn(message, f"`modprobe br_netfilter`; {mend}"),)
    shown = "not " if off else ""
    return (ok(f"{', '.join(sorted(present))}: frames between ports do {shown}pass the rules of iptables"),)


def managed(facts: Facts) -> tuple[Finding, ...]:
    """Whether the policy as written manages anything here."""
    if manages(facts.steering):
        names = [nic.name for nic in facts.steering.nics if nic.managed]
        shown = (["every interface"] if facts.steering.wildcard_host else names) + [
            f"{start}*" for start in facts.steering.workload_prefixes
        ]
        return (ok(f"node {facts.settings.node_name} manages {', '.join(shown)}"),)
    return (
        warn(
            f"no endpoint of node {facts.settings.node_name} is written: nothing is judged here",
            "write a HostEndpoint or WorkloadEndpoint for it, or set `node_name`",
        ),
    )
