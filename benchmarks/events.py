"""What an event costs: from a worker's Record, and from a conntrack event, to JSON bytes.

    .venv/bin/python benchmarks/events.py

Three kinds of traffic: each packet a new flow from its own address (a flood of UDP flows), few clients that open many
connections, and one refused flow that retransmits. Ceiling: 6 µs an event, of processor time (the best of three runs).
Memory is that of the full tables.
"""

import gc
import time
import tracemalloc
from collections import deque

import msgspec

from calicod.daemon.events import EventLog
from calicod.model.decision import Decision, EndpointReference, PolicyReference
from calicod.model.hook import Hook
from calicod.model.marks import layout
from calicod.model.network import Network
from calicod.model.record import Batch, Record
from calicod.model.verdict import Reason, Verdict
from calicod.netfilter.endings import Ended
from calicod.ruleset.program import KnownNetwork, RuleSet

CEILING_US = 6.0
COUNT = 150_000
BATCH = 256
START = 1_790_000_000_000_000_000
SERVER = bytes([10, 7, 2, 2])


def decision(verdict: Verdict) -> bytes:
    rule = PolicyReference("NetworkPolicy", "default", "bench", "last", 0, "/etc/calicod/policies.d/bench.yaml", 12000)
    return msgspec.msgpack.encode(
        Decision(
            verdict=verdict,
            reason=Reason.RULE,
            policy=rule,
            trace=("0|default|np:bench/last|allow|0",),
            endpoint=EndpointReference("WorkloadEndpoint", "bench", "n1-cni-w1-eth0"),
        )
    )


def known() -> tuple[KnownNetwork, ...]:
    workloads = tuple(
        KnownNetwork("WorkloadEndpoint", "bench", f"w{i}", {"app": "server"}, (Network(bytes([10, 7, 2, i]), 32),))
        for i in range(2, 250)
    )
    sets = tuple(
        KnownNetwork("NetworkSet", "", f"s{i}", {"role": "x"}, (Network(bytes([172, 16, i, 0]), 24),))
        for i in range(250)
    )
    return workloads + sets


def records(verdict: Verdict, sources: int, ports: int) -> list[Record]:
    plain = [
        Record(
            START + i * 20_000,
            decision(verdict),
            Hook.FORWARD,
            "eth0",
            "caliw1",
            17,
            (0x0A400000 + i % sources).to_bytes(4),
            SERVER,
            1024 + i % ports,
            6379,
            -1,
            -1,
        )
        for i in range(COUNT)
    ]
    # through the wire, as the supervisor gets them: no object is shared between two records
    return msgspec.msgpack.decode(msgspec.msgpack.encode(plain), type=list[Record])


def log() -> EventLog:
    made = EventLog("n1", layout())
    made.adopt(RuleSet(node="n1", known=known()), ())
    return made


def best(name: str, given: list[Record], expected: int) -> None:
    figures = []
    for _ in range(3):
        made, told = log(), 0
        batches = [Batch(0, 1, tuple(given[i : i + BATCH])) for i in range(0, COUNT, BATCH)]
        gc.freeze()  # the packets of this benchmark are none of the event log's memory
        began = time.process_time()
        for batch in batches:
            told += len(made.records(batch))
        figures.append((time.process_time() - began) / COUNT * 1e6)
        assert told == expected, told
    show(name, min(figures))


def closings() -> None:
    given = records(Verdict.ACCEPT, 1 << 20, 1)
    stage, later = layout().filter_stage, 30_000_000_000
    ends = [Ended(r.src, r.dst, r.sport, r.dport, 17, stage, 1, 100, 0, 0, r.time_ns, r.time_ns + later) for r in given]
    figures = []
    for _ in range(3):
        made, told = log(), 0
        made.records(Batch(0, 1, tuple(given)))
        gc.freeze()
        began = time.process_time()
        for i in range(0, COUNT, BATCH):
            told += len(made.ended(deque(ends[i : i + BATCH]), START))
        figures.append((time.process_time() - began) / COUNT * 1e6)
        assert told == COUNT, told
    show("connection.closed", min(figures))


def memory() -> None:
    given = records(Verdict.ACCEPT, 1 << 20, 1)[:], records(Verdict.DROP, 1 << 20, 1)[:]
    tracemalloc.start()
    made = log()
    for kind in given:
        for i in range(0, COUNT, BATCH):
            made.records(Batch(0, 1, tuple(kind[i : i + BATCH])))
    print(f"memory with full tables: {tracemalloc.get_traced_memory()[0] / 1e6:.1f} MB")


def show(name: str, figure: float) -> None:
    print(f"{name}: {figure:.2f} us (ceiling {CEILING_US}) {'ok' if figure <= CEILING_US else 'ABOVE'}")


def main() -> None:
    print(log().records(Batch(0, 1, tuple(records(Verdict.ACCEPT, 1, 1)[:1])))[0].decode())
    best("new flows, each from its own address", records(Verdict.ACCEPT, 1 << 20, 1), COUNT)
    best("new connections of 16 clients", records(Verdict.ACCEPT, 16, 60_000 // 16 * 16 + 1), COUNT)
    best("refused flows, each from its own address", records(Verdict.DROP, 1 << 20, 1), COUNT)
    best("one refused flow that repeats itself", records(Verdict.DROP, 1, 1), 1)
    closings()
    memory()


if __name__ == "__main__":
    main()
