"""The ways of steering that a test runs with: each that can be set, where the kernel can; or the one that is asked for.

`CALICOD_TEST_STEERING=nft` makes every test here steer by nft alone, also those that are tried with one way only.
"""

import os

from calicod.netfilter.probe import SETTINGS
from tests.kernel import needs_kernel

SETTING = "CALICOD_TEST_STEERING"
_asked = os.environ.get(SETTING, "")
_known = tuple(setting for setting in SETTINGS if setting != "auto")
if _asked and _asked not in _known:
    raise ValueError(f"{SETTING} is {_asked!r}, expected one of {', '.join(_known)}")
VARIANTS = (_asked,) if _asked else _known
IPTABLES = (_asked,) if _asked else ("iptables-nft", "iptables-legacy")
"""Where both variants of iptables are enough."""
USUAL = _asked or "iptables-nft"
"""Where one way is enough."""
FEATURES = {"nft": "nft queue"}
"""What a kernel must have, where it is not called as the setting is (tests/kernel.py)."""


def needs_variant(setting: str) -> None:
    """Skips the test that calls this, or whose fixture does, when the kernel cannot do it; says why."""
    needs_kernel(FEATURES.get(setting, setting))
