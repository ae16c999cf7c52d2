import json

import pytest
import structlog

from calicod.daemon.log import configure


@pytest.fixture(autouse=True)
def restored():
    yield
    structlog.reset_defaults()


def test_elsewhere_than_on_a_terminal_each_line_is_json_with_its_facts(capsys):
    configure("info", "auto")

    structlog.get_logger().info("ruleset.swapped", revision=41)

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["revision"], line["level"]) == ("ruleset.swapped", 41, "info")
    assert line["timestamp"].endswith("Z")


def test_what_is_below_the_level_is_not_told(capsys):
    configure("warning", "json")

    structlog.get_logger().info("ruleset.swapped")

    assert capsys.readouterr().err == ""


def test_the_console_is_for_people(capsys):
    configure("debug", "console")

    structlog.get_logger().debug("ruleset.swapped", revision=41)

    assert "ruleset.swapped" in capsys.readouterr().err
