"""What calicod tells the outside: one JSON object a line, `version` 1 (docs/events.md, contract.md).

Law: names and types here are the public face: adding a field with a default is free, renaming or removing one needs an
ADR. What a packet has not is null. The first key is `event`; the others come in the order of their definition.
"""

from typing import Literal

import msgspec

from calicod.model.decision import EndpointReference, PolicyReference
from calicod.model.hook import Hook
from calicod.model.printable import encode_printable
from calicod.model.verdict import Reason

VERSION = 1


class Party(msgspec.Struct, frozen=True):
    """One end of a connection. `type`: WorkloadEndpoint, HostEndpoint, NetworkSet or Network (nothing of ours).

    A Network has the name `pvt` (RFC 1918) or `pub`, as in Calico's flow logs.
    """

    type: str
    namespace: str
    name: str
    labels: dict[str, str] = {}


class Hits(msgspec.Struct, frozen=True):
    """Policy hit strings (semantics 6.3): what was enforced, and what would be if staged policies were."""

    enforced: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """The shape of every event. The event log fills in `time` and `node`."""

    version: int = VERSION
    time: str = ""
    node: str = ""


class _Connection(_Event, frozen=True, kw_only=True, tag_field="event"):
    """Everything the decision knew.

    Addresses are those of the flow, also when its reply came up: the source before NAT, the destination after it.
    `count`: packets that the event stands for. `flow_id` is null when the flow's beginning is not known.
    """

    revision: int
    verdict: Literal["allow", "deny"]
    reason: Reason | None
    hook: Hook | None
    in_interface: str | None
    out_interface: str | None
    protocol: str | None
    src_ip: str | None
    src_port: int | None
    dst_ip: str | None
    dst_port: int | None
    icmp_type: int | None
    icmp_code: int | None
    reporter: Literal["src", "dst"] | None
    src: Party | None
    dst: Party | None
    policy: PolicyReference | None
    policies: Hits
    count: int
    flow_id: str | None


class ConnectionAllowed(_Connection, frozen=True, kw_only=True, tag="connection.allowed"):
    """A new connection was allowed, or one judged again is now allowed by another rule."""


class ConnectionDenied(_Connection, frozen=True, kw_only=True, tag="connection.denied"):
    """A new connection was refused; with `count` above 1 the summary of a window of repeats, the first included."""


class ConnectionCut(_Connection, frozen=True, kw_only=True, tag="connection.cut"):
    """A policy change ended an allowed connection. `old_policy` allowed it: null when that is not remembered."""

    old_policy: PolicyReference | None


class ConnectionClosed(_Connection, frozen=True, kw_only=True, tag="connection.closed"):
    """The kernel forgot a connection that was judged; counters are null without conntrack accounting."""

    duration_ms: float | None
    packets_to_dst: int | None
    bytes_to_dst: int | None
    packets_to_src: int | None
    bytes_to_src: int | None


class RuleLogged(_Connection, frozen=True, kw_only=True, tag="rule.logged"):
    """A Log rule (`policy`) matched; verdict and reason are those of the whole decision.

    `suppressed`: packets of this rule since its former event that the rate limit kept back.
    """

    suppressed: int


class PolicyApplied(_Event, frozen=True, kw_only=True, tag="policy.applied"):
    """Every worker and the kernel enforce this revision. `rejudged`: live flows are judged again."""

    revision: int
    generation: int
    resources: int
    endpoints: int
    rejudged: bool
    took_ms: float


class PolicyRejected(_Event, frozen=True, kw_only=True, tag="policy.rejected"):
    """A resource was refused. `kept`: its last good version stays in force (else it is absent)."""

    code: str
    message: str
    hint: str | None
    file: str
    line: int
    column: int
    kind: str | None
    namespace: str | None
    name: str | None
    path: str
    kept: bool


class PolicyTried(_Event, frozen=True, kw_only=True, tag="policy.tried"):
    """A set of so many files is in force in place of the policy files, until it is confirmed or the time is over."""

    files: int
    confirm_within_seconds: float


class PolicyConfirmed(_Event, frozen=True, kw_only=True, tag="policy.confirmed"):
    """A set of so many files is to stay: it takes the place of the policy files on the disk too."""

    files: int


class PolicyRolledBack(_Event, frozen=True, kw_only=True, tag="policy.rolled-back"):
    """A set of so many files is in force no longer; or, asked for after it was confirmed, the former one is again."""

    reason: str
    files: int


class EndpointUp(_Event, frozen=True, kw_only=True, tag="endpoint.up"):
    """An endpoint of this node has an interface now, and is judged."""

    endpoint: EndpointReference
    interface: str
    addresses: tuple[str, ...] = ()


class EndpointDown(_Event, frozen=True, kw_only=True, tag="endpoint.down"):
    """An endpoint of this node lost an interface."""

    endpoint: EndpointReference
    interface: str
    addresses: tuple[str, ...] = ()


class QueueDropped(_Event, frozen=True, kw_only=True, tag="queue.dropped"):
    """The kernel dropped packets that waited to be judged. `reason`: queue-full or socket-full."""

    queue: int
    reason: str
    count: int


class KernelDropped(_Event, frozen=True, kw_only=True, tag="kernel.dropped"):
    """A kernel rule of ours dropped packets unjudged (`invalid`, `spoofed`, `unknown-interface`, ...)."""

    reason: str
    count: int


class EventsLost(_Event, frozen=True, kw_only=True, tag="events.lost"):
    """Events, or what was remembered for them, were lost. `where` names the part that could not keep up."""

    where: str
    count: int
    reason: str


class SteeringReset(_Event, frozen=True, kw_only=True, tag="steering.reset"):
    """Another program removed or moved rules of ours; `missing` says which, `restored` whether they are back."""

    missing: tuple[str, ...]
    restored: bool


class DaemonStarted(_Event, frozen=True, kw_only=True, tag="daemon.started"):
    """The daemon enforces. `notices`: what it changed on the host for it, and what it does without."""

    calicod_version: str
    pid: int
    revision: int
    notices: tuple[str, ...] = ()


class DaemonStopped(_Event, frozen=True, kw_only=True, tag="daemon.stopped"):
    """The daemon ends; the kernel's rules stay."""

    reason: str


class DaemonDegraded(_Event, frozen=True, kw_only=True, tag="daemon.degraded"):
    """Something is not as it should be; policy in force stays in force."""

    reasons: tuple[str, ...]


class DaemonRecovered(_Event, frozen=True, kw_only=True, tag="daemon.recovered"):
    """The daemon is healthy again."""


class WorkerDied(_Event, frozen=True, kw_only=True, tag="daemon.worker-died"):
    """A worker ended and was replaced. `how`: its exit code or signal."""

    worker: int
    pid: int
    how: str


class SupervisorDied(_Event, frozen=True, kw_only=True, tag="daemon.supervisor-died"):
    """The former control plane ended; this one took over. Workers went on meanwhile."""

    pid: int
    how: str


class FailureModeChanged(_Event, frozen=True, kw_only=True, tag="daemon.failure-mode-changed"):
    """What happens to packets that nobody judges has changed: `closed` drops, `open` passes them."""

    old: str
    new: str


ConnectionEvent = ConnectionAllowed | ConnectionDenied | ConnectionCut | ConnectionClosed | RuleLogged

Event = (
    ConnectionEvent
    | PolicyApplied
    | PolicyRejected
    | PolicyTried
    | PolicyConfirmed
    | PolicyRolledBack
    | EndpointUp
    | EndpointDown
    | QueueDropped
    | KernelDropped
    | EventsLost
    | SteeringReset
    | DaemonStarted
    | DaemonStopped
    | DaemonDegraded
    | DaemonRecovered
    | WorkerDied
    | SupervisorDied
    | FailureModeChanged
)

_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """One line, newline included."""
    return encode_printable(event) + b"\n"


def decode(line: bytes) -> Event:
    """The inverse of `encode`. Raises msgspec.DecodeError, also for events of a later version."""
    return _DECODER.decode(line)


def name_of(event: Event) -> str:
    """The value of the key `event`.

    >>> name_of(DaemonRecovered())
    'daemon.recovered'
    """
    return str(event.__struct_config__.tag)
