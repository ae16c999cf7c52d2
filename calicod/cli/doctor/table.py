"""Every check, in the order in which it is told.

Law: one line here for each check; its name stays the same, because scripts look for it.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec.structs import replace

from calicod.cli.doctor import host, kernel, network, others, tracking
from calicod.cli.doctor.facts import Facts
from calicod.cli.doctor.finding import Check, Finding

CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "permission": kernel.permission,
        "kernel": kernel.version,
        "queue": kernel.queue,
        "steering": kernel.steering,
        "conntrack": tracking.table,
        "conntrack-pick-up": tracking.pick_up,
        "conntrack-accounts": tracking.accounts,
        "configuration": host.configuration,
        "policies": host.policies,
        "managed": network.managed,
        "interface-names": kernel.names,
        "interface-prefix": network.prefix,
        "failsafe": network.failsafes,
        "reach": network.reach,
        "identities": network.identities,
        "routes": network.routes,
        "router-advertisements": network.advertisements,
        "bridges": network.bridges,
        "firewalls": others.firewalls,
        "variants": others.variants,
        "queue-numbers": others.queues,
        "marks": others.marks,
        "daemon": host.daemon,
        "unit": host.unit,
        "boot": host.boot,
        "disk": host.disk,
        "clock": host.clock,
    }
)


def examine(facts: Facts) -> tuple[Finding, ...]:
    """What every check finds, each under its name."""
    return tuple(replace(finding, check=name) for name, check in CHECKS.items() for finding in check(facts))
