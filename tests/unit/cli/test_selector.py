import json

import pytest

from tests.unit.cli.offline import calicod


@pytest.mark.parametrize(
    ("arguments", "code", "printed"),
    [
        (("color == 'red'",), 0, 'color == "red"\n'),
        (("color == 'red'", "--labels", "color=red,a=b"), 0, 'color == "red"\nmatches\n'),
        (("color == 'red'", "--labels", "color=blue"), 1, 'color == "red"\ndoes not match\n'),
        (("color == 'a,b'", "--labels-json", '{"color": "a,b"}'), 0, 'color == "a,b"\nmatches\n'),
        (("all()", "--labels", ""), 0, "all()\nmatches\n"),
    ],
)
def test_the_exit_code_is_the_answer(arguments, code, printed):
    result = calicod("selector", *arguments)

    assert (result.exit_code, result.stdout) == (code, printed)


def test_a_mistake_exits_2_and_is_marked():
    result = calicod("selector", "color = 'red'")

    assert result.exit_code == 2
    assert result.stderr.startswith("EXPR:1:7: ")
    assert result.stderr.endswith("  color = 'red'\n        ^\n")


def test_a_very_long_mistake_is_not_repeated():
    result = calicod("selector", "(" * 100_000)

    assert result.exit_code == 2
    assert len(result.stderr) < 200


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("has(a)",), {"canonical": "has(a)", "match": None, "error": None}),
        (("has(a)", "--labels", "a=1"), {"canonical": "has(a)", "match": True, "error": None}),
        (("has(a)", "--labels", "b=1"), {"canonical": "has(a)", "match": False, "error": None}),
    ],
)
def test_json_has_all_three_keys(arguments, answer):
    assert json.loads(calicod("selector", "--json", *arguments).stdout) == answer


def test_json_tells_message_and_column_of_a_mistake():
    result = calicod("selector", "--json", "has(a")

    answer = json.loads(result.stdout)
    assert result.exit_code == 2
    assert (answer["canonical"], answer["match"], answer["error"]["column"]) == (None, None, 6)
    assert answer["error"]["message"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--labels", "color"), 'expected key=value, found "color"'),
        (("--labels-json", "[1]"), "--labels-json"),
        (("--labels", "a=b", "--labels-json", "{}"), "exclude each other"),
    ],
)
def test_labels_that_cannot_be_read_are_wrong_usage(options, said):
    result = calicod("selector", "all()", *options)

    assert result.exit_code == 2
    assert said in result.stderr
