"""Switching accounting on; connections themselves are tried in tests/netns/test_conntrack.py."""

from pathlib import Path

import pytest

from calicod.errors import CalicodError
from calicod.netfilter.conntrack import Setting, enable_accounting


def sysctls(directory: Path, **values: str) -> Path:
    for name, value in values.items():
        (directory / name).write_text(f"{value}\n")
    return directory


def test_what_was_off_is_switched_on_and_told(tmp_path: Path) -> None:
    root = sysctls(tmp_path, nf_conntrack_acct="0", nf_conntrack_timestamp="1", nf_conntrack_events="2")

    assert enable_accounting(root) == (Setting("nf_conntrack_acct", "0", "1"),)
    assert (root / "nf_conntrack_acct").read_text() == "1"
    assert (root / "nf_conntrack_events").read_text() == "2\n"


def test_events_that_are_switched_off_are_switched_on(tmp_path: Path) -> None:
    root = sysctls(tmp_path, nf_conntrack_acct="1", nf_conntrack_timestamp="1", nf_conntrack_events="0")

    assert enable_accounting(root) == (Setting("nf_conntrack_events", "0", "1"),)


def test_a_sysctl_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "nf_conntrack_timestamp").mkdir()
    root = sysctls(tmp_path, nf_conntrack_acct="1")

    (setting,) = enable_accounting(root)

    assert (setting.name, setting.now) == ("nf_conntrack_timestamp", "")
    assert setting.error == "Is a directory"


def test_a_kernel_without_conntrack_is_told(tmp_path: Path) -> None:
    with pytest.raises(CalicodError, match="modprobe nf_conntrack") as raised:
        enable_accounting(tmp_path / "gone")

    assert (raised.value.code, raised.value.exit_code) == ("K018", 4)
