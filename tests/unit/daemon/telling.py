"""Decisions, records and conntrack's flows in few words, and an event log that answers in values."""

import socket
from collections import deque
from collections.abc import Iterable

import msgspec

from calicod.daemon.events import EventLog
from calicod.daemon.history import History
from calicod.eventlog.sink import lines_of
from calicod.model.decision import Decision, EndpointReference, PolicyReference
from calicod.model.event import Event, decode
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.marks import FAILSAFE_ID, layout
from calicod.model.network import parse_network
from calicod.model.record import Batch, Record
from calicod.model.verdict import Reason, Verdict
from calicod.netfilter.endings import ended
from calicod.netfilter.flow import Flow, FlowTuple
from calicod.netfilter.nflog import Run
from calicod.ruleset.program import KnownNetwork, RuleSet

NODE = "n1"
SECOND = 1_000_000_000
T0 = 1_790_000_000 * SECOND
CLIENT, SERVER, HOST = "203.0.113.9", "10.65.0.2", "192.0.2.1"
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
MARKS = layout()
STAMPED = MARKS.stamp(5, 3) | MARKS.filter_stage | MARKS.judged
FAILSAFE = MARKS.stamp(0, FAILSAFE_ID)
WORKLOAD = EndpointReference("WorkloadEndpoint", "production", "red-0")


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def rule(name: str = "web", number: int = 0, line: int = 14) -> PolicyReference:
    return PolicyReference("NetworkPolicy", "default", "production", name, number, "p/web.yaml", line)


def allow(by: PolicyReference | None = None, **fields: object) -> Decision:
    by = by or rule()
    trace = (f"0|default|np:production/{by.name}|allow|{by.rule}",)
    return Decision(**{"verdict": Verdict.ACCEPT, "policy": by, "trace": trace, **DECIDED, **fields})


def deny(by: PolicyReference | None = None, **fields: object) -> Decision:
    by = by or rule("web", -1)
    trace = (f"0|default|np:production/{by.name}|deny|{by.rule}",)
    return Decision(**{"verdict": Verdict.DROP, "policy": by, "trace": trace, **DECIDED, **fields})


DECIDED = {"reason": Reason.RULE, "endpoint": WORKLOAD}


def packet(decision: Decision, at: float = 0.0, **fields: object) -> Record:
    """A packet of a TCP flow from CLIENT to SERVER, `at` seconds after T0."""
    given = {"src": CLIENT, "dst": SERVER, **fields}
    given |= {side: packed(given[side]) for side in ("src", "dst")}
    flow = {"protocol": TCP, "sport": 40001, "dport": 6379, "icmp_type": -1, "icmp_code": -1}
    path = {"hook": Hook.FORWARD, "in_interface": "eth0", "out_interface": "caliw1"}
    return Record(**{"time_ns": T0 + int(at * SECOND), "decision": encoded(decision), **path, **flow, **given})


def syn(*, failsafe: bool = False, **fields: object) -> Run:
    """The packet of `packet`, as a rule has logged it."""
    r = packet(allow(), **fields)
    return r.hook, failsafe, r.protocol, [(0, r.src, r.dst, r.sport, r.dport)]


def ping(decision: Decision, at: float = 0.0, *, icmp_id: int = 7, **fields: object) -> Record:
    """An echo request."""
    flow = {"protocol": ICMP, "sport": -1, "dport": -1, "icmp_type": 8, "icmp_code": 0, "icmp_id": icmp_id}
    return packet(decision, at, **{**flow, **fields})


def encoded(decision: Decision) -> bytes:
    return msgspec.msgpack.encode(decision)


def flow(began: float = 0.0, ended: float = 0.0, **fields: object) -> Flow:
    """The connection of `packet`, as conntrack has it."""
    original = FlowTuple(TCP, packed(CLIENT), packed(SERVER), 40001, 6379)
    reply = FlowTuple(TCP, packed(SERVER), packed(CLIENT), 6379, 40001)
    times = {"start_ns": T0 + int(began * SECOND), "stop_ns": T0 + int(ended * SECOND) if ended else 0}
    counters = {"packets": 5, "bytes": 500, "reply_packets": 4, "reply_bytes": 4000}
    return Flow(**{"original": original, "reply": reply, "mark": STAMPED, **times, **counters, **fields})


def known(type_: str, namespace: str, name: str, *networks: str, **labels: str) -> KnownNetwork:
    return KnownNetwork(type_, namespace, name, labels, tuple(parse_network(text)[0] for text in networks))


class Teller:
    """An event log; what it tells comes as values."""

    def __init__(self, *owners: KnownNetwork, flow_limit: int = 1000, passage_limit: int = 1000) -> None:
        self.log = EventLog(NODE, MARKS, History(flow_limit, passage_limit))
        self.adopt(*owners)

    def adopt(self, *owners: KnownNetwork) -> None:
        self.log.adopt(RuleSet(node=NODE, known=owners), (Interface(2, "eth0", (packed(HOST),)),))

    def judged(self, *records: Record, revision: int = 1, lost: int = 0) -> list[Event]:
        return values(self.log.records(Batch(0, revision, records, lost)))

    def began(self, *flows: Flow, at: float = 0.0) -> list[Event]:
        return values(self.log.connections(flows, T0 + int(at * SECOND)))

    def ended(self, *flows: Flow, at: float = 0.0) -> list[Event]:
        return values(self.log.ended(deque(map(ended, flows)), T0 + int(at * SECOND)))

    def logged(self, *packets: Run, at: float = 0.0, ends: Iterable[Flow] = ()) -> list[Event]:
        """The kernel let them pass by itself; `ends`: what conntrack has told meanwhile."""
        waiting = deque(map(ended, ends))
        return values(lines_of(self.log.begun(packets, waiting, T0 + int(at * SECOND))))

    def tick(self, at: float) -> list[Event]:
        return values(self.log.tick(T0 + int(at * SECOND)))

    def close(self, at: float = 0.0) -> list[Event]:
        return values(self.log.close(T0 + int(at * SECOND)))


def values(lines: Iterable[bytes]) -> list[Event]:
    """Each line is one event, whatever is in it."""
    lines = list(lines)
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines)
    return [decode(line) for line in lines]


def names(events: Iterable[Event]) -> list[str]:
    return [str(event.__struct_config__.tag) for event in events]
