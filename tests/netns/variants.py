"""The ways of steering that a test runs with: each that can be set, where the kernel can."""

from calicod.netfilter.probe import SETTINGS
from tests.kernel import needs_kernel

VARIANTS = tuple(setting for setting in SETTINGS if setting != "auto")
FEATURES = {"nft": "nft queue"}
"""What a kernel must have, where it is not called as the setting is (tests/kernel.py)."""


def needs_variant(setting: str) -> None:
    """Skips the test that calls this, or whose fixture does, when the kernel cannot do it; says why."""
    needs_kernel(FEATURES.get(setting, setting))
