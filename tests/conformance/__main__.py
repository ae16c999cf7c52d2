"""How much is held against the specification: `python -m tests.conformance [--json]`.

Counts what is there; whether it holds is what the tests say, and of the recorded cases `python -m benchmarks.vectors`.
"""

import argparse
import ast
import json
import sys
from collections import Counter
from pathlib import Path

from tests.conformance import test_labels, test_semantics, test_validation

PROPERTIES = Path(__file__).parent.parent / "property"
EXAMPLES = {"ci": 500, "long": 10_000}
"""Of each property that does not say another number (`tests/conftest.py`)."""


def semantics() -> dict[str, int]:
    """Worked examples (E), lines of section 9 (B), decisions (D), and the packets of their cases."""
    covered = {name for case in test_semantics.CASES for name in case.get("covers", ())}
    kinds = Counter(name[0] for name in covered)
    return {
        "cases": len(test_semantics.CASES),
        "packets": sum(len(case["packets"]) for case in test_semantics.JUDGED),
        "refusals": len(test_semantics.REFUSED),
        "worked examples (E1-E35)": kinds["E"],
        "lines of section 9 (B1-B50)": len(
            {name for name in covered | set(test_semantics.PROVED_BY_PACKETS) if name.startswith("B")}
        ),
        "decisions (D)": kinds["D"],
    }


def validation() -> dict[str, int]:
    """Rows of the validation tables, and what each accepts and refuses."""
    outcomes = Counter(f"{entry.row[0]}, {entry.outcome}" for entry in test_validation.ENTRIES)
    rows = Counter(row["id"][0] for row in test_validation.ROWS)
    return {"rows P1-P37": rows["P"], "rows R1-R28": rows["R"], **dict(sorted(outcomes.items()))}


def labels() -> dict[str, int]:
    """Rows of the table of missing labels, with the answers that each gives."""
    rows = {row["row"] for row in test_labels.ROWS}
    return {"rows of 3.4": len(rows), "answers": len(test_labels.ANSWERS)}


def properties() -> dict[str, int]:
    """Properties with their examples, by the profile; those with a number of their own have that in both."""
    own: list[int] = []
    count = 0
    for path in sorted(PROPERTIES.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any("given" in ast.unparse(d) for d in node.decorator_list):
                count += 1
                own += limits(node)
    counted = {f"examples, {name}": (count - len(own)) * number + sum(own) for name, number in EXAMPLES.items()}
    return {"properties": count, **counted}


def limits(function: ast.FunctionDef) -> list[int]:
    """The number of examples that a property gives itself."""
    given = (word for call in function.decorator_list if isinstance(call, ast.Call) for word in call.keywords)
    return [ast.literal_eval(word.value) for word in given if word.arg == "max_examples"]


def main() -> None:
    """Prints a line for each count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    counts = {made.__name__: made() for made in (semantics, validation, labels, properties)}
    if parser.parse_args().json:
        json.dump(counts, sys.stdout, indent=2)
        return
    for what, numbers in counts.items():
        print(what)
        for name, number in numbers.items():
            print(f"  {name:28} {number:8,}")


if __name__ == "__main__":
    main()
