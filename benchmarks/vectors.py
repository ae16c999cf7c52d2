"""Recorded cases of other programs through the commands: `python -m benchmarks.vectors [FOLDER] [--json] [--show]`.

For each suite: how many cases passed, how many wait for a feature (by the code that refuses it), how many are decided
otherwise (semantics section 8, by code), and how many differ, which is what the exit code tells. Unlike the tests,
this runs `calicod` itself, one process for each case.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-c", "from calicod.cli.main import main; main()")
FOLDER = Path(__file__).parents[2] / "shared" / "vectors"
FILES = ("selectors.json", "validator.json", "validity.json.gz", "eval.json", "felix.json.gz")
LIMIT = 120
"""Seconds for one case."""
DECIDED = {"http-not-enforced": "D9", "Y012": "D32"}
PASSED, WAITS, DECIDED_OTHERWISE, DIFFERS = "passed", "waits for", "decided", "DIFFERS"


def calicod(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """One command, as anybody would run it."""
    return subprocess.run(
        [*COMMAND, *arguments], input=given, text=True, capture_output=True, timeout=LIMIT, check=False
    )


def errors(resources: object) -> list[str]:
    """The codes of the errors that `validate` tells."""
    told = json.loads(calicod("validate", "-", "--json", given=json.dumps(resources)).stdout)
    return sorted({one["code"] for one in told["diagnostics"] if one["severity"] == "error"})


def selected(case: dict[str, Any]) -> str:
    """A case of `calicod selector`."""
    labels = ("--labels-json", json.dumps(case["labels"])) if case["kind"] == "evaluate" else ()
    ran = calicod("selector", *labels, "--json", "--", case["selector"])
    answer = json.loads(ran.stdout) if ran.returncode < 2 else {}
    if case["kind"] == "evaluate":
        return PASSED if answer.get("match") is case["match"] else DIFFERS
    if case["kind"] == "canonical":
        return PASSED if answer.get("canonical") == case["canonical"] else DIFFERS
    return PASSED if bool(answer) is case["valid"] else DIFFERS


def validated(case: dict[str, Any]) -> str:
    """A case of `calicod validate`."""
    codes = errors(case["resource"])
    if (not codes) is case["valid"]:
        return PASSED
    reasons = {decided(code, case["resource"]["kind"]) for code in codes}
    if not codes or None in reasons:
        return DIFFERS
    later = [code for code in codes if code.startswith("N")]
    return f"{WAITS} {' '.join(later)}" if later else f"{DECIDED_OTHERWISE} {' '.join(sorted(map(str, reasons)))}"


def decided(code: str, kind: str) -> str | None:
    """Why a code refuses what calicoctl accepts: a feature that is not there yet, or a decision."""
    if code.startswith("N"):
        return code
    return "D34" if kind == "Profile" and code.startswith("R") else DECIDED.get(code)


def judged(case: dict[str, Any]) -> str:
    """A case of `calicod eval`."""
    options = case["options"]
    with tempfile.TemporaryDirectory() as folder:
        resources, interfaces = Path(folder) / "resources.json", Path(folder) / "interfaces.json"
        resources.write_text(json.dumps(case["resources"]))
        interfaces.write_text(json.dumps(options.get("interfaces") or {}))
        where = ("--cluster",) if options.get("cluster") else ("--node", options["node"])
        ran = calicod(
            *("eval", str(resources), *where, "--interfaces", str(interfaces), "--packets", "-"),
            given="\n".join(json.dumps(packet) for packet in case["packets"]),
        )
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    if {one.get("id"): one.get("verdict") for one in answers} == case["expected"]:
        return PASSED
    codes = errors(case["resources"])
    return f"{WAITS} {' '.join(codes)}" if codes and all(code.startswith("N") for code in codes) else DIFFERS


def outcome(case: dict[str, Any]) -> str:
    """What became of a case, whatever command it is for."""
    return (selected if "selector" in case else judged if "packets" in case else validated)(case)


def main() -> int:
    """Prints a line for each suite and outcome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--show", action="store_true", help="the identifiers of cases that differ")
    options = parser.parse_args()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    packets: dict[str, Counter[str]] = defaultdict(Counter)
    for name in FILES:
        path = options.folder / name
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        cases = json.loads(data)["cases"]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            outcomes = list(pool.map(outcome, cases))
        for case, became in zip(cases, outcomes, strict=True):
            suite = f"{name} {case.get('suite') or case.get('kind') or ''}".strip()
            counts[suite][became] += 1
            packets[suite][became] += len(case.get("packets", ()))
            if options.show and became == DIFFERS:
                print(f"{suite}: {case['id']} differs", file=sys.stderr)
    if options.json:
        print(json.dumps(counts, indent=2))
    else:
        for suite, became in counts.items():
            for what, count in became.most_common():
                told = f" ({packets[suite][what]} packets)" if packets[suite][what] else ""
                print(f"{suite:32} {what:28} {count:5}{told}")
    return int(any(DIFFERS in became for became in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
