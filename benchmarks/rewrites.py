"""How long new flows wait while 10,000 policies are rewritten each second, against at rest.

    sudo .venv/bin/python -m benchmarks.rewrites [--rounds N] [--applied]

A new flow begins each 2 ms, whatever becomes of those before. Each round measures both, one after the other; what is
shown is the median of the rounds. With `--applied` the policies are those of the workload that the flows go to.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

from tests.netns.node import node
from tests.netns.rewriting import latencies, many, percentile, rewriting
from tests.netns.running import running_in
from tests.netns.test_daemon import ALLOW, endpoints, switch

SECONDS = 8.0
SHARES = (0.5, 0.99, 0.999)
P99 = SHARES.index(0.99)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--applied", action="store_true")
    given = parser.parse_args()
    with (
        node("bw-", "auto") as router,
        tempfile.TemporaryDirectory() as folder,
        running_in(router, Path(folder)) as daemon,
    ):
        daemon.write(endpoints=endpoints(), switch=switch(ALLOW), many=many(0, applied=given.applied))
        daemon.start()
        figures = []
        for number in range(given.rounds):
            daemon.reload()
            rest, before = latencies(router, SECONDS), daemon.status().revision
            with rewriting(daemon, SECONDS, applied=given.applied) as written:
                busy, count = latencies(router, SECONDS), written()
            daemon.reload()
            applied = daemon.status().revision - before
            figures.append([[percentile(found, share) * 1000 for share in SHARES] for found in (rest, busy)])
            print(f"round {number + 1}: {count} rewrites, {applied} changes in force: {told(figures[-1])}", flush=True)
    whole = [[median(each[which][share] for each in figures) for share in range(len(SHARES))] for which in (0, 1)]
    ratio = median(busy[P99] / rest[P99] for rest, busy in figures)
    print(f"median of {given.rounds} rounds: {told(whole)}; ratio of p99 {ratio:.2f} (goal: 2)")


def told(figures: list[list[float]]) -> str:
    """Percentiles at rest and meanwhile, in milliseconds."""
    names = "/".join(f"p{share * 100:g}" for share in SHARES)
    rest, busy = ("/".join(f"{value:.2f}" for value in values) for values in figures)
    return f"{names} {rest} ms at rest, {busy} ms meanwhile"


if __name__ == "__main__":
    main()
