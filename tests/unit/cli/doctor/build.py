"""A host on which everything is well, and what one check says of it after a change."""

from pathlib import Path

from msgspec.structs import replace

from calicod.cli.doctor.facts import Choice, Facts, Host, Kernel, Unit
from calicod.cli.doctor.finding import Finding
from calicod.cli.doctor.table import examine
from calicod.daemon.settings import Settings
from calicod.daemon.state import Status
from calicod.model.interface import Interface, Link
from calicod.model.protocol import TCP
from calicod.model.steering import FailsafePort, Nic, Steering
from calicod.netfilter.table import Saved, parse_save
from tests.unit.compiler.build import host, ruleset

TRACKING = {
    "net/netfilter/nf_conntrack_max": "262144",
    "net/netfilter/nf_conntrack_count": "12",
    "net/netfilter/nf_conntrack_tcp_loose": "0",
    "net/netfilter/nf_conntrack_acct": "1",
    "net/netfilter/nf_conntrack_timestamp": "1",
    "net/netfilter/nf_conntrack_events": "2",
}
STEERING = Steering(generation=1, nics=(Nic("eth0", 3, managed=True),), failsafe_inbound=(FailsafePort(TCP, 22),))
HOST = Host(
    free={Path("/var/lib/calicod"): 1 << 40},
    now=2e9,
    synchronised=True,
    systemd=True,
    service=Unit(installed=True, enabled=True),
    boot=Unit(installed=True, enabled=True),
)
WELL = Facts(
    settings=Settings(node_name="n1"),
    capabilities=(1 << 41) - 1,
    kernel=Kernel("6.1.0-18-amd64", (6, 1, 76)),
    choice=Choice("iptables-nft"),
    links=(Link(Interface(1, "lo")), Link(Interface(2, "eth0"))),
    sysctls=TRACKING,
    default_routes=((4, "eth0"), (6, "eth0")),
    ruleset=ruleset(host("h", "eth0")),
    steering=STEERING,
    host=HOST,
)


def found(check: str, **changes: object) -> tuple[Finding, ...]:
    """What one check of the table says of the changed host."""
    return tuple(finding for finding in examine(replace(WELL, **changes)) if finding.check == check)


def one(check: str, **changes: object) -> Finding:
    """The same, of a check that says one thing."""
    (finding,) = found(check, **changes)
    return finding


def rules(*lines: str, table: str = "mangle") -> dict[str, Saved]:
    """What iptables-save shows of the nft variant."""
    chains = [f":{name} ACCEPT [0:0]" for name in ("PREROUTING", "OUTPUT")]
    text = "\n".join([f"*{table}", *chains, *lines, "COMMIT"])
    return {"iptables-nft ipv4": parse_save(text)}


def status(**changes: object) -> Status:
    """What a healthy daemon answers."""
    healthy = Status(
        healthy=True,
        state="healthy",
        reasons=(),
        node="n1",
        pid=7,
        supervisor_pid=8,
        uptime_seconds=1.0,
        revision=3,
        generation=2,
        resources=1,
        endpoints=1,
        steering="iptables-legacy",
        failure_mode="closed",
        workers=(),
        queues=(),
        drops={},
        rejected=(),
        warnings=(),
        notices=(),
    )
    return replace(healthy, **changes)
