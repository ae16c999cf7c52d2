from calicod.cli.policytest.telling import details, lines, plain, report, totals
from tests.unit.cli.policytest.build import HEAD, TESTS, outcomes

WRONG = HEAD + TESTS.replace("expect: allow", "expect: deny")


def test_a_failure_tells_place_difference_packet_and_story(tmp_path):
    failed, passed = outcomes(tmp_path, WRONG)

    told = plain(lines(failed, verbose=False))

    assert told.startswith(f"FAIL  {tmp_path}/tests/web.yaml:3:5: front reaches web\n")
    assert "      expected verdict deny, found allow\n" in told
    assert "tcp 10.65.0.2:49152 -> 10.65.0.1:80 through the whole cluster" in told
    assert "rule 1 of NetworkPolicy shop/web" in told
    assert "> rule 1 Allow" in told
    assert plain(lines(passed, verbose=False)) == ""


def test_a_success_is_told_if_asked_for(tmp_path):
    _, passed = outcomes(tmp_path, WRONG)

    assert plain(lines(passed, verbose=True)) == f"ok    {tmp_path}/tests/web.yaml:6:5: back does not"


def test_the_report_for_programs_counts_and_keeps_the_decision(tmp_path):
    whole = report(outcomes(tmp_path, WRONG))

    assert (whole.tests, whole.failed) == (2, 1)
    first, second = whole.results
    assert (first.passed, first.verdict, first.differences) == (False, "allow", ("expected verdict deny, found allow",))
    assert (second.passed, second.line, second.reason) == (True, 6, "end-of-tier")
    assert second.policy is not None and second.policy.rule == -1


def test_details_begin_with_what_differs(tmp_path):
    failed, _ = outcomes(tmp_path, WRONG)

    assert plain(details(failed)).splitlines()[0] == "expected verdict deny, found allow"


def test_the_last_line_counts():
    assert totals(2, 0, 3) == "2 tests of 3 files: all passed"
