"""How long `calicod validate` takes, and how much memory: `python benchmarks/validate.py [--rounds N] [--json]`.

Each case is a folder of files made by rule, judged by the command in a process of its own, start and imports included;
the figure is the median. Of the large network set, reading and compiling are told apart as well.
"""

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from calicod.compiler.compile import compile
from calicod.datastore.files import read
from calicod.resources.snapshot import snapshot

POLICIES = 10_000
FILES = 20
LARGE_SET = 1_000_000
POLICY = """---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: p{index}
  namespace: ns{namespace}
spec:
  order: {index}
  selector: app == 'app{app}'
  types: [Ingress, Egress]
  ingress:
    - action: Allow
      protocol: TCP
      source:
        selector: app == 'app{peer}'
      destination:
        ports: [{port}]
    - action: Deny
      source:
        nets: [10.{octet}.0.0/16]
  egress:
    - action: Allow
      protocol: TCP
      destination:
        ports: [{port}, 53]
"""
ENDPOINT = """---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: n1-k8s-w{index}-eth0, namespace: ns{namespace}, labels: {{app: app{app}}}}}
spec:
  node: n1
  orchestrator: k8s
  pod: w{index}
  endpoint: eth0
  interfaceName: cali{index}
  ipNetworks: [10.{high}.{low}.1/32]
"""
NETWORK_SET = """apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: large, labels: {feed: bad}}
spec:
  nets:
"""
REFUSAL = """---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: refuse}
spec:
  ingress: [{action: Deny, source: {selector: feed == 'bad'}}]
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h}
spec: {node: n1, interfaceName: eth0}
"""


def policies(folder: Path) -> None:
    """Ten thousand policies in twenty files."""
    for number in range(FILES):
        texts = [
            POLICY.format(
                index=index,
                namespace=index % 20,
                app=index % 500,
                peer=(index + 20) % 500,
                port=1 + index % 60_000,
                octet=index % 250,
            )
            for index in range(number, POLICIES, FILES)
        ]
        (folder / f"policies{number}.yaml").write_text("".join(texts))


def cluster(folder: Path) -> None:
    """The same with two thousand endpoints."""
    policies(folder)
    texts = [
        ENDPOINT.format(index=index, namespace=index % 20, app=index % 500, high=index >> 8, low=index & 255)
        for index in range(2_000)
    ]
    (folder / "endpoints.yaml").write_text("".join(texts))


def network_set(folder: Path) -> None:
    """A global network set of a million networks, and a rule that names it."""
    with (folder / "set.yaml").open("w") as file:
        file.write(NETWORK_SET)
        for index in range(LARGE_SET):
            address = 0x0B000000 + (index << 9)
            file.write(f"  - {address >> 24 & 255}.{address >> 16 & 255}.{address >> 8 & 255}.0/24\n")
        file.write(REFUSAL)


def validate(make: Callable[[Path], None], rounds: int) -> dict[str, float]:
    """The median of some runs of the command."""
    with tempfile.TemporaryDirectory() as name:
        make(Path(name))
        command = [sys.executable, "-c", "from calicod.cli.main import main; main()", "validate", name]
        seconds, cpu = [], []
        for _ in range(rounds):
            begun, used = perf_counter(), children_seconds()
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds.append(perf_counter() - begun)
            cpu.append(children_seconds() - used)
            assert ", 0 errors, 0 warnings" in done.stdout, done.stdout
    return {"seconds": statistics.median(seconds), "cpu_seconds": statistics.median(cpu)}


def children_seconds() -> float:
    """What this process's children have computed: on a machine that does other things too, the truer figure."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def parts() -> dict[str, float]:
    """The large network set read and compiled in this process, which does nothing else."""
    with tempfile.TemporaryDirectory() as name:
        network_set(Path(name))
        gc.collect()
        begun = perf_counter()
        loaded = read([name])
        read_seconds = perf_counter() - begun
    present = snapshot(loaded.resources)
    begun = perf_counter()
    ruleset = compile(present, "n1").ruleset
    compiled_seconds = perf_counter() - begun
    assert len(ruleset.ip_sets[0].v4) > LARGE_SET
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"read_seconds": read_seconds, "compile_seconds": compiled_seconds, "peak_mb": peak}


def in_own_process() -> dict[str, float]:
    """This script again, for `parts`."""
    answer = subprocess.run([sys.executable, __file__, "--parts"], check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(answer.stdout)
    return figures


def main() -> None:
    """Prints a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--parts", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.parts:
        print(json.dumps(parts()))
        return
    results = {
        "validate 10,000 policies": validate(policies, options.rounds),
        "validate 10,000 policies, 2,000 endpoints": validate(cluster, options.rounds),
        "validate a network set of 1,000,000": validate(network_set, 1),
        "network set of 1,000,000 from YAML": in_own_process(),
    }
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, figures in results.items():
        print(f"{name:45}", "  ".join(f"{key} {value:9.2f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
