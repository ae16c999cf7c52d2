"""The examples, without a packet: both engines give each flow the decision that is written beside the policy."""

import json
from pathlib import Path

import pytest

from calicod.cli.demo.cases import Case, Flow, examples, load_cases
from calicod.cli.demo.offline import Offline
from calicod.cli.demo.outcome import decided, written
from calicod.cli.demo.tour import SAID
from calicod.cli.demo.world import NODE, World, pods_of
from calicod.datastore.files import read

FOLDER = examples()
CASES = load_cases(FOLDER)
FLOWS = [
    pytest.param(case, flow, id=f"{case.number}-{number}") for case in CASES for number, flow in enumerate(case.flows)
]
MISTAKES = sorted(path.parent for path in FOLDER.glob(f"*/{SAID}"))
WORLD = World("", pods_of(resource for case in CASES for resource in read([case.folder]).resources))
OFFLINE = {case.number: Offline(case.folder, WORLD) for case in CASES}
"""Making one proves that the example has no errors."""
WARNED = {9: {"W064"}}
"""Default deny refuses the questions to DNS servers too: `validate` says so."""


def test_there_are_the_nine_cases_and_each_is_introduced():
    assert [case.number for case in CASES] == list(range(1, 10))
    assert [case.text.partition(":")[0] for case in CASES] == [f"Case {number}" for number in range(1, 10)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_example_has_no_warning_but_those_that_it_is_about(case: Case):
    assert {finding.code for finding in OFFLINE[case.number].findings} == WARNED.get(case.number, set())


@pytest.mark.parametrize(("case", "flow"), FLOWS)
def test_both_engines_decide_as_it_is_written(case: Case, flow: Flow):
    assert decided(OFFLINE[case.number].decide(flow)) == written(flow)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_tries_tcp_udp_and_icmp_over_both_families_both_ways_with_both_verdicts(case: Case):
    of_pods = {(flow.source, flow.target) for flow in case.flows}

    assert {"tcp", "udp", "icmp"} <= {flow.protocol for flow in case.flows}
    assert {flow.family for flow in case.flows} == {4, 6}
    assert {flow.verdict for flow in case.flows} == {"allow", "deny"}
    assert any((target, source) in of_pods for source, target in of_pods)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_place_that_is_written_is_the_place_of_that_policy_or_rule(case: Case):
    """By the text alone: at a rule stands its action, at a policy or profile the beginning of a document."""
    for flow in case.flows:
        if flow.at:
            file, _, line = flow.at.partition(":")
            text = (case.folder / file).read_text().splitlines()[int(line) - 1]
            begins = "apiVersion:" if flow.rule < 0 or flow.policy.startswith("Profile") else "- action:"
            assert text.strip().startswith(begins), flow


@pytest.mark.parametrize("folder", MISTAKES, ids=lambda folder: folder.name)
def test_an_example_with_a_mistake_is_refused_in_the_words_that_are_written(folder: Path):
    loaded = read([folder])

    assert loaded.resources == ()
    assert "\n".join(str(finding).replace(f"{folder}/", "") for finding in loaded.diagnostics) == (
        (folder / SAID).read_text().strip()
    )


def test_a_name_beside_kind_is_told_where_it_belongs():
    (folder,) = MISTAKES

    assert "policy.yaml:5:1: Y017" in (folder / SAID).read_text()
    assert "name belongs under metadata" in (folder / SAID).read_text()


def test_everything_that_a_flow_names_is_in_the_world():
    names = {name for case in CASES for flow in case.flows for name in (flow.source, flow.target)}

    assert all(WORLD.address(name, family) for name in names for family in (4, 6))
    assert NODE in names


def test_the_expectations_are_written_as_one_object_a_line():
    for case in CASES:
        lines = (case.folder / "traffic.jsonl").read_text().splitlines()
        assert len({json.dumps(json.loads(line), sort_keys=True) for line in lines}) == len(lines), case.name
