"""What a packet's path costs with calicod on it, as a ratio to the same path with conntrack rules only.

    sudo .venv/bin/python benchmarks/path.py [--pairs 9] [--seconds 2] [--policies 1000] [--only http,udp,tcp]

Two equal worlds of network namespaces (client - node - workload) stand side by side: one node runs the daemon with many
policies on the workload's endpoint, the other has conntrack-only iptables rules. Measurements alternate between them;
each figure is the median of the ratios of the pairs, so a noisy machine hurts both sides alike. Needs root, gcc and
iperf3; touches nothing outside its namespaces.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
CALICOD = Path(sys.executable).with_name("calicod")
PORT = 6379


def sh(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True)


class World:
    """client (10.7.1.2) - node - workload (10.7.2.2 on caliw1)."""

    def __init__(self, prefix: str) -> None:
        self.client, self.node, self.server = f"{prefix}-client", f"{prefix}-node", f"{prefix}-server"

    def build(self) -> None:
        self.remove()
        for space in (self.client, self.node, self.server):
            sh(f"ip netns add {space}")
            sh(f"ip -n {space} link set lo up")
        sh(f"ip link add eth0 netns {self.client} type veth peer name eth0 netns {self.node}")
        sh(f"ip link add eth0 netns {self.server} type veth peer name caliw1 netns {self.node}")
        for space, device, address in (
            (self.client, "eth0", "10.7.1.2/24"),
            (self.node, "eth0", "10.7.1.1/24"),
            (self.node, "caliw1", "10.7.2.1/24"),
            (self.server, "eth0", "10.7.2.2/24"),
        ):
            sh(f"ip -n {space} addr add {address} dev {device}")
            sh(f"ip -n {space} link set {device} up")
        sh(f"ip -n {self.client} route add default via 10.7.1.1")
        sh(f"ip -n {self.server} route add default via 10.7.2.1")
        sh(f"ip netns exec {self.node} sysctl -qw net.ipv4.ip_forward=1")
        sh(f"ip -n {self.client} route add local 10.64.0.0/10 dev lo")
        sh(f"ip -n {self.node} route add 10.64.0.0/10 via 10.7.1.2")

    def remove(self) -> None:
        for space in (self.client, self.node, self.server):
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


BASELINE = """*filter
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -i eth0 -o caliw1 -j ACCEPT
-A FORWARD -j DROP
COMMIT
"""


ENDPOINT = """apiVersion: v1
kind: Namespace
metadata: {name: bench}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n1-cni-w1-eth0, namespace: bench, labels: {app: server}}
spec:
  {node: n1, orchestrator: cni, containerID: w1, endpoint: eth0, interfaceName: caliw1, ipNetworks: [10.7.2.2/32],
   profiles: [kns.bench]}
"""

LAST = """apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: last, namespace: bench}
spec: {order: 1000000, selector: app == 'server', types: [Ingress], ingress: [{action: Allow}]}
"""


def other(number: int) -> str:
    """A policy that allows what nobody sends."""
    source = f"172.{16 + number % 16}.{number % 256}.0/24"
    return f"""apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {{name: p{number}, namespace: bench}}
spec:
  order: {number}
  selector: app == 'server'
  ingress:
  - {{action: Allow, protocol: TCP, source: {{nets: [{source}]}}, destination: {{ports: [{10000 + number}]}}}}
"""


def policies(count: int) -> str:
    """`count` policies on the endpoint: all but the last allow other ports and sources; the last allows everything."""
    return "---\n".join([ENDPOINT, *(other(number) for number in range(count - 1)), LAST])


class Daemon:
    def __init__(self, world: World, folder: Path, count: int, variant: str) -> None:
        (folder / "policies").mkdir()
        (folder / "policies" / "bench.yaml").write_text(policies(count))
        self.events = folder / "events.jsonl"
        self.socket = folder / "run" / "calicod.sock"
        config = folder / "calicod.yaml"
        config.write_text(
            json.dumps(
                {
                    "node_name": "n1",
                    "policy_paths": [str(folder / "policies")],
                    "run_directory": str(folder / "run"),
                    "state_directory": str(folder / "state"),
                    "events": [{"type": "file", "path": str(self.events)}],
                    "log_level": "warning",
                    "steering": variant,
                }
            )
        )
        inside = ["ip", "netns", "exec", world.node]
        self.process = subprocess.Popen([*inside, str(CALICOD), "run", "--config", str(config)], start_new_session=True)
        subprocess.run([str(CALICOD), "status", "--wait", "30", "--socket", str(self.socket)], check=True)

    def pss_megabytes(self) -> float:
        total = 0
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if os.getpgid(int(entry.name)) != self.process.pid:
                    continue
                for line in (entry / "smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
            except (OSError, ProcessLookupError):
                continue
        return total / 1024

    def count_events(self) -> int:
        return self.events.read_bytes().count(b"\n") if self.events.exists() else 0

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


class Bench:
    def __init__(self, load: str, seconds: float) -> None:
        self.load, self.seconds = load, seconds

    def _pair(self, world: World, listen: list[str], send: list[str]) -> tuple[str, str]:
        server = subprocess.Popen(["ip", "netns", "exec", world.server, *listen], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout
            server.stdout.readline()
            sent = subprocess.run(
                ["ip", "netns", "exec", world.client, *send], check=True, capture_output=True, text=True
            ).stdout
            if "http-server" in listen or "iperf3" in listen:
                server.kill()
            return sent, server.communicate()[0]
        finally:
            server.kill()

    def http(self, world: World) -> float:
        client = [self.load, "http-client", "10.7.2.2", str(PORT), str(self.seconds), "16"]
        return float(self._pair(world, [self.load, "http-server", str(PORT)], client)[0].split()[0])

    def udp(self, world: World) -> float:
        sender = [self.load, "udp-flows", "10.7.2.2", str(PORT), str(self.seconds), "10.64.0.1"]
        subprocess.run(["ip", "netns", "exec", world.node, "conntrack", "-F"], capture_output=True, check=False)
        got = self._pair(world, [self.load, "udp-count", str(PORT), str(self.seconds)], sender)[1]
        return float(got.split()[-1]) / self.seconds

    def tcp(self, world: World) -> float:
        client = ["iperf3", "-c", "10.7.2.2", "-p", str(PORT), "-t", str(self.seconds), "-J"]
        sent = self._pair(world, ["iperf3", "-s", "-p", str(PORT), "--forceflush"], client)[0]
        return float(json.loads(sent)["end"]["sum_received"]["bits_per_second"]) / 1e9


FLOORS = {"tcp": 0.97, "http": 0.85, "udp": 0.35}
UNITS = {"tcp": "Gbit/s established", "http": "HTTP connections/s", "udp": "new UDP flows/s delivered"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--steering", default="auto")
    parser.add_argument("--verbose", action="store_true", help="each pair's figures: calicod/conntrack-only")
    parser.add_argument("--only", default="tcp,http,udp")
    options = parser.parse_args()
    plain, filtered = World("cbp"), World("cbf")
    with tempfile.TemporaryDirectory() as scratch:
        load = f"{scratch}/load"
        subprocess.run(["gcc", "-O2", "-o", load, str(HERE / "load.c")], check=True)
        bench = Bench(load, options.seconds)
        daemon = None
        try:
            plain.build()
            filtered.build()
            subprocess.run(
                ["ip", "netns", "exec", plain.node, "iptables-restore"], input=BASELINE, text=True, check=True
            )
            daemon = Daemon(filtered, Path(scratch), options.policies, options.steering)
            for kind in options.only.split(","):
                measure = getattr(bench, kind)
                pairs = []
                for n in range(options.pairs):
                    order = [plain, filtered] if n % 2 == 0 else [filtered, plain]
                    got = {world: measure(world) for world in order}
                    pairs.append((got[filtered], got[plain]))
                    time.sleep(0.2)
                if options.verbose:
                    print("  " + "  ".join(f"{ours:,.2f}/{theirs:,.2f}" for ours, theirs in pairs))
                ratio = statistics.median(ours / theirs for ours, theirs in pairs)
                ours = statistics.median(p[0] for p in pairs)
                theirs = statistics.median(p[1] for p in pairs)
                print(
                    f"{UNITS[kind]}: {ours:,.2f} of {theirs:,.2f} conntrack-only, ratio {ratio:.3f} "
                    f"(floor {FLOORS[kind]}) {'ok' if ratio >= FLOORS[kind] else 'BELOW'}",
                    flush=True,
                )
            print(f"memory of all processes: {daemon.pss_megabytes():.1f} MB PSS (ceiling 150)")
            print(f"events written: {daemon.count_events():,}")
        finally:
            if daemon is not None:
                daemon.stop()
            plain.remove()
            filtered.remove()


if __name__ == "__main__":
    main()
