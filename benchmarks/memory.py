"""What the daemon's processes use together, idle: `sudo .venv/bin/python benchmarks/memory.py`. Ceiling: 150 MB.

Sum of PSS (pages that several share are divided among them), in a network namespace of its own, for 1,000 policies on
one endpoint, and for 1,000 policies on each of 1,000 endpoints. And what importing the engine brings with it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from path import Daemon, World, policies

CEILING = 150.0
FORBIDDEN = ("scapy", "pyroute2", "asyncio", "yaml")


def endpoints(count: int) -> str:
    """More endpoints that the same policies select; their interfaces do not exist."""
    return "".join(
        f"""---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {{name: n1-cni-x{i}-eth0, namespace: bench, labels: {{app: server, number: x{i}}}}}
spec:
  {{node: n1, orchestrator: cni, containerID: x{i}, endpoint: eth0, interfaceName: calix{i},
   ipNetworks: [10.9.{i // 250}.{i % 250 + 1}/32], profiles: [kns.bench]}}
"""
        for i in range(count)
    )


def measure(name: str, resources: str) -> None:
    """Starts a daemon with these resources and prints the memory of its processes."""
    world = World("cbm")
    with tempfile.TemporaryDirectory() as scratch:
        world.build()
        daemon = None
        try:
            daemon = Daemon(world, Path(scratch), resources)
            sizes = daemon.pss_megabytes()
        finally:
            if daemon is not None:
                daemon.stop()
            world.remove()
    total = sum(sizes.values())
    parts = ", ".join(f"{process} {size:.1f}" for process, size in sizes.items())
    print(f"{name}: {total:.1f} MB ({parts}) {'ok' if total <= CEILING else 'ABOVE'} (ceiling {CEILING:.0f})")


def imports() -> None:
    """What `import calicod.engine` and the bitmap engine pull in."""
    code = "import calicod.engine, calicod.engine.bitmap, sys; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    found = [module for module in FORBIDDEN if module in loaded]
    assert not found, found
    print(f"import calicod.engine: {len(loaded)} modules, none of {', '.join(FORBIDDEN)}")


def main() -> None:
    """Each size in turn."""
    measure("1,000 policies on an endpoint", policies(1000))
    measure("1,000 policies on 1,000 endpoints", policies(1000) + endpoints(999))
    imports()


if __name__ == "__main__":
    main()
