"""How many packets a second `eval --cluster` judges: `python benchmarks/cluster.py [--rounds N] [--json]`.

1,000 policies over 5,000 endpoints (`compile.py`), packets between any two of them; lines in, lines out, as the command
does it, with a new engine in each round: what is worked out once is part of the figure, compiling is not.

* `spread`: every packet another pair and another port; no policy names most ports.
* `named`: half of the ports are named by some policy.
* `passed`: half of the ports are named by a policy of the sender, so that both ends are asked.
* `staged …`: the same, one of the ten policies of each endpoint staged.
* `outside`: every packet from another address of nobody.
* `again`: 10,000 packets, many times.

Processor time, the median of the rounds; the cases are measured in turn.
"""

import argparse
import gc
import io
import json
import os
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time

import msgspec

from calicod.cli.eval import ROOM, answers
from calicod.compiler.compile import compile
from calicod.engine.bitmap import BitmapEngine
from calicod.engine.memory import Memory
from calicod.model.network import format_address
from calicod.resources.kinds import Policy
from calicod.resources.snapshot import snapshot
from calicod.ruleset.program import RuleSet

sys.path.insert(0, str(Path(__file__).parent))
from compile import cluster

POLICIES, ENDPOINTS, APPS = 1_000, 5_000, 100
PACKETS, FEW = 200_000, 10_000
LAST_PORT = 65_535


def ruleset(policies: int, endpoints: int, *, staged: bool) -> RuleSet:
    """The cluster of all nodes."""
    resources = cluster(policies, endpoints, APPS)
    if staged:
        found = [r for r in resources if isinstance(r, Policy)]
        resources = [*resources[: -len(found)], *(on_trial(p) if is_tenth(n) else p for n, p in enumerate(found))]
    return compile(snapshot(resources), None).ruleset


def is_tenth(number: int) -> bool:
    """One of the ten policies of each application."""
    return number // APPS == number % 10


def on_trial(policy: Policy) -> Policy:
    return msgspec.structs.replace(policy, kind="StagedGlobalNetworkPolicy", staged_action="Set")


def any_port(chance: random.Random, _: int) -> int:
    return chance.randint(1, LAST_PORT)


def named(chance: random.Random, sender: int) -> int:
    return chance.randint(1, POLICIES) if chance.random() < 0.5 else any_port(chance, sender)


def of_the_sender(chance: random.Random, sender: int) -> int:
    """`compile.py` gives policy n the port n + 1, and governs by it who is of application n % APPS."""
    if chance.random() < 0.5:
        return 1 + sender % APPS + APPS * chance.randrange(POLICIES // APPS)
    return any_port(chance, sender)


def lines(port: Callable[[random.Random, int], int], different: int = PACKETS, *, outside: bool = False) -> bytes:
    """Packets as the command reads them."""
    chance = random.Random(1)  # noqa: S311  the same packets in each run
    addresses = [format_address((10 << 24 | index).to_bytes(4)) for index in range(ENDPOINTS)]
    made: list[bytes] = []
    for number in range(different):
        sender, receiver = chance.randrange(ENDPOINTS), chance.randrange(ENDPOINTS)
        source = format_address((11 << 24 | number * 61).to_bytes(4)) if outside else addresses[sender]
        given = {"id": number, "src": source, "dst": addresses[receiver], "protocol": "tcp"}
        given |= {"sport": chance.randint(1024, LAST_PORT), "dport": port(chance, sender)}
        made.append(msgspec.json.encode(given) + b"\n")
    return b"".join(made) * (PACKETS // different)


def packets_a_second(rules: RuleSet, sent: bytes) -> float:
    """Of a new engine."""
    engine = BitmapEngine(rules, (), memory=Memory(ROOM))
    given = io.BytesIO(sent)
    gc.collect()
    gc.disable()
    begin = process_time()
    with Path(os.devnull).open("wb", buffering=1 << 18) as out:
        out.writelines(written(engine, given))
    took = process_time() - begin
    gc.enable()
    return PACKETS / took


def written(engine: BitmapEngine, given: io.BytesIO) -> Iterator[bytes]:
    for line, fine in answers(engine, given, cluster=True):
        assert fine
        yield line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose names contain this")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    plain, trial = (ruleset(POLICIES, ENDPOINTS, staged=staged) for staged in (False, True))
    spread, half, passed = lines(any_port), lines(named), lines(of_the_sender)
    cases = {
        "spread": (plain, spread),
        "named": (plain, half),
        "passed": (plain, passed),
        "staged, spread": (trial, spread),
        "staged, named": (trial, half),
        "staged, passed": (trial, passed),
        "outside": (plain, lines(named, outside=True)),
        "again": (plain, lines(named, FEW)),
    }
    found: dict[str, list[float]] = {name: [] for name in cases if options.only in name}
    for _ in range(options.rounds):
        for name, figures in found.items():
            figures.append(packets_a_second(*cases[name]))
    results = {name: round(statistics.median(figures)) for name, figures in found.items()}
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, figure in results.items():
        print(f"{name:16} {figure:9,} packets/s")


if __name__ == "__main__":
    main()
