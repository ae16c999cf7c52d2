import json

import pytest

from calicod.cli.schema import files
from tests.unit.cli.offline import calicod


@pytest.mark.parametrize("kind", ["NetworkPolicy", "networkpolicy"])
def test_the_schema_of_a_kind_is_printed_whatever_its_case(kind):
    result = calicod("schema", kind)

    assert (result.exit_code, json.loads(result.stdout)["title"]) == (0, "NetworkPolicy")


def test_without_a_kind_it_is_the_schema_for_all():
    assert "allOf" in json.loads(calicod("schema").stdout)


def test_the_files_of_policy_tests_have_one_too():
    assert json.loads(calicod("schema", "policy-tests").stdout)["required"] == ["resources", "tests"]


def test_all_are_written_to_a_directory(tmp_path):
    result = calicod("schema", "--directory", tmp_path)

    assert result.exit_code == 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files()


def test_an_unknown_kind_is_a_usage_error_that_names_the_known():
    result = calicod("schema", "NetworkPolcy")

    assert result.exit_code == 2
    assert "GlobalNetworkPolicy" in result.stderr


def test_a_kind_and_a_directory_exclude_each_other(tmp_path):
    assert calicod("schema", "Tier", "--directory", tmp_path).exit_code == 2


def test_a_directory_that_is_not_there_is_told(tmp_path):
    result = calicod("schema", "--directory", tmp_path / "gone")

    assert result.exit_code == 1
    assert "no such file or directory" in result.stderr
