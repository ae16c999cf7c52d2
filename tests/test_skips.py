"""The law of skips (tests/conftest.py), proved on test files of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REASONS = {
    "security, for a reason of its own": "@pytest.mark.security\ndef test_a(): pytest.skip('no time')",
    "netns, by a mark": "@pytest.mark.netns\n@pytest.mark.skip(reason='broken')\ndef test_a(): pass",
    "a whole file": "pytest.skip('broken', allow_module_level=True)",
    "a feature that this kernel has": (
        "@pytest.mark.netns\ndef test_a(): pytest.skip('the kernel lacks iptables-nft: Error')"
    ),
}


def outcome(folder: Path, body: str, ci: str) -> tuple[int, str]:
    (folder / "test_case.py").write_text(f"import pytest\n{body}\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "tests.conftest",
            "-c",
            "pyproject.toml",
            folder,
        ],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("body", REASONS.values(), ids=REASONS)
def test_a_guarded_skip_fails_in_ci_and_nowhere_else(tmp_path, body):
    if "iptables-nft" in body and os.geteuid():
        pytest.skip("needs root to try what the kernel has")

    assert outcome(tmp_path, body, "true")[0] != 0
    assert outcome(tmp_path, body, "")[0] in {0, 5}


def test_an_unguarded_skip_is_allowed_and_its_reason_is_shown(tmp_path):
    status, shown = outcome(tmp_path, "def test_a(): pytest.skip('not on this machine')", "true")

    assert status == 0
    assert "not on this machine" in shown


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to try what the kernel has")
def test_a_feature_that_the_kernel_lacks_may_be_skipped_in_ci(tmp_path):
    body = (
        "from tests.kernel import FEATURES, needs_kernel, refusal\n"
        "@pytest.mark.security\n@pytest.mark.parametrize('feature', FEATURES)\n"
        "def test_a(feature):\n    needs_kernel(feature)\n    assert not refusal(feature)"
    )

    assert outcome(tmp_path, body, "true")[0] == 0
