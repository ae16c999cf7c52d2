"""Recorded cases: resources, packets, and what became of each packet."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.judge import Judge, read

Case = Mapping[str, Any]


def cases(path: Path) -> list[Case]:
    """The cases of a file, compressed or not."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    listed: list[Case] = json.loads(data)["cases"]
    return listed


def refusals(listed: list[Case]) -> dict[str, str]:
    """The cases with resources that the loader refuses, and the codes that it gives."""
    found = {case["id"]: read(case["resources"], case["options"]).refused for case in listed}
    return {case: " ".join(sorted({d.code for d in refused})) for case, refused in found.items() if refused}


def check(case: Case) -> None:
    """Every packet of the case has the recorded outcome, or the case waits for a feature, and says for which."""
    given = read(case["resources"], case["options"])
    if given.is_of_a_later_issue:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in given.reasons.items())
        pytest.skip(f"{len(case['packets'])} packets wait for: {reasons}")
    assert given.reasons == {}
    judge = Judge(given)
    wrong = []
    for fields in case["packets"]:
        decision = judge.decide(fields)
        if decision.verdict.value != case["expected"][fields["id"]]:
            wrong.append(f"{fields} should be {case['expected'][fields['id']]}, is {decision}")
    assert not wrong, f"{len(wrong)} of {len(case['packets'])} packets:\n" + "\n".join(wrong[:5])
