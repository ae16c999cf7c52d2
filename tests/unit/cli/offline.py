"""The offline commands, run as users run them, and a few resources in files."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from calicod.cli.main import main

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"

WORKLOAD = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: {node}-k8s-{name}-eth0, namespace: shop, labels: {{app: {name}}}}}
spec:
  node: {node}
  orchestrator: k8s
  pod: {name}
  endpoint: eth0
  interfaceName: cali{name}
  ipNetworks: [{address}/32]
  profiles: [open]
"""
OPEN = """
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: open}
spec:
  ingress: [{action: Allow}]
  egress: [{action: Allow}]
"""
HOST = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-eth0}
spec: {node: n1, interfaceName: eth0, expectedIPs: [192.0.2.1]}
"""
POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  types: [Ingress]
  ingress:
    - {action: Log, protocol: TCP}
    - action: Allow
      protocol: TCP
      source: {selector: app == 'front'}
      destination: {ports: [80]}
"""
"""Two pods of node n1, one of n2, the host endpoint of n1; only `web` has a policy."""


def resources(folder: Path, *more: str) -> str:
    """The resources in a file of a folder, and those in `more`; the path of the folder."""
    web = WORKLOAD.format(node="n1", name="web", address="10.65.0.1")
    front = WORKLOAD.format(node="n1", name="front", address="10.65.0.2")
    back = WORKLOAD.format(node="n2", name="back", address="10.65.1.3")
    (folder / "all.yaml").write_text("---".join([web, front, back, OPEN, HOST, POLICY, *more]))
    return str(folder)


def calicod(*arguments: object, stdin: str | bytes | None = None) -> Result:
    """Runs `calicod` with these arguments."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def packets(folder: Path, *given: object) -> str:
    """The path of a file with a packet on each line."""
    path = folder / "packets.jsonl"
    path.write_text("".join(json.dumps(packet) + "\n" for packet in given))
    return str(path)
