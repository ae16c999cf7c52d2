"""A Steering with every feature at once, and its chains by name."""

from calicod.model.network import parse_network
from calicod.model.steering import FailsafePort, ForwardingWorkload, Nic, Steering
from calicod.netfilter.chains import tables
from calicod.netfilter.table import PREFIX, Table, fill

TCP, UDP = 6, 17


def full(**changes: object) -> Steering:
    """Every feature at once."""
    net4, net6 = (parse_network(text)[0] for text in ("10.9.0.0/16", "fd09::/64"))
    values = {
        "nics": (
            Nic("eth0", 3, managed=True, forward=True, untracked_in=True, untracked_out=True),
            Nic("eth1", 4, managed=False),
            Nic("cali-mgmt", 6, managed=True),
        ),
        "loopback": 7,
        "loopback_untracked": True,
        "workload_prefixes": ("cali", "tap"),
        "forwarding_workloads": (ForwardingWorkload("caliw3", 5, (net4, net6)),),
        "failsafe_inbound": (FailsafePort(TCP, 22), FailsafePort(UDP, 68, net4), FailsafePort(TCP, 179, net6)),
        "failsafe_outbound": (FailsafePort(UDP, 53), FailsafePort(TCP, 2379)),
    }
    return Steering(**({"generation": 2} | values | changes))


def text(steering: Steering, family: int) -> str:
    return "".join(fill(table, {}) for table in tables(steering, family))


def chain(steering: Steering, name: str, family: int = 4) -> tuple[str, ...]:
    """The rules of one chain of the filter table."""
    return next(c.rules for c in part(steering, "filter", family).chains if c.name == PREFIX + name)


def part(steering: Steering, name: str, family: int = 4) -> Table:
    return next(table for table in tables(steering, family) if table.name == name)
