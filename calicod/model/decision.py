"""The answer to one packet: what, by which rule, and the way there.

Law: a Decision is made once per (path, deciding rules) and shared by all packets that take it; it holds nothing of
the packet itself.
"""

import msgspec

from calicod.model.verdict import Reason, Verdict


class PolicyReference(msgspec.Struct, frozen=True):
    """A rule and where it was written (`policy` of decisions and events; contract.md).

    `rule` counts from 0 in its direction; -1 is the tier's default action. `kind` is the full kind.
    `tier` is `__PROFILE__` for a profile. `line` 0: not known.
    """

    kind: str
    tier: str
    namespace: str
    name: str
    rule: int
    file: str = ""
    line: int = 0


class EndpointReference(msgspec.Struct, frozen=True):
    """The endpoint that decided (`type` is the kind)."""

    type: str
    namespace: str
    name: str


class Pending(msgspec.Struct, frozen=True):
    """What would have been decided if the staged policies were enforced."""

    verdict: Verdict
    trace: tuple[str, ...]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Verdict, reason, the deciding rule (None: no rule did), policy hit strings (semantics 6.3) in order.

    `logged`: the Log rules that matched, in order. `reporter`: "dst" when the deciding side is ingress, else "src".
    `endpoint`: the endpoint whose policy decided.
    """

    verdict: Verdict
    reason: Reason
    policy: PolicyReference | None = None
    trace: tuple[str, ...] = ()
    logged: tuple[PolicyReference, ...] = ()
    pending: Pending | None = None
    reporter: str = "dst"
    endpoint: EndpointReference | None = None
