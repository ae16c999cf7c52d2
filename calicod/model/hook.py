"""Where a packet is: seen from the endpoint (Direction, Phase) and from the kernel (Hook)."""

from enum import Enum


class Direction(Enum):
    """Seen from the endpoint: ingress goes towards it, egress comes from it."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Phase(Enum):
    """Which policies of an endpoint are asked (semantics 4.2). Workloads know only NORMAL."""

    NORMAL = "normal"
    FORWARD = "forward"
    PRE_DNAT = "preDNAT"
    UNTRACKED = "untracked"


class Hook(Enum):
    """Seen from the kernel; the words of `calicod eval`."""

    INPUT = "input"
    FORWARD = "forward"
    OUTPUT = "output"
    PREROUTING = "prerouting"
    RAW_PREROUTING = "raw-prerouting"
    RAW_OUTPUT = "raw-output"


ENTERING = frozenset({Hook.INPUT, Hook.PREROUTING, Hook.RAW_PREROUTING})
"""Hooks at which nothing is known of the way out."""
LEAVING = frozenset({Hook.OUTPUT, Hook.RAW_OUTPUT})
"""Hooks that a packet reaches from this host itself."""
