"""How long one decision takes, and what memory the engine keeps: `python benchmarks/decide.py [--rounds N] [--json]`.

A packet is forwarded from a workload to a workload: egress of the one, then ingress of the other, each with the same
number of rules. Every rule has its own port and one of 100 sets of peers; the last one allows.

* `flows`: 16,384 packets in random order, between 64 peers and on 64 ports: what a busy host sees.
* `spread`: each packet another port and another peer, 100,000 in all: what a scan, or an attacker, sends.
* `first_packet`: of a new engine, its indexes and all; `new_classes`: the thousand packets after it, of `spread`.

All times are processor time.
"""

import argparse
import gc
import json
import random
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from struct import pack
from time import process_time

from calicod.engine.bitmap import BitmapEngine
from calicod.model.action import Action
from calicod.model.hook import Hook
from calicod.model.ports import PortRange
from calicod.model.protocol import TCP
from calicod.packet.value import Packet
from calicod.ruleset.program import (
    CompiledPolicy,
    CompiledRule,
    IPSet,
    LocalEndpoint,
    PortMatch,
    Program,
    RuleSet,
    TierStep,
)

SIZES = (10, 1_000, 10_000)
PEER_SETS = 100
PEERS = 2_000
FLOWS = 16_384
SPREAD = 100_000
LARGE_SET = 1_000_000
MANY_SETS = 10_000
NETWORK = 10 << 24


def address(index: int) -> bytes:
    """The address of a pod."""
    return (NETWORK + index).to_bytes(4)


def peer_set(index: int) -> IPSet:
    """Every hundredth pod."""
    members = range(index, PEERS, PEER_SETS)
    return IPSet(f"selector app == {index}", b"".join(pack("!II", NETWORK + m, NETWORK + m) for m in members))


def rule(index: int, size: int) -> CompiledRule:
    """One port from one set of peers; the last rule is for everybody."""
    if index == size - 1:
        return CompiledRule(action=Action.ALLOW, index=0)
    port = 1 + index * 6 % 60_000
    peers = (index % PEER_SETS,)
    match = PortMatch((PortRange(port, port),))
    action = Action.ALLOW if index % 3 else Action.DENY
    return CompiledRule(action=action, index=0, protocol=TCP, source_sets=peers, destination_ports=match)


def ruleset(size: int) -> RuleSet:
    """`size` policies with a rule for each direction, on two workloads."""
    policies = [
        CompiledPolicy(
            kind="GlobalNetworkPolicy",
            tier="default",
            namespace="",
            name=f"p{index}",
            ingress=(rule(index, size),),
            egress=(rule(index, size),),
        )
        for index in range(size)
    ]
    step = TierStep("default", default_deny=True, policies=tuple(range(size)))
    return RuleSet(
        node="n1",
        ip_sets=tuple(peer_set(index) for index in range(PEER_SETS)),
        policies=tuple(policies),
        programs=(Program((step,), ()), Program((step,), ())),
        workloads=tuple(
            LocalEndpoint(type="WorkloadEndpoint", namespace="a", name=name, interface=name, ingress=0, egress=1)
            for name in ("cali1", "cali2")
        ),
    )


def packet(src: int, dst: int, sport: int, dport: int) -> Packet:
    """A TCP packet between pods."""
    return Packet(4, TCP, address(src), address(dst), sport, dport)


def flows() -> list[Packet]:
    """Of hosts that talk to each other again and again."""
    source = random.Random(1)  # noqa: S311  the same packets in each run
    peers, services = [source.randrange(PEERS) for _ in range(64)], [source.randrange(1, 60_000) for _ in range(64)]
    return [
        packet(source.choice(peers), source.choice(peers), source.randrange(1024, 65536), source.choice(services))
        for _ in range(FLOWS)
    ]


def spread() -> list[Packet]:
    """Of somebody who tries everything."""
    source = random.Random(2)  # noqa: S311  as above
    every = 1 << 16
    return [
        packet(source.randrange(PEERS), source.randrange(PEERS), source.randrange(every), source.randrange(every))
        for _ in range(SPREAD)
    ]


def microseconds(engine: BitmapEngine, packets: Sequence[Packet]) -> float:
    """For one decision, the loop included."""
    decide, hook = engine.decide, Hook.FORWARD
    begin = process_time()
    for sent in packets:
        decide(sent, hook, "cali1", "cali2")
    return (process_time() - begin) / len(packets) * 1e6


def measure(size: int, rounds: int) -> dict[str, float]:
    """The figures for one number of rules."""
    usual, wide = flows(), spread()
    rules = ruleset(size)
    engine = BitmapEngine(rules, ())
    gc.collect()
    gc.disable()
    first = microseconds(engine, usual[:1])
    cold = microseconds(engine, wide[:1_000])
    microseconds(engine, usual)
    figures = {
        "flows_us": statistics.median(microseconds(engine, usual) for _ in range(rounds)),
        "spread_us": statistics.median(microseconds(engine, wide) for _ in range(rounds)),
        "first_packet_ms": first / 1000,
        "new_classes_us": cold,
    }
    gc.enable()
    return figures


def flood(size: int) -> dict[str, float]:
    """Memory after 1.3 million packets that all differ."""
    engine = BitmapEngine(ruleset(size), ())
    microseconds(engine, flows())
    before = peak_megabytes()
    source = random.Random(3)  # noqa: S311  as above
    for _ in range(20):
        microseconds(
            engine,
            [
                Packet(4, TCP, source.randbytes(4), source.randbytes(4), source.randrange(1 << 16), port)
                for port in range(0, 1 << 16, 1)
            ],
        )
    return {"before_mb": before, "peak_mb": peak_megabytes()}


def large(count: int, each: int) -> dict[str, float]:
    """Sets of many networks: time until the first address is known, and memory."""
    step = 1 + (1 << 31) // (count * each)
    sets = []
    for index in range(count):
        bounds = [(member * count + index) * step for member in range(each)]
        sets.append(IPSet(f"{index}", b"".join(pack("!II", bound, bound + step // 2) for bound in bounds)))
    return swept(sets)


def overlapping() -> dict[str, float]:
    """Ten thousand sets that share a hundred addresses each with others."""
    sets = [
        IPSet(
            f"{index}", b"".join(pack("!II", n, n) for n in sorted({(index * 31 + m * 17) % PEERS for m in range(100)}))
        )
        for index in range(MANY_SETS)
    ]
    return swept(sets)


def swept(sets: list[IPSet]) -> dict[str, float]:
    """The time until the first address of these sets is known; the memory that stays, and the peak."""
    from calicod.fields.sets import Sets  # measured in a process of its own

    before = peak_megabytes()
    begin = process_time()
    known = Sets(sets)
    known.class_of(bytes(4))
    took = process_time() - begin
    lookups = [random.Random(4).randbytes(4) for _ in range(10_000)]  # noqa: S311  as above
    begin = process_time()
    for sent in lookups:
        known.class_of(sent)
    return {
        "sweep_ms": took * 1000,
        "lookup_us": (process_time() - begin) / len(lookups) * 1e6,
        "before_mb": before,
        "peak_mb": peak_megabytes(),
    }


def peak_megabytes() -> float:
    """The most this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


ALONE = {
    "flood, 1,000 rules": lambda: flood(1_000),
    "a set of 1,000,000 networks": lambda: large(1, LARGE_SET),
    "10,000 sets of 100 networks": lambda: large(MANY_SETS, 100),
    "10,000 sets of shared addresses": overlapping,
}
"""Each in a process of its own, so that its peak memory is its own."""


def in_own_process(name: str) -> dict[str, float]:
    """This script again, for one case."""
    answer = subprocess.run([sys.executable, __file__, "--alone", name], check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(answer.stdout)
    return figures


def main() -> None:
    """Prints a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        print(json.dumps(ALONE[options.alone]()))
        return
    results = {f"{size:,} rules": measure(size, options.rounds) for size in SIZES}
    results |= {name: in_own_process(name) for name in ALONE}
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, figures in results.items():
        print(f"{name:34}", "  ".join(f"{key} {value:8.2f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
