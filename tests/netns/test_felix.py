"""The recorded clusters as real packets through the daemon: what arrives is what arrived with real Felix.

`tests/conformance/test_felix.py` asks the engines about the same packets.
"""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from calicod.intercept.counters import read_counters
from tests.conformance.vectors import Case, cases
from tests.netns.cluster import Cluster, cluster, target_of
from tests.netns.patience import seconds
from tests.netns.running import Running, running_in
from tests.netns.variants import VARIANTS, needs_variant
from tests.netns.world import inside

pytestmark = [pytest.mark.netns, pytest.mark.security, pytest.mark.slow]
CASES = cases(Path(__file__).parent.parent / "conformance" / "felix.json.gz")
PATIENCE = seconds(5.0)
"""Seconds until everything that is allowed has arrived, on a busy machine."""
QUIET = seconds(0.05)
"""Seconds in which nothing more arrives."""


@pytest.fixture(scope="module", params=VARIANTS)
def node(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    needs_variant(request.param)
    with cluster("cf-", request.param) as made:
        yield made


@pytest.fixture(scope="module")
def daemon(node: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_in(node, tmp_path_factory.mktemp("daemon"), {"node_name": "n1"}) as running:
        running.start()
        yield running


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_every_packet_has_the_fate_that_felix_gave_it(node: Cluster, daemon: Running, case: Case):
    daemon.write(cluster=msgspec.json.encode(case["resources"]).decode())
    reloaded = daemon.reload()
    assert (reloaded.error, reloaded.rejected) == ("", ())

    wrong = []
    for number, batch in enumerate(batches(case["packets"])):
        node.world.run(node.name, "conntrack", "-F")
        for fields in batch:
            node.send(fields, f"{case['id']}/{fields['id']}")
        arrived = heard(node, {place(case, fields) for fields in batch if case["expected"][fields["id"]] == "allow"})
        for fields in batch:
            fate = "allow" if place(case, fields) in arrived else "deny"
            if fate != case["expected"][fields["id"]]:
                wrong.append(f"{fields} in batch {number} should be {case['expected'][fields['id']]}, is {fate}")
    assert not wrong, f"{len(wrong)} of {len(case['packets'])} packets:\n" + "\n".join(wrong)
    assert [worker.failed for worker in daemon.status().workers] == [0]


def place(case: Case, fields: Mapping[str, Any]) -> tuple[str, str]:
    """Where the packet must be heard, and by which token."""
    return target_of(fields), f"{case['id']}/{fields['id']}"


def batches(packets: list[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The packets, so that no two in a batch are of the same flow in either direction: each is the first of its own."""
    made: list[list[Mapping[str, Any]]] = []
    flows: list[set[object]] = []
    for fields in packets:
        flow = flow_of(fields)
        number = next((number for number, known in enumerate(flows) if flow not in known), len(flows))
        if number == len(flows):
            made.append([])
            flows.append(set())
        made[number].append(fields)
        flows[number].add(flow)
    return made


def flow_of(fields: Mapping[str, Any]) -> object:
    """The flow whose first packet it is, whoever speaks first."""
    ends = frozenset(((fields["src"], fields.get("sport")), (fields["dst"], fields.get("dport"))))
    return fields["protocol"], ends, fields["id"] if "icmp_type" in fields else None


def heard(node: Cluster, awaited: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What arrived, once all that is awaited did and nothing waits in a queue any more."""
    arrived: set[tuple[str, str]] = set()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        arrived |= node.heard()
        if awaited <= arrived and not waiting(node):
            break
        time.sleep(0.01)
    time.sleep(QUIET)
    return arrived | node.heard()


def waiting(node: Cluster) -> int:
    """Packets that nobody has judged yet."""
    with inside(node.name):
        return sum(queue.waiting for queue in read_counters().values())
