"""What a packet's path costs with calicod on it, as a ratio to the same path with conntrack rules only.

    sudo .venv/bin/python benchmarks/path.py [--pairs 9] [--seconds 1.5] [--policies 1000] [--only tcp,http,closed,udp]

Two equal worlds of network namespaces (client - node - workload) stand side by side: one node runs the daemon with many
policies on the workload's endpoint, the other has conntrack-only iptables rules. Measurements alternate between them;
each figure is the median of the ratios of the pairs, so a noisy machine hurts both sides alike, with the interval that
holds the true median in 95 of 100 runs: of nine pairs, and of one TCP connection most of all, it is wide. Needs root,
gcc and iperf3; touches nothing outside its namespaces.
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
from collections import Counter
from math import ceil, sqrt
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
    """The real one, in a node's namespace; `folder` gets all its files."""

    def __init__(self, world: World, folder: Path, resources: str, variant: str = "auto") -> None:
        (folder / "policies").mkdir()
        (folder / "policies" / "bench.yaml").write_text(resources)
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
                    "events": [{"type": "file", "path": str(self.events), "max_bytes": 0}],
                    "log_level": "warning",
                    "steering": variant,
                }
            )
        )
        inside = ["ip", "netns", "exec", world.node]
        self.process = subprocess.Popen([*inside, str(CALICOD), "run", "--config", str(config)], start_new_session=True)
        subprocess.run([CALICOD, "status", "--wait", "60", "--socket", self.socket], check=True, capture_output=True)

    def processes(self) -> dict[str, int]:
        """Names and process ids."""
        asked = subprocess.run(
            [CALICOD, "status", "--json", "--socket", self.socket], check=True, capture_output=True, text=True
        )
        status = json.loads(asked.stdout)
        workers = {f"worker {worker['worker']}": worker["pid"] for worker in status["workers"]}
        return {"keeper": status["pid"], "supervisor": status["supervisor_pid"], **workers}

    def pss_megabytes(self) -> dict[str, float]:
        """What each process adds to the memory in use; shared pages are divided among those who share them."""
        sizes = {}
        for name, pid in self.processes().items():
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            sizes[name] = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
        return sizes

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time of each process."""
        ticks = os.sysconf("SC_CLK_TCK")
        used = {}
        for name, pid in self.processes().items():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used[name] = (int(fields[11]) + int(fields[12])) / ticks
        return used

    def settle(self) -> None:
        """Waits until no event comes any more."""
        before = -1
        for _ in range(100):
            size = self.events.stat().st_size
            if size == before:
                break
            before = size
            time.sleep(0.3)

    def begin_anew(self) -> None:
        """Empties the file, which no limit rotates here: else each run costs fresh pages of the machine's memory.

        A virtual machine gets such from its host one by one: 2.3 us for each event, three times what writing takes.
        """
        os.truncate(self.events, 0)

    def told(self) -> Counter[str]:
        """The connection events in the file."""
        data = self.events.read_bytes()
        return Counter({kind: data.count(b'"event":"connection.%s"' % kind.encode()) for kind in ("allowed", "closed")})

    def stop(self) -> None:
        """Asks it to end; its rules end with the namespace."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


class Bench:
    """Loads; each answers a rate, and how many flows it made (0: they are not counted)."""

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

    def _connections(self, world: World, *first: str) -> tuple[float, float]:
        client = [self.load, "http-client", "10.7.2.2", str(PORT), str(self.seconds), "16", *first]
        rate, _, made = self._pair(world, [self.load, "http-server", str(PORT)], client)[0].split()
        return float(rate), float(made)

    def http(self, world: World) -> tuple[float, float]:
        """Each connection from a port of its own: none ends for conntrack while this is measured."""
        return self._connections(world, "1024")

    def closed(self, world: World) -> tuple[float, float]:
        """From few ports: each new connection ends an old one of the same port for conntrack, which is told."""
        set_sysctl(world.client, "net/ipv4/ip_local_port_range", "20000 24095")
        return self._connections(world)

    def udp(self, world: World) -> tuple[float, float]:
        """Each packet a new flow."""
        sender = [self.load, "udp-flows", "10.7.2.2", str(PORT), str(self.seconds), "10.64.0.1"]
        got = self._pair(world, [self.load, "udp-count", str(PORT), str(self.seconds)], sender)[1]
        return float(got.split()[-1]) / self.seconds, float(got.split()[-1])

    def tcp(self, world: World) -> tuple[float, float]:
        """One connection; iperf3 counts whole seconds."""
        client = ["iperf3", "-c", "10.7.2.2", "-p", str(PORT), "-t", str(ceil(self.seconds)), "-J"]
        sent = self._pair(world, ["iperf3", "-s", "-p", str(PORT), "--forceflush"], client)[0]
        return float(json.loads(sent)["end"]["sum_received"]["bits_per_second"]) / 1e9, 0


def set_sysctl(namespace: str, path: str, value: str) -> None:
    subprocess.run(
        ["ip", "netns", "exec", namespace, "sh", "-c", f"echo '{value}' >/proc/sys/{path}"],
        check=True,
        capture_output=True,
    )


FLOORS = {"tcp": 0.97, "http": 0.85, "closed": 0.75, "udp": 0.35}
UNITS = {
    "tcp": "Gbit/s established",
    "http": "HTTP connections/s",
    "closed": "HTTP connections/s, ends told",
    "udp": "new UDP flows/s delivered",
}


def forget(world: World) -> None:
    """No connection of the run before is left."""
    subprocess.run(["ip", "netns", "exec", world.node, "conntrack", "-F"], capture_output=True, check=False)


def measure(kind: str, bench: Bench, worlds: tuple[World, World], daemon: Daemon, pairs: int) -> None:
    """Prints the ratio of calicod's world, the first, to the other one, and what calicod's processes did for it."""
    rates: dict[World, list[float]] = {world: [] for world in worlds}
    flows, told, cpu = 0.0, Counter[str](), Counter[str]()
    for number in range(pairs):
        for world in worlds if number % 2 else worlds[::-1]:
            forget(world)
            daemon.settle()
            daemon.begin_anew()
            used = Counter(daemon.cpu_seconds())
            rate, made = getattr(bench, kind)(world)
            rates[world].append(rate)
            if world is worlds[0]:
                daemon.settle()
                flows += made
                told += daemon.told()
                cpu.update({name: seconds - used[name] for name, seconds in daemon.cpu_seconds().items()})
    ours, theirs = (rates[world] for world in worlds)
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    ratio = statistics.median(ratios)
    low = max(0, int(pairs / 2 - 0.98 * sqrt(pairs)))
    verdict = "ok" if ratio >= FLOORS[kind] else "BELOW"
    print(
        f"{UNITS[kind]}: {statistics.median(ours):,.2f} of {statistics.median(theirs):,.2f} conntrack-only, "
        f"ratio {ratio:.3f} ({ratios[low]:.3f} to {ratios[-1 - low]:.3f}; floor {FLOORS[kind]}) {verdict}"
    )
    print("   pairs: " + "  ".join(f"{a:,.1f}/{b:,.1f}" for a, b in zip(ours, theirs, strict=True)))
    if flows:
        shares = ", ".join(f"{name} {count / flows:.2f}" for name, count in sorted(told.items()))
        costs = ", ".join(f"{name} {seconds / flows * 1e6:.1f} us" for name, seconds in sorted(cpu.items()))
        print(f"   events for each flow: {shares}; CPU for each flow: {costs}", flush=True)


def main() -> None:
    """Builds, measures, removes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--steering", default="auto")
    parser.add_argument("--only", default="tcp,http,closed,udp")
    options = parser.parse_args()
    filtered, plain = World("cbf"), World("cbp")
    with tempfile.TemporaryDirectory() as scratch:
        load = f"{scratch}/load"
        subprocess.run(["gcc", "-O2", "-o", load, str(HERE / "load.c")], check=True)
        daemon = None
        try:
            plain.build()
            filtered.build()
            subprocess.run(
                ["ip", "netns", "exec", plain.node, "iptables-restore"], input=BASELINE, text=True, check=True
            )
            daemon = Daemon(filtered, Path(scratch), policies(options.policies), options.steering)
            for kind in options.only.split(","):
                measure(kind, Bench(load, options.seconds), (filtered, plain), daemon, options.pairs)
            sizes = daemon.pss_megabytes()
            parts = ", ".join(f"{name} {size:.1f}" for name, size in sizes.items())
            print(f"memory: {sum(sizes.values()):.1f} MB PSS (ceiling 150): {parts}")
        finally:
            if daemon is not None:
                daemon.stop()
            plain.remove()
            filtered.remove()


if __name__ == "__main__":
    main()
