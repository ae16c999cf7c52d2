from xml.etree import ElementTree as ET

from calicod.cli.policytest.junit import clean, junit
from tests.unit.cli.policytest.build import HEAD, TESTS, outcomes

WRONG = HEAD + TESTS.replace("expect: allow", "expect: deny").replace(
    "back does not", '"<back> & \\x1b\\0\\uD83D\\uDE00"'
)


def test_the_xml_is_well_formed_and_counts(tmp_path):
    root = ET.fromstring(junit(outcomes(tmp_path, WRONG.replace("\\uD83D\\uDE00", ""))))

    assert (root.tag, root.attrib) == ("testsuites", {"name": "calicod test", "tests": "2", "failures": "1"})
    (suite,) = root
    assert suite.attrib["name"] == f"{tmp_path}/tests/web.yaml"
    assert [case.attrib["name"] for case in suite] == ["front reaches web", "<back> & ??"]
    assert [case.attrib["line"] for case in suite] == ["3", "6"]


def test_a_failure_has_its_message_and_story(tmp_path):
    root = ET.fromstring(junit(outcomes(tmp_path, HEAD + TESTS.replace("expect: allow", "expect: deny"))))
    failure = root.find(".//failure")

    assert failure is not None
    assert failure.attrib["message"] == "expected verdict deny, found allow"
    assert "> rule 1 Allow" in (failure.text or "")


def test_without_tests_it_is_an_empty_report():
    assert ET.fromstring(junit(())).attrib["tests"] == "0"


def test_what_xml_cannot_hold_is_replaced():
    assert clean("tab\tnew\nline \x00\x0b\ud800\ufffe😀") == "tab\tnew\nline ????😀"
