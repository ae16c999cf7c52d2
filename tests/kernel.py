"""What this kernel can do, and the only reasons for which a test of the kernel's side may be skipped.

Law: a feature is tried in a network namespace of its own, never guessed from versions; the reason of a skip is the
kernel's own refusal. Every other skip of such a test is a failure in CI (tests/conftest.py).
"""

import functools
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from types import MappingProxyType

import pytest

LACKS = "the kernel lacks"
NEEDS_ROOT = "needs root"

FEATURES: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "dummy interfaces": (("ip", "link", "add", "d0", "type", "dummy"),),
        "netem": (
            ("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"),
            ("tc", "qdisc", "add", "dev", "v0", "root", "netem", "delay", "1ms"),
        ),
        "bridges": (("ip", "link", "add", "b0", "type", "bridge"),),
        "macvlan": (
            ("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"),
            ("ip", "link", "add", "m0", "link", "v0", "type", "macvlan"),
        ),
        "vrf": (("ip", "link", "add", "r0", "type", "vrf", "table", "10"),),
        "nft queue": (
            ("nft", "add table inet t"),
            ("nft", "add chain inet t c { type filter hook input priority 0; }"),
            ("nft", "add rule inet t c queue to 0"),
        ),
        "iptables-legacy": (("iptables-legacy", "-A", "INPUT", "-j", "NFQUEUE", "--queue-num", "0"),),
        "iptables-nft": (("iptables-nft", "-A", "INPUT", "-j", "NFQUEUE", "--queue-num", "0"),),
    }
)
"""For each feature the commands that use it; each must end well."""


@functools.cache
def refusal(feature: str) -> str:
    """Why the kernel does not do this, in the words of the program that asked; "" when it does."""
    space = f"cg-probe-{uuid.uuid4().hex[:6]}"
    try:
        subprocess.run(["ip", "netns", "add", space], check=True, capture_output=True)
        for command in FEATURES[feature]:
            if shutil.which(command[0]) is None:
                raise FileNotFoundError(f"{command[0]} is not installed: run `scripts/setup test`")
            done = subprocess.run(
                ["ip", "netns", "exec", space, *command], capture_output=True, text=True, timeout=20, check=False
            )
            if done.returncode:
                return done.stderr.strip().splitlines()[0] if done.stderr.strip() else f"exit {done.returncode}"
        return ""
    finally:
        subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def needs_kernel(feature: str) -> None:
    """Skips the test that calls this, or whose fixture does, when the kernel lacks the feature; says why."""
    if os.geteuid():
        pytest.skip(NEEDS_ROOT)
    if why := refusal(feature):
        pytest.skip(f"{LACKS} {feature}: {why}")


def allowed(reason: str) -> bool:
    """Whether a test of the kernel's side may be skipped in CI for this reason."""
    return any(reason.startswith(f"{LACKS} {feature}: ") and refusal(feature) for feature in FEATURES)
