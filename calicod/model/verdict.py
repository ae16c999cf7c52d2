"""What the kernel is told about a packet, and the word that says why."""

from enum import Enum


class Verdict(Enum):
    """ACCEPT and DROP are netfilter's; REJECT is a drop with an answer to the sender.

    SPARE: accepted on the word of an early rule, which spares the packet later policy. Only the first two
    are in Decisions.
    """

    ACCEPT = "allow"
    DROP = "deny"
    REJECT = "reject"
    SPARE = "spare"


class Reason(Enum):
    """Why a verdict fell (contract: `reason` of decisions and events)."""

    RULE = "rule"
    END_OF_TIER = "end-of-tier"
    PROFILE = "profile"
    NO_PROFILE = "no-profile"
    UNKNOWN_INTERFACE = "unknown-interface"
    ADMIN_DOWN = "admin-down"
    FAILSAFE = "failsafe"
    HOST_TO_WORKLOAD = "host-to-workload"
    ENDPOINT_TO_HOST = "endpoint-to-host"
    NEIGHBOUR_DISCOVERY = "neighbour-discovery"
    TUNNEL_FROM_WORKLOAD = "tunnel-from-workload"
    NO_ENDPOINT = "no-endpoint"
    NO_VERDICT = "no-verdict"
    FRAGMENT = "fragment"
    MALFORMED = "malformed"
    FAILURE = "failure"
    INVALID = "invalid"
    SPOOFED = "spoofed"
