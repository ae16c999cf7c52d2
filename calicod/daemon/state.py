"""What the daemon tells about itself: the shapes behind `status`, `endpoints`, `policies` and `flows`.

Law: plain values, encoded as they are by the control socket; the commands print them and add nothing.
"""

import msgspec

from calicod.errors import Diagnostic
from calicod.model.decision import PolicyReference
from calicod.model.event import Party


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """One worker: its process, the revision it judges by and its counters (packets since the process began)."""

    worker: int
    pid: int
    revision: int
    judged: int = 0
    denied: int = 0
    malformed: int = 0
    failed: int = 0
    records_lost: int = 0
    replaced: int = 0


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """One kernel queue: packets waiting, and dropped because it was full or its socket was."""

    queue: int
    waiting: int
    queue_dropped: int
    user_dropped: int


class TrialState(msgspec.Struct, frozen=True, kw_only=True):
    """A set that is in force in place of the policy files. `phase`: `trial`, or `install`: confirmed, on its way there.

    `edited`: policy files that were changed since it came into force; they count again after a rollback.
    `trouble`: why it could not be installed yet.
    """

    phase: str
    began: str
    seconds_left: float | None
    files: tuple[str, ...]
    edited: tuple[str, ...] = ()
    trouble: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `calicod status`. `state`: starting, healthy, degraded or stopping; `reasons`: why not healthy."""

    healthy: bool
    state: str
    reasons: tuple[str, ...]
    node: str
    pid: int
    supervisor_pid: int
    uptime_seconds: float
    revision: int
    generation: int
    resources: int
    endpoints: int
    steering: str
    failure_mode: str
    workers: tuple[WorkerState, ...]
    queues: tuple[QueueState, ...]
    drops: dict[str, int]
    rejected: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]
    notices: tuple[str, ...]
    events_written: int = 0
    events_lost: int = 0
    trial: TrialState | None = None


class PolicyName(msgspec.Struct, frozen=True):
    """A policy as lists show it."""

    kind: str
    tier: str
    namespace: str
    name: str
    staged: bool = False


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """One local endpoint; `interfaces` are those it judges now; policies in the order they are tried."""

    type: str
    namespace: str
    name: str
    state: str
    interface: str
    interfaces: tuple[str, ...]
    addresses: tuple[str, ...]
    labels: dict[str, str]
    ingress: tuple[PolicyName, ...]
    egress: tuple[PolicyName, ...]
    profiles: tuple[str, ...]


class PolicyState(msgspec.Struct, frozen=True, kw_only=True):
    """One policy or profile with the local endpoints it judges and how often its rules decided (flows, not packets).

    One that is `staged` never decides.
    """

    kind: str
    tier: str
    namespace: str
    name: str
    file: str
    line: int
    ingress_rules: int
    egress_rules: int
    endpoints: tuple[str, ...]
    allowed: int = 0
    denied: int = 0
    logged: int = 0
    staged: bool = False


class LiveFlow(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that the policy in force allows, in the words of events (docs/events.md).

    `hook` None: its path is not certain, so neither is what decided. `generation`: of the policy that judged it; 0 for
    one that no policy judged. Counters and age are None where the kernel does not count.
    """

    protocol: str
    src_ip: str
    src_port: int | None
    dst_ip: str
    dst_port: int | None
    icmp_type: int | None
    icmp_code: int | None
    hook: str | None
    in_interface: str | None
    out_interface: str | None
    src: Party
    dst: Party
    reporter: str | None
    reason: str | None
    policy: PolicyReference | None
    generation: int
    age_seconds: float | None
    packets_to_dst: int | None
    bytes_to_dst: int | None
    packets_to_src: int | None
    bytes_to_src: int | None
    flow_id: str | None


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `calicod reload`: the revision in force, what was rejected, and why nothing changed, if so.

    `trial`: what is in force in place of the files that were read.
    """

    revision: int
    generation: int
    rejected: tuple[Diagnostic, ...] = ()
    error: str = ""
    trial: TrialState | None = None
