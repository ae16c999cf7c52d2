import msgspec
import pytest

from calicod.daemon.state import (
    EndpointState,
    LiveFlow,
    PolicyName,
    PolicyState,
    QueueState,
    Reloaded,
    Status,
    TrialState,
    WorkerState,
)
from calicod.errors import Diagnostic
from calicod.model.decision import PolicyReference
from calicod.model.event import Party

WRONG = Diagnostic(code="R005", message="no", file="a.yaml", line=1)
STATUS = Status(
    healthy=False,
    state="degraded",
    reasons=("why",),
    node="n1",
    pid=1,
    supervisor_pid=2,
    uptime_seconds=1.5,
    revision=3,
    generation=4,
    resources=5,
    endpoints=6,
    steering="iptables-nft",
    failure_mode="closed",
    workers=(WorkerState(worker=0, pid=7, revision=3),),
    queues=(QueueState(queue=5200, waiting=0, queue_dropped=0, user_dropped=0),),
    drops={"invalid": 1},
    rejected=(WRONG,),
    warnings=(),
    notices=("note",),
)
ENDPOINT = EndpointState(
    type="WorkloadEndpoint",
    namespace="a",
    name="w",
    state="up",
    interface="cali1",
    interfaces=("cali1",),
    addresses=("10.65.0.2",),
    labels={"a": "b"},
    ingress=(PolicyName("NetworkPolicy", "default", "a", "p"),),
    egress=(),
    profiles=("kns.a",),
)
POLICY = PolicyState(
    kind="NetworkPolicy",
    tier="default",
    namespace="a",
    name="p",
    file="a.yaml",
    line=1,
    ingress_rules=1,
    egress_rules=0,
    endpoints=("a/w",),
)
FLOW = LiveFlow(
    protocol="tcp",
    src_ip="192.0.2.10",
    src_port=40000,
    dst_ip="10.65.0.2",
    dst_port=80,
    icmp_type=None,
    icmp_code=None,
    hook="forward",
    in_interface="eth0",
    out_interface="caliw",
    src=Party("Network", "", "pub"),
    dst=Party("WorkloadEndpoint", "a", "n1-k8s-w-eth0"),
    reporter="dst",
    reason="rule",
    policy=PolicyReference("NetworkPolicy", "default", "a", "web", 0, "a.yaml", 7),
    generation=5,
    age_seconds=12.5,
    packets_to_dst=4,
    bytes_to_dst=400,
    packets_to_src=3,
    bytes_to_src=300,
    flow_id="8b4d8ace18cd8f95",
)
TRIAL = TrialState(phase="trial", began="2026-09-21T14:15:00.000000Z", seconds_left=42.0, files=("/p/a.yaml",))
RELOADED = Reloaded(revision=1, generation=2, rejected=(WRONG,))
TRYING = msgspec.structs.replace(STATUS, trial=TRIAL)


@pytest.mark.parametrize("state", [STATUS, TRYING, ENDPOINT, POLICY, FLOW, RELOADED])
def test_what_the_daemon_says_of_itself_is_the_same_after_its_way_through_json(state):
    assert msgspec.json.decode(msgspec.json.encode(state), type=type(state)) == state
