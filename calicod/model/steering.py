"""Which packets the kernel brings to the queues, as values: what every installer must establish.

Law: a Steering says *what*, never how; two equal Steerings make equal rules. `design.md` section 6 and `steering.md`
say why each part is there.
"""

import msgspec

from calicod.model.marks import LOCAL_ID, MarkLayout, layout
from calicod.model.network import Network


class Nic(msgspec.Struct, frozen=True):
    """A host interface with an id of its own in the stamp. `managed`: a host endpoint judges its local traffic.

    `local_id`: in the stamp of what this host itself sends there; another one for each host endpoint. `forward`: the
    host endpoint has policy for what is forwarded; `untracked_in`, `untracked_out`: before connection tracking;
    `prednat`: before destination NAT.
    """

    name: str
    id: int
    managed: bool
    local_id: int = LOCAL_ID
    forward: bool = False
    untracked_in: bool = False
    untracked_out: bool = False
    prednat: bool = False


class ForwardingWorkload(msgspec.Struct, frozen=True):
    """A workload interface that may send from `prefixes` besides its own addresses; it has an id of its own."""

    name: str
    id: int
    prefixes: tuple[Network, ...]


class FailsafePort(msgspec.Struct, frozen=True):
    """Protocol number (TCP or UDP), destination port and, if limited, the far side's network."""

    protocol: int
    port: int
    net: Network | None = None


class FlowKind(msgspec.Struct, frozen=True):
    """New flows that are decided alike whatever their source port. `out_interface`: "" for what comes to the host.

    What the kernel does with them is never more than a memory of what the policy of this revision decides.
    """

    in_interface: str
    out_interface: str
    protocol: int
    src: bytes
    dst: bytes
    dport: int


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """The kernel side of one generation.

    `generation` 1..: in every stamp test. `nics`: all host interfaces, there or named by an endpoint, but `lo` and
    what no rule can name, unless it has a host endpoint of its own; those with a host endpoint `managed`.
    `wildcard_host`: a `*` host endpoint manages every other one, present or to come (id UNMANAGED_ID);
    `wildcard_forward`: it judges what is forwarded by any of these, and by workloads;
    `wildcard_prednat`: what comes by any interface, before DNAT. `loopback`: the id
    of what the host sends to itself, when a host endpoint judges that, `loopback_untracked` before connection tracking
    too. `workload_prefixes`: () when no workload
    interface is to be judged. `queue_base`: the kernel spreads flows over a range of queues, so those of the original
    direction come first, one a worker, then those of the reply direction (`queues`). `fail_open`: pass what nobody
    reads (`failure_mode: open`). `answers`: what is refused may be answered, so such answers of this host's pass.
    `denied`: refused without being asked about, under a flood; `allowed`: stamped without being asked about, TCP alone,
    and logged to `log_group`, as is what a failsafe lets pass; None: no such group is read.
    """

    generation: int
    nics: tuple[Nic, ...] = ()
    wildcard_host: bool = False
    wildcard_forward: bool = False
    wildcard_prednat: bool = False
    loopback: int | None = None
    loopback_untracked: bool = False
    workload_prefixes: tuple[str, ...] = ()
    forwarding_workloads: tuple[ForwardingWorkload, ...] = ()
    failsafe_inbound: tuple[FailsafePort, ...] = ()
    failsafe_outbound: tuple[FailsafePort, ...] = ()
    drop_invalid: bool = True
    queue_base: int = 5200
    workers: int = 1
    fail_open: bool = False
    answers: bool = False
    denied: tuple[FlowKind, ...] = ()
    allowed: tuple[FlowKind, ...] = ()
    log_group: int | None = None
    marks: MarkLayout = layout()

    def queues(self, worker: int) -> tuple[int, int]:
        """The two queues that worker 0.. reads: original direction, reply direction.

        >>> Steering(generation=1, queue_base=5200, workers=2).queues(1)
        (5201, 5203)
        """
        return self.queue_base + worker, self.queue_base + self.workers + worker
