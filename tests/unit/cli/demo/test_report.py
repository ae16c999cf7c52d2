import json

from calicod.cli.demo.report import report
from tests.unit.cli.demo.build import ARRIVED, allowed, outcome, result


def test_all_that_is_known_of_a_flow_is_in_the_report():
    told = json.loads(report([result(outcome())], {"10-mistyped": ("Y017",)}, [], 1.23456))
    (case,) = told["cases"]
    (flow,) = case["flows"]

    assert (told["ok"], told["seconds"], told["mistakes"]) == (True, 1.235, {"10-mistyped": ["Y017"]})
    assert (case["number"], case["name"], case["text"]) == (7, "07-title", "Case 7: who may?")
    assert (flow["flow"]["from"], flow["flow"]["to"], flow["flow"]["verdict"]) == ("client", "prod/red", "deny")
    assert flow["events"][0]["policy"]["line"] == flow["decision"]["policy"]["line"] == 15
    assert (flow["source_port"], flow["arrived"], flow["differences"]) == (40000, False, [])


def test_a_difference_makes_it_not_ok_and_stands_at_its_flow():
    told = json.loads(report([result(outcome(ARRIVED), allowed())], {}, ["one"], 1.0))

    assert (told["ok"], told["differences"]) == (False, ["one"])
    assert [len(flow["differences"]) for flow in told["cases"][0]["flows"]] == [1, 0]
