"""How long `calicod validate` takes, and how much memory: `python benchmarks/validate.py [--rounds N] [--json]`.

Each case is a folder of files made by rule, judged by the command in a process of its own, start and imports included;
the figure is the median. Of the large network set, reading and compiling are told apart as well.
"""

import argparse
import gc
import json
import os
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
POD = """- apiVersion: v1
  kind: Pod
  metadata:
    name: web-{index}
    namespace: ns{namespace}
    uid: 1d8f7c1e-1c2b-4a5d-9e8f-{index:012d}
    labels: {{app: app{app}, pod-template-hash: 7c9d8b6f5c, team: t{namespace}}}
    annotations: {{cni.projectcalico.org/podIP: 10.{high}.{low}.1/32, prometheus.io/scrape: "true"}}
    ownerReferences:
    - {{apiVersion: apps/v1, blockOwnerDeletion: true, controller: true, kind: ReplicaSet, name: web, uid: {index}}}
  spec:
    nodeName: n{namespace}
    serviceAccountName: web
    containers:
    - name: web
      image: registry.example.com/web:1.2.3
      args: [--listen=:8080, --config=/etc/web/config.yaml]
      env:
      - {{name: POD_NAME, valueFrom: {{fieldRef: {{apiVersion: v1, fieldPath: metadata.name}}}}}}
      - {{name: LOG_LEVEL, value: info}}
      - {{name: PASSWORD, valueFrom: {{secretKeyRef: {{key: password, name: web}}}}}}
      ports:
      - {{containerPort: 8080, name: http, protocol: TCP}}
      - {{containerPort: 9090, name: metrics, protocol: TCP}}
      livenessProbe: {{httpGet: {{path: /healthz, port: http, scheme: HTTP}}, periodSeconds: 10, timeoutSeconds: 1}}
      readinessProbe: {{httpGet: {{path: /ready, port: http, scheme: HTTP}}, periodSeconds: 10, timeoutSeconds: 1}}
      resources: {{limits: {{cpu: "1", memory: 512Mi}}, requests: {{cpu: 100m, memory: 256Mi}}}}
      volumeMounts:
      - {{mountPath: /etc/web, name: config, readOnly: true}}
      - {{mountPath: /var/run/secrets/kubernetes.io/serviceaccount, name: token, readOnly: true}}
    tolerations:
    - {{effect: NoExecute, key: node.kubernetes.io/not-ready, operator: Exists, tolerationSeconds: 300}}
    - {{effect: NoExecute, key: node.kubernetes.io/unreachable, operator: Exists, tolerationSeconds: 300}}
    volumes:
    - {{name: config, configMap: {{defaultMode: 420, name: web}}}}
    - name: token
      projected:
        sources:
        - serviceAccountToken: {{expirationSeconds: 3607, path: token}}
        - configMap: {{name: kube-root-ca.crt, items: [{{key: ca.crt, path: ca.crt}}]}}
  status:
    conditions:
    - {{lastProbeTime: null, lastTransitionTime: "2026-11-02T10:11:14Z", status: "True", type: Initialized}}
    - {{lastProbeTime: null, lastTransitionTime: "2026-11-02T10:11:14Z", status: "True", type: Ready}}
    - {{lastProbeTime: null, lastTransitionTime: "2026-11-02T10:11:14Z", status: "True", type: PodScheduled}}
    containerStatuses:
    - {{image: registry.example.com/web:1.2.3, name: web, ready: true, restartCount: 0, started: true}}
    phase: Running
    podIPs: [{{ip: 10.{high}.{low}.1}}]
"""
NAMESPACES = """apiVersion: v1
kind: Namespace
metadata: {{name: ns{index}}}
---
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


def pods(folder: Path) -> None:
    """What `kubectl get pods -A -o yaml` prints of ten thousand pods, and their namespaces."""
    texts = [
        POD.format(index=index, namespace=index % 20, app=index % 500, high=index >> 8, low=index & 255)
        for index in range(10_000)
    ]
    (folder / "pods.yaml").write_text(f"apiVersion: v1\nitems:\n{''.join(texts)}kind: List\n")
    (folder / "namespaces.yaml").write_text("".join(NAMESPACES.format(index=index) for index in range(20)))


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
        runs = [judged(command) for _ in range(rounds)]
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def judged(command: list[str]) -> dict[str, float]:
    """One run. On a machine that does other things too, what it computed is the truer figure."""
    begun = perf_counter()
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT)
        _, _, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - begun
        told.seek(0)
        text = told.read()
    assert ", 0 errors, 0 warnings" in text, text
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


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
        "validate a dump of 10,000 pods": validate(pods, 1),
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
