"""Mutated documents and selectors, many: `python -m benchmarks.fuzz [--documents N] [--selectors N]`.

Law: whatever text comes in gives resources or findings, a tree or a `SelectorError`; never another exception, never
a hang, never memory without bound. Input number `n` is made from the seed `n` alone, so that a failure can be told by
its number: `--first n --documents 1`. One document in a hundred is of those that are meant to hurt.
"""

import argparse
import faulthandler
import json
import resource
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from random import Random
from time import process_time

from calicod.errors import Severity
from calicod.resources.load import load
from calicod.selector.parser import SelectorError, parse
from tests.property import hostile, mutations

MEMORY = 1 << 30
"""Bytes of address space for the whole run: beyond, a MemoryError is a failure."""
SECONDS = 10
"""Of processor time, for one input: a busy machine is no failure."""
HURTS = 100
ROUND = 10_000


class TooLong(BaseException):
    """No `except Exception` may swallow it."""


def document(random: Random) -> str:
    """A mutated resource, or a text that is meant to hurt."""
    return hostile.document(random) if random.randrange(HURTS) == 0 else mutations.text(random)


def read(text: str) -> str:
    """What became of a document."""
    loaded = load(text, "f.yaml")
    errors = [told for told in loaded.diagnostics if told.severity is Severity.ERROR and told.code != "Y018"]
    assert bool(errors) is bool(loaded.rejected or loaded.broken), "lost without a word"
    for told in loaded.diagnostics:
        assert str(told).replace("\n  hint:", "").isprintable(), "cannot be shown"
    if errors:
        return "refused, in part" if loaded.resources else "refused"
    return "accepted" if loaded.resources else "nothing in it"


def chosen(text: str) -> str:
    """What became of a selector."""
    try:
        tree = parse(text)
    except SelectorError as error:
        if not 1 <= error.column <= len(text) + 1:
            raise
        return "refused"
    assert parse(str(tree)) == tree, "prints another selector"
    tree.matches({"a": "b"})
    return "accepted"


def memory() -> int:
    """The most that this process ever had in memory, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def stop(*_: object) -> None:
    """An input took too long."""
    raise TooLong


def run(name: str, make: Callable[[Random], str], judge: Callable[[str], str], numbers: range) -> dict[str, object]:
    """Every input, and what was counted."""
    counts: Counter[str] = Counter()
    slowest: list[tuple[float, int, int]] = []
    failures = 0
    growth = (0, -1)
    peak, begin, judged = memory(), process_time(), 0.0
    for number in numbers:
        text = make(Random(number))  # noqa: S311 - reproducible randomness is wanted
        if number % ROUND == 0:
            # The interpreter cannot be stopped within a C library: then the whole run ends, with a traceback.
            faulthandler.dump_traceback_later(ROUND * 0.05 + 10 * SECONDS, exit=True)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        started = process_time()
        try:
            counts[judge(text)] += 1
        except (Exception, TooLong):  # noqa: BLE001 - any at all is what this looks for
            failures += 1
            print(f"{name} {number} failed: {text[:200]!r}\n{traceback.format_exc(limit=-4)}", file=sys.stderr)
        signal.setitimer(signal.ITIMER_PROF, 0)
        took = process_time() - started
        judged += took
        if len(slowest) < 5 or took > slowest[-1][0]:
            slowest = sorted([*slowest, (took, number, len(text))], reverse=True)[:5]
        if (now := memory()) > peak:
            growth, peak = max(growth, (now - peak, number)), now
    faulthandler.cancel_dump_traceback_later()
    return {
        "inputs": len(numbers),
        "failures": failures,
        "outcomes": dict(counts.most_common()),
        "seconds": round(process_time() - begin, 1),
        "microseconds an input": round(judged / max(len(numbers), 1) * 1e6, 1),
        "slowest": [
            {"milliseconds": round(took * 1000, 1), "number": number, "characters": length}
            for took, number, length in slowest
        ],
        "peak of memory in MiB": peak >> 20,
        "largest growth in MiB by one input": growth[0] >> 20,
    }


def main() -> int:
    """Prints the counts; the exit code is 1 if any input failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--selectors", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, stop)
    first = options.first
    results = {
        "selectors": run("selector", hostile.selector, chosen, range(first, first + options.selectors)),
        "documents": run("document", document, read, range(first, first + options.documents)),
    }
    print(json.dumps(results, indent=2))
    return int(any(result["failures"] for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
