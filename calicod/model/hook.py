"""Where a packet is: seen from the endpoint (Direction) and from the kernel (Hook)."""

from enum import Enum


class Direction(Enum):
    """Seen from the endpoint: ingress goes towards it, egress comes from it."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Hook(Enum):
    """Seen from the kernel; the words of `calicod eval`."""

    INPUT = "input"
    FORWARD = "forward"
    OUTPUT = "output"
    PREROUTING = "prerouting"
    RAW_PREROUTING = "raw-prerouting"
    RAW_OUTPUT = "raw-output"
