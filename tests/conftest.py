"""What every test shares: the profiles of hypothesis, and the law of skips.

A test marked `netns` or `security` may be skipped in CI only because the kernel lacks a feature (tests/kernel.py);
any other skip of it is a failure there, so that no guarantee goes unproved in silence.
"""

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.apart import stand_apart
from tests.kernel import NEEDS_ROOT, allowed

settings.register_profile(
    "ci", max_examples=500, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", max_examples=10_000, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("CALICOD_PROFILE", "ci"))

GUARDED = ("netns", "security")
CI = os.environ.get("CI") == "true"


def pytest_configure() -> None:
    """Processes of tests that run side by side use the same names of namespaces.

    A shell that starts the tests in its background has SIGINT ignored; what they start must be able to get it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("PYTEST_XDIST_WORKER") and os.geteuid() == 0:
        stand_apart()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever is not root cannot build namespaces."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("netns"):
            item.add_marker(pytest.mark.skip(reason=NEEDS_ROOT))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, a skip of a guarded test for any reason but the kernel's becomes a failure."""
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if any(item.get_closest_marker(marker) for marker in GUARDED) and not allowed(reason):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: skipped in CI, and not because the kernel lacks a feature: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In CI no file is skipped whole: what it lacks must be named test by test."""
    report = yield
    if CI and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid}: skipped whole in CI: {report.longrepr}"
    return report
