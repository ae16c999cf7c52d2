"""What is valid, and answered for by `eval` and `explain`, but not enforced by the daemon of this version.

Law: the loader warns of it, the daemon refuses it: it is never in force in name only.
"""

import msgspec

from calicod.resources.kinds import Policy, Resource


class Unenforced(msgspec.Struct, frozen=True):
    """A finding about a field of `spec`."""

    code: str
    field: str
    message: str
    hint: str


BEFORE_DNAT = Unenforced(
    "N005",
    "preDNAT",
    "preDNAT is not enforced yet: the daemon refuses this policy",
    "for the daemon leave it out, and name destinations as they are after DNAT",
)


def unenforced(resource: Resource) -> tuple[Unenforced, ...]:
    """Why the daemon refuses a resource; nothing if it does not."""
    if isinstance(resource, Policy):
        told = ((resource.pre_dnat, BEFORE_DNAT),)
        return tuple(finding for given, finding in told if given)
    return ()
