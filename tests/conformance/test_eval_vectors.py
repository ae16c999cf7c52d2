"""Cases of other projects, in the shape of `calicod eval`; they are not part of the repository."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from calicod.cli.main import main
from tests.conformance.vectors import Case, cases, check, refusals
from tests.oracle.kubernetes import Cluster

FILE = Path(__file__).parents[3] / "shared" / "vectors" / "eval.json"
CASES = cases(FILE) if FILE.exists() else []
ASK_KUBERNETES = {"cyclonus", "knp", "npa-native"}
"""The suites that are written in Kubernetes' own words."""
WORDS = {True: "allow", False: "deny"}

needs_vectors = pytest.mark.skipif(not CASES, reason=f"no vectors at {FILE}: they are not part of the repository")


@needs_vectors
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_packet_has_the_recorded_verdict(case: Case):
    check(case)


@needs_vectors
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_command_says_the_same(case: Case, tmp_path: Path):
    """Every packet through `calicod eval`, as anybody would run it."""
    resources, packets, interfaces = (tmp_path / name for name in ("resources.json", "packets.jsonl", "eth.json"))
    resources.write_text(json.dumps(case["resources"]))
    packets.write_text("\n".join(json.dumps(packet) for packet in case["packets"]))
    interfaces.write_text(json.dumps(case["options"].get("interfaces") or {}))
    where = ["--cluster"] if case["options"].get("cluster") else ["--node", case["options"]["node"]]
    given = ["eval", str(resources), "--packets", str(packets), "--interfaces", str(interfaces), *where]
    result = CliRunner().invoke(main, given)

    assert result.exit_code == 0, result.stderr
    decisions = [json.loads(line) for line in result.stdout.splitlines()]
    assert {decision["id"]: decision["verdict"] for decision in decisions} == case["expected"]


@needs_vectors
@pytest.mark.parametrize("case", [c for c in CASES if c["suite"] in ASK_KUBERNETES], ids=lambda case: case["id"])
def test_kubernetes_read_aloud_says_the_same(case: Case):
    """The interpreter that the property tests hold us to agrees with the recordings too."""
    cluster = Cluster(case["resources"])

    assert {packet["id"]: WORDS[cluster.allows(packet)] for packet in case["packets"]} == case["expected"]


@needs_vectors
def test_no_case_waits_for_a_feature():
    assert refusals(CASES) == {}
