from calicod.cli.demo.trial import files
from tests.unit.cli.demo.build import ARRIVED, outcome, result


def test_a_result_tells_each_difference_with_its_flow():
    assert result(outcome()).differences == ()
    assert result(outcome(), outcome(ARRIVED)).differences == (
        "client → prod/red tcp 80 over IPv4: the packet arrived though it was to be refused",
    )


def test_the_files_of_an_example_are_its_resources_in_order(tmp_path):
    for name in ("policy.yaml", "endpoints.yaml", "traffic.jsonl", "diagnostic.txt"):
        (tmp_path / name).touch()

    assert [file.name for file in files(tmp_path)] == ["endpoints.yaml", "policy.yaml"]
