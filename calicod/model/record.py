"""What a worker tells the supervisor: one record per judged packet, without formatting.

Law: a record is complete by itself; addresses and ports are those of the *flow* (a reply was turned round), names of
interfaces and the hook likewise. The decision travels encoded, once made per kind of decision.
"""

import msgspec

from calicod.model.hook import Hook


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One judged packet.

    `time_ns`: wall clock. `decision`: msgpack of a `Decision`. `known`: the flow bore an older stamp of ours (a refusal
    is a cut). `reply`: it was the reply direction that came up. `quoted`: an ICMP error judged as the flow it quotes.
    `icmp_id`: to conntrack, the identifier is what makes two pings between the same hosts two connections. `untracked`:
    the packet has no connection, so each one of its flow is judged.
    """

    time_ns: int
    decision: bytes
    hook: Hook
    in_interface: str
    out_interface: str
    protocol: int
    src: bytes
    dst: bytes
    sport: int
    dport: int
    icmp_type: int
    icmp_code: int
    known: bool = False
    reply: bool = False
    quoted: bool = False
    icmp_id: int = -1
    untracked: bool = False


class Batch(msgspec.Struct, frozen=True, tag="batch"):
    """Records of one worker under one revision; `lost`: records it had to drop since its last batch."""

    worker: int
    revision: int
    records: tuple[Record, ...]
    lost: int = 0


class Applied(msgspec.Struct, frozen=True, tag="applied"):
    """The worker now judges by this revision; `error`: it could not take it, and keeps the one before."""

    worker: int
    pid: int
    revision: int
    took_ns: int
    error: str = ""


class Counters(msgspec.Struct, frozen=True, tag="counters"):
    """Totals since this worker process began (packets, not flows)."""

    worker: int
    pid: int
    judged: int
    denied: int
    malformed: int
    failed: int
    records_lost: int
    last_failure: str = ""


class Severed(msgspec.Struct, frozen=True, tag="severed"):
    """The first packet, cut short, of a TCP connection that a change of policy ends: its receiver must be told."""

    worker: int
    packet: bytes


class PickedUp(msgspec.Struct, frozen=True, tag="picked-up"):
    """A TCP segment, cut short, that conntrack takes for a caller's, and that is a reply."""

    worker: int
    packet: bytes


FromWorker = Batch | Applied | Counters | Severed | PickedUp


class Swap(msgspec.Struct, frozen=True, tag="swap"):
    """Load the enforcement file of the run directory: it holds this revision."""

    revision: int


class Report(msgspec.Struct, frozen=True, tag="report"):
    """Answer with Counters and Applied."""


ToWorker = Swap | Report


class WorkerDied(msgspec.Struct, frozen=True, tag="worker-died"):
    """A worker ended and was replaced. `status`: its exit code, negative for a signal; `how`: the same in words."""

    worker: int
    pid: int
    status: int
    how: str


class SupervisorDied(msgspec.Struct, frozen=True, tag="supervisor-died"):
    """The supervisor before this one ended; the workers went on meanwhile."""

    pid: int
    status: int
    how: str


FromKeeper = WorkerDied | SupervisorDied


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The daemon enforces: from now on a supervisor that ends is replaced, whatever its exit code."""


class Hung(msgspec.Struct, frozen=True, tag="hung"):
    """A worker says nothing any more: it is to be killed and replaced. `pid` 0: it never said which it is."""

    worker: int
    pid: int


ToKeeper = Ready | Hung
