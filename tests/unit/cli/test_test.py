import json
from xml.etree import ElementTree as ET

import pytest

from tests.unit.cli.offline import EXAMPLES, calicod
from tests.unit.cli.policytest.build import HEAD, TESTS, written

WRONG = HEAD + TESTS.replace("expect: allow", "expect: deny")


def test_tests_that_pass_exit_0_with_a_summary(tmp_path):
    result = calicod("test", written(tmp_path))

    assert (result.exit_code, result.stdout, result.stderr) == (0, "2 tests of 1 file: all passed\n", "")


def test_a_test_that_fails_exits_1_with_its_story(tmp_path):
    result = calicod("test", written(tmp_path, WRONG))

    assert result.exit_code == 1
    assert "FAIL" in result.stdout
    assert "> rule 1 Allow" in result.stdout
    assert result.stdout.endswith("2 tests of 1 file: 1 failed\n")


def test_verbose_names_those_that_pass(tmp_path):
    assert "ok    " in calicod("test", written(tmp_path), "-v").stdout


def test_json_has_everything(tmp_path):
    answer = json.loads(calicod("test", written(tmp_path, WRONG), "--json").stdout)

    assert (answer["tests"], answer["failed"], len(answer["results"])) == (2, 1, 2)


def test_junit_is_written_beside_the_text(tmp_path):
    report = tmp_path / "report.xml"

    result = calicod("test", written(tmp_path, WRONG), "--junit", report)

    assert ET.fromstring(report.read_bytes()).attrib["failures"] == "1"
    assert "1 failed" in result.stdout


def test_a_report_that_cannot_be_written_is_a_usage_error(tmp_path):
    result = calicod("test", written(tmp_path), "--junit", tmp_path / "gone" / "x.xml")

    assert result.exit_code == 2
    assert "--junit" in result.stderr


def test_a_name_that_means_nobody_breaks_the_file(tmp_path):
    result = calicod("test", written(tmp_path, HEAD + TESTS.replace("shop/back", "shop/beck")))

    assert (result.exit_code, result.stdout) == (2, "")
    assert "web.yaml:7:11: T001 back does not: nobody is called" in result.stderr


def test_a_flow_that_is_no_packet_breaks_the_file(tmp_path):
    result = calicod("test", written(tmp_path, HEAD + TESTS.replace("dst: shop/web, dport: 80", "dst: shop/web")))

    assert result.exit_code == 2
    assert result.stderr.count("T002") == 2


def test_what_is_missing_or_mistyped_breaks_the_file(tmp_path):
    text = HEAD + TESTS.replace("expect: allow", "expcet: allow").replace("verdict: deny", "verdict: no")
    result = calicod("test", written(tmp_path, text))

    assert (result.exit_code, result.stdout) == (2, "")
    assert [line.split(": ")[1].split(" ")[0] for line in result.stderr.splitlines() if line.startswith("/")] == [
        "T003",
        "Y011",
        "T003",
    ]


@pytest.mark.parametrize("text", ["", f"{HEAD}tests: []\n"])
def test_a_file_without_a_test_is_broken(tmp_path, text):
    result = calicod("test", written(tmp_path, text))

    assert result.exit_code == 2
    assert "there is no test in it" in result.stderr


def test_a_file_that_is_not_there_is_told(tmp_path):
    result = calicod("test", tmp_path / "gone.yaml")

    assert (result.exit_code, result.stderr) == (2, f"{tmp_path}/gone.yaml: no such file or directory\n")


def test_the_nine_examples_pass_as_tests():
    files = sorted((EXAMPLES / "policy-tests").glob("*.yaml"))

    result = calicod("test", *files)

    assert (len(files), result.exit_code) == (9, 0), result.stdout
