"""Every code that reading resources can give has a page, and the page's example gives that code."""

import re
from pathlib import Path

import pytest

from calicod.resources.load import load

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "diagnostics"
SOURCES = [path for package in ("resources", "datastore") for path in (ROOT / "calicod" / package).glob("*.py")]
CODE = re.compile(r'"([YPRNW]\d{3}|http-not-enforced)"')
CODES = sorted({code for path in SOURCES for code in CODE.findall(path.read_text())})
EXAMPLE = re.compile(r"```yaml\n(.*?)\n```", re.DOTALL)
NOT_IN_YAML = {"R002", "Y002", "Y019", "Y021"}
"""Their pages show a command or say it in words; tests/unit has the example that triggers each."""


def test_there_are_codes_at_all():
    assert len(CODES) > 90


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_page_of_at_most_25_lines(code):
    page = (PAGES / f"{code}.md").read_text()

    assert page.startswith(f"# {code}: ")
    assert page.count("\n") <= 25
    assert "**The way out.**" in page


@pytest.mark.parametrize("code", [code for code in CODES if code not in NOT_IN_YAML])
def test_the_example_of_a_page_gives_its_code(code):
    example = EXAMPLE.search((PAGES / f"{code}.md").read_text())

    assert example, "no example"
    assert code in {diagnostic.code for diagnostic in load(example[1], "example.yaml").diagnostics}
