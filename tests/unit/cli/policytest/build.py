"""A test file beside the resources of `offline`."""

from pathlib import Path

from calicod.cli.policytest.outcome import Court, Outcome
from calicod.cli.policytest.reading import read_suites
from calicod.cli.policytest.suite import Suite
from tests.unit.cli.offline import resources

HEAD = "resources: ../resources\n"
TESTS = """tests:
  - name: front reaches web
    flow: {src: shop/front, dst: shop/web, dport: 80}
    expect: allow
  - name: back does not
    flow: {src: shop/back, dst: shop/web, dport: 80}
    expect: {verdict: deny, reason: end-of-tier, policy: {kind: NetworkPolicy, namespace: shop, name: web, rule: -1}}
"""


def written(folder: Path, text: str = HEAD + TESTS) -> Path:
    """The path of a test file with this text, the resources in the folder beside it."""
    for name in ("resources", "tests"):
        (folder / name).mkdir(exist_ok=True)
    resources(folder / "resources")
    file = folder / "tests" / "web.yaml"
    file.write_text(text)
    return file


def suite(folder: Path, text: str) -> Suite:
    """The only suite of a text without a mistake."""
    suites, diagnostics = read_suites(str(written(folder, text)))
    assert [str(found) for found in diagnostics] == []
    (only,) = suites
    return only


def outcomes(folder: Path, text: str = HEAD + TESTS) -> tuple[Outcome, ...]:
    """What comes of the tests of a text."""
    court = Court(suite(folder, text))
    return tuple(outcome for case in court.suite.cases for outcome in court.outcomes(case))
