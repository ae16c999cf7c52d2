"""How long new flows wait while 10,000 policies are rewritten each second, against at rest.

    sudo .venv/bin/python -m benchmarks.rewrites [--rounds N]

Each round measures both, one after the other; what is shown is the median of the rounds.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

from tests.netns.node import node
from tests.netns.rewriting import latency, many, rewriting
from tests.netns.running import running_in
from tests.netns.test_daemon import ALLOW, endpoints, switch

SECONDS = 8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with (
        node("bw-", "auto") as router,
        tempfile.TemporaryDirectory() as folder,
        running_in(router, Path(folder)) as daemon,
    ):
        daemon.write(endpoints=endpoints(), switch=switch(ALLOW), many=many(0))
        daemon.start()
        figures = []
        for number in range(rounds):
            daemon.reload()
            rest, before = latency(router, SECONDS), daemon.status().revision
            with rewriting(daemon) as written:
                busy = latency(router, SECONDS)
            daemon.reload()
            figures.append((rest, busy, busy / rest))
            applied = daemon.status().revision - before
            print(
                f"round {number + 1}: p99 {rest * 1000:.2f} ms at rest, {busy * 1000:.2f} ms under "
                f"{len(written)} rewrites ({applied} changes in force): {busy / rest:.2f}"
            )
    rest, busy, ratio = (median(column) for column in zip(*figures, strict=True))
    print(
        f"p99 of a new flow: {rest * 1000:.2f} ms at rest, {busy * 1000:.2f} ms meanwhile, ratio {ratio:.2f} (goal: 2)"
    )


if __name__ == "__main__":
    main()
