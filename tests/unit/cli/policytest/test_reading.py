import pytest

from calicod.cli.policytest.reading import read_suites
from calicod.cli.policytest.suite import Expectation, Rule
from calicod.model.interface import Interface
from calicod.model.network import parse_address
from tests.unit.cli.policytest.build import HEAD, TESTS, suite, written

SET = "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: s}, spec: {nets: [192.0.2.0/24]}}"


def told(folder, text: str) -> list[tuple[str, int, int]]:
    suites, diagnostics = read_suites(str(written(folder, text)))
    assert suites == ()
    return [(found.code, found.line, found.column) for found in diagnostics]


def test_a_file_names_resources_beside_it_and_has_some_of_its_own(tmp_path):
    found = suite(tmp_path, f"resources: [../resources, {SET}]\n{TESTS}")

    assert len(found.resources) == 7
    assert found.resources[-1].place.file == str(tmp_path / "tests" / "web.yaml")
    assert found.resources[-1].place.line == 1


def test_one_path_need_not_be_a_list(tmp_path):
    assert len(suite(tmp_path, HEAD + TESTS).resources) == 6


def test_interfaces_and_addresses_are_read_with_or_without_a_mask(tmp_path):
    text = (
        "node: n1\ninterfaces: {eth0: [192.0.2.1/24]}\naddresses: {me: 192.0.2.9, both: [192.0.2.8, '2001:db8::8']}\n"
    )

    found = suite(tmp_path, HEAD + text + TESTS)

    assert found.interfaces == (Interface(1, "eth0", (parse_address("192.0.2.1"),)),)
    assert found.addresses == {
        "me": (parse_address("192.0.2.9"),),
        "both": (parse_address("192.0.2.8"), parse_address("2001:db8::8")),
    }


@pytest.mark.parametrize(
    ("written_as", "expected"),
    [
        ("allow", Expectation(verdict="allow")),
        ("{pending: deny}", Expectation(pending="deny")),
        ("{policy: Tier t}", Expectation(policy=Rule(kind="Tier", namespace="", name="t"))),
        ("{policy: NetworkPolicy a/b}", Expectation(policy=Rule(kind="NetworkPolicy", namespace="a", name="b"))),
        ("{policy: {name: b, rule: 2}}", Expectation(policy=Rule(name="b", rule=2))),
    ],
)
def test_an_expectation_is_a_word_or_its_parts(tmp_path, written_as, expected):
    text = f"{HEAD}tests: [{{name: x, flow: {{src: a, dst: b}}, expect: {written_as}}}]\n"

    assert suite(tmp_path, text).cases[0].expect == expected


def test_each_document_is_a_suite(tmp_path):
    suites, _ = read_suites(str(written(tmp_path, f"{HEAD}{TESTS}---\n{HEAD}node: n1\n{TESTS}")))

    assert [(one.node, len(one.cases)) for one in suites] == [(None, 2), ("n1", 2)]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("tests: []\n", ("T003", 1, 1)),
        (f"{HEAD}tests: [{{name: x, flow: {{src: a, dst: b}}}}]\n", ("T003", 2, 9)),
        (f"{HEAD}tests: [{{name: x, flow: {{src: a}}, expect: deny}}]\n", ("T003", 2, 25)),
        (f"{HEAD}tests: [{{name: x, flow: {{src: a, dst: b}}, expect: denied}}]\n", ("T003", 2, 51)),
        (f"{HEAD}tests: [{{name: x, flow: {{src: a, dst: b}}, expect: reject}}]\n", ("T003", 2, 51)),
        (f"{HEAD}tests: [{{name: x, flow: {{src: a, dst: b}}, expect: {{}}}}]\n", ("T003", 2, 51)),
        (f"{HEAD}tests: [{{name: x, flow: {{src: a, dst: b, dprot: 1}}, expect: deny}}]\n", ("Y011", 2, 42)),
        (f"{HEAD}tests: [{{name: x, flow: {{src: a, dst: b, dport: 99999}}, expect: deny}}]\n", ("T002", 2, 49)),
        (f"{HEAD}tests: [{{name: x, flow: {{src: a, dst: b}}, expect: {{policy: web}}}}]\n", ("T003", 2, 60)),
        (f"{HEAD}addresses: {{x: 300.1.2.3}}\n{TESTS}", ("T001", 2, 16)),
        (f"{HEAD}node: n1\ncluster: true\n{TESTS}", ("T003", 3, 10)),
        (f"resources: [[]]\n{TESTS}", ("Y010", 1, 13)),
        (f"resources: {{kind: Tier, apiVersion: projectcalico.org/v3}}\n{TESTS}", ("P001", 1, 12)),
        ("- a\n", ("Y010", 1, 1)),
    ],
)
def test_a_mistake_breaks_the_file_and_is_told_with_its_place(tmp_path, text, finding):
    assert told(tmp_path, text) == [finding]


def test_a_resource_file_with_an_error_breaks_the_tests(tmp_path):
    file = written(tmp_path)
    (tmp_path / "resources" / "wrong.yaml").write_text("kind: Teir\napiVersion: projectcalico.org/v3\n")

    suites, diagnostics = read_suites(str(file))

    assert (suites, [found.code for found in diagnostics]) == ((), ["Y016"])


def test_a_path_that_does_not_exist_is_told(tmp_path):
    assert told(tmp_path, f"resources: gone\n{TESTS}") == [("Y019", 0, 0)]


def test_bytes_that_are_no_text_are_told(tmp_path):
    file = written(tmp_path)
    file.write_bytes(b"resources: \xff\n")

    assert [found.code for found in read_suites(str(file))[1]] == ["Y002"]
