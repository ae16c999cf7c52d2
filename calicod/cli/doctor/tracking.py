"""Checks of connection tracking: room, what it tells, how it picks up connections.

Law: a full table is a failure, because then the kernel drops new connections, failsafe ports too, whatever policy says.
"""

from calicod.cli.doctor.facts import Facts
from calicod.cli.doctor.finding import Finding, fail, ok, warn

PLACE = "net/netfilter/nf_conntrack_"
SMALL = 65536
FULL, FILLING = 95, 70
"""Percent."""


def table(facts: Facts) -> tuple[Finding, ...]:
    """Size and fill."""
    size, count = facts.sysctl(f"{PLACE}max"), facts.sysctl(f"{PLACE}count")
    if size is None or count is None:
        return (fail("connection tracking is not in this kernel", "`modprobe nf_conntrack`"),)
    share = count * 100 // size if size else 0
    shown = f"{count} of {size} connections ({share} %)"
    mend = f"`sysctl -w net.netfilter.nf_conntrack_max={max(4 * size, SMALL)}`, and in /etc/sysctl.d"
    if share >= FULL:
        return (fail(f"the table is full, {shown}: the kernel drops new connections, SSH too", mend),)
    if share >= FILLING:
        return (warn(f"the table is filling up, {shown}", mend),)
    if size < SMALL:
        return (warn(f"the table is small, {shown}: a flood fills it in seconds", mend),)
    return (ok(shown),)


def pick_up(facts: Facts) -> tuple[Finding, ...]:
    """nf_conntrack_tcp_loose: connections met in their middle, of which the kernel guesses the direction."""
    if facts.sysctl(f"{PLACE}tcp_loose"):
        return (
            warn(
                "nf_conntrack_tcp_loose is 1: a TCP connection that is met in its middle (first start, `conntrack -F`) "
                "is judged in the direction that the kernel guesses",
                "once calicod runs: `sysctl -w net.netfilter.nf_conntrack_tcp_loose=0`; connections that were lost "
                "track of then end",
            ),
        )
    return (ok("TCP connections are tracked from their SYN on"),)


def accounts(facts: Facts) -> tuple[Finding, ...]:
    """What `connection.closed` is told with. The daemon switches it on itself."""
    names = ("acct", "timestamp", "events")
    off = [f"nf_conntrack_{name}" for name in names if facts.sysctl(f"{PLACE}{name}") == 0]
    if not off:
        return (ok("ends of connections are told with their times, packets and bytes"),)
    shown = ", ".join(off)
    if facts.daemon is None:
        return (ok(f"the daemon will switch on {shown}"),)
    mend = "; ".join(f"`sysctl -w net.netfilter.{name}=1`" for name in off)
    return (warn(f"{shown} was switched off: ends of connections are told without times and counts, or not", mend),)
