"""How long the compiler takes, and how much memory: `python benchmarks/compile.py [--rounds N] [--json]`.

Each case is a cluster made by rule, no randomness; `again` is a second compilation with the same memory after one
policy has changed. Paired: `cold` and `again` are measured in turn, the figure is the median, the ratio is of pairs.
The large network set is measured in a process of its own, so that its peak memory is its own.
"""

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from time import process_time

from msgspec.structs import replace

from calicod.compiler.compile import Memory, compile
from calicod.model.action import Action
from calicod.model.network import Network
from calicod.model.ports import PortRange
from calicod.model.protocol import TCP, Protocol
from calicod.resources.kinds import (
    EntityRule,
    Metadata,
    NetworkSet,
    Policy,
    Profile,
    Resource,
    Rule,
    WorkloadEndpoint,
)
from calicod.resources.snapshot import Snapshot, snapshot
from calicod.selector.tree import And, Equals, Has, Selector

NODE = "n1"
NAMESPACES = 20
LARGE_SET = 1_000_000


def endpoint(index: int, apps: int) -> WorkloadEndpoint:
    """A pod of one of `apps` applications."""
    namespace = f"ns{index % NAMESPACES}"
    return WorkloadEndpoint(
        metadata=Metadata(
            name=f"n1-k8s-w{index}-eth0",
            namespace=namespace,
            labels={"app": f"app{index % apps}", "tier": f"t{index % 5}", "pod": f"w{index}"},
        ),
        node=NODE,
        orchestrator="k8s",
        workload=f"w{index}",
        endpoint="eth0",
        interface_name=f"cali{index}",
        ip_networks=((10 << 24 | index).to_bytes(4), (0xFD << 120 | index).to_bytes(16)),
        profiles=(f"kns.{namespace}",),
    )


def policy(index: int, apps: int, port: int, selector: Selector | None = None) -> Policy:
    """Two rules: one allows a port from another application, one denies a network."""
    peer = Equals("app", f"app{(index * 7 + 1) % apps}")
    ports = EntityRule(ports=(PortRange(port, port),))
    return Policy(
        kind="GlobalNetworkPolicy",
        metadata=Metadata(name=f"p{index}"),
        order=float(index),
        selector=selector or Equals("app", f"app{index % apps}"),
        governs_egress=True,
        ingress=(
            Rule(action=Action.ALLOW, protocol=Protocol(TCP), source=EntityRule(selector=peer), destination=ports),
            Rule(action=Action.DENY, source=EntityRule(nets=(Network(bytes([10, index % 250, 0, 0]), 16),))),
        ),
        egress=(Rule(action=Action.ALLOW, protocol=Protocol(TCP), destination=ports),),
    )


def profile(index: int) -> Profile:
    """What a namespace becomes."""
    name = f"ns{index}"
    allow = (Rule(action=Action.ALLOW),)
    labels = {"pcns.projectcalico.org/name": name, "pcns.team": f"team{index % 3}"}
    return Profile(metadata=Metadata(name=f"kns.{name}"), ingress=allow, egress=allow, labels_to_apply=labels)


def cluster(policies: int, endpoints: int, apps: int, selector: Selector | None = None) -> list[Resource]:
    """Policies over endpoints with `apps` different selectors, or with one selector for all."""
    resources: list[Resource] = [profile(index) for index in range(NAMESPACES)]
    resources += [endpoint(index, apps) for index in range(endpoints)]
    resources += [policy(index, apps, 1 + index % 60_000, selector) for index in range(policies)]
    return resources


def changed(resources: Sequence[Resource], number: int) -> list[Resource]:
    """The same cluster after somebody changed a rule of the policy in the middle."""
    indexes = [index for index, item in enumerate(resources) if isinstance(item, Policy)]
    chosen = indexes[len(indexes) // 2]
    present = resources[chosen]
    assert isinstance(present, Policy)
    first = replace(present.ingress[0], destination=EntityRule(ports=(PortRange(number, number),)))
    edited = replace(present, ingress=(first, *present.ingress[1:]))
    return [*resources[:chosen], edited, *resources[chosen + 1 :]]


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of processor time."""
    gc.collect()
    begin = process_time()
    work()
    return (process_time() - begin) * 1000


def measure(resources: list[Resource], rounds: int) -> dict[str, float]:
    """Medians of snapshot, cold and warm compilation, in turn."""
    memory = Memory()
    compile(snapshot(resources), NODE, memory)
    grouping, cold, again = [], [], []
    for number in range(1, rounds + 1):
        edited = changed(resources, number)
        grouping.append(timed(lambda edited=edited: snapshot(edited)))
        present: Snapshot = snapshot(edited)
        cold.append(timed(lambda present=present: compile(present, NODE)))
        again.append(timed(lambda present=present: compile(present, NODE, memory)))
    return {
        "snapshot_ms": statistics.median(grouping),
        "cold_ms": statistics.median(cold),
        "again_ms": statistics.median(again),
        "ratio": statistics.median(a / c for a, c in zip(again, cold, strict=True)),
    }


def large_set() -> dict[str, float]:
    """A global network set of a million networks that a rule names; peak memory of this process."""
    nets = tuple(Network((0x0B000000 + (index << 9)).to_bytes(4), 24) for index in range(LARGE_SET))
    owner = NetworkSet(kind="GlobalNetworkSet", metadata=Metadata(name="large", labels={"feed": "bad"}), nets=nets)
    refuse = Rule(action=Action.DENY, source=EntityRule(selector=Equals("feed", "bad")))
    governing = Policy(kind="GlobalNetworkPolicy", metadata=Metadata(name="p"), ingress=(refuse,))
    present = snapshot([owner, governing, endpoint(0, 1), profile(0)])
    before = peak_megabytes()
    took = timed(lambda: compile(present, NODE))
    return {"cold_ms": took, "before_mb": before, "peak_mb": peak_megabytes()}


def peak_megabytes() -> float:
    """The most this process has used."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_process(argument: str) -> dict[str, float]:
    """This script again, for one case."""
    command = [sys.executable, __file__, argument]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(answer.stdout)
    return figures


def main() -> None:
    """Prints a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--large-set", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.large_set:
        print(json.dumps(large_set()))
        return
    dense = And((Has("app"), Has("tier")))
    results = {
        "1,000 policies x 1,000 endpoints": measure(cluster(1_000, 1_000, 100), options.rounds),
        "1,000 policies on every one of 1,000": measure(cluster(1_000, 1_000, 100, dense), options.rounds),
        "10,000 policies x 2,000, 500 selectors": measure(cluster(10_000, 2_000, 500), options.rounds),
        "network set of 1,000,000": in_own_process("--large-set"),
    }
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, figures in results.items():
        print(f"{name:40}", "  ".join(f"{key} {value:9.2f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
