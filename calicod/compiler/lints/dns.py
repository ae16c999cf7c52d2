"""What egress rules may do with a question to a DNS server, whichever server that is.

Law: read generously: whatever could match under some circumstances counts as matching.
"""

from collections.abc import Iterable

from calicod.model.action import Action
from calicod.model.ports import PortRange
from calicod.model.protocol import TCP, UDP
from calicod.resources.kinds import Rule

DNS = 53


def dns_way(rules: Iterable[Rule]) -> str:
    """What egress rules may do with a question to some DNS server: "allows", "passes", "refuses".

    "meant": a rule denies this very port, so whoever wrote it knows.
    """
    found = "refuses"
    for rule in rules:
        if rule.action is Action.DENY and _names_dns(rule):
            return "meant"
        if rule.action is Action.ALLOW and _may_be_dns(rule):
            return "allows"
        if rule.action is Action.PASS and _may_be_dns(rule):
            found = "passes"
    return found


def _may_be_dns(rule: Rule) -> bool:
    if rule.protocol is not None and rule.protocol.number not in {TCP, UDP}:
        return False
    ports = rule.destination.ports
    return not ports or any(not isinstance(port, PortRange) or DNS in port for port in ports)


def _names_dns(rule: Rule) -> bool:
    return any(isinstance(port, PortRange) and DNS in port for port in rule.destination.ports)
