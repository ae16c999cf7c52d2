"""What a rule says: Calico's four actions."""

from enum import Enum


class Action(Enum):
    """Calico `Rule.action`; exact case (semantics 4.3)."""

    ALLOW = "Allow"
    DENY = "Deny"
    LOG = "Log"
    PASS = "Pass"  # noqa: S105  # no password: the action
