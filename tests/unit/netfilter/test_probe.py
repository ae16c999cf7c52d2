"""Choosing an installer, as far as it needs no kernel; the rest is in tests/netns/test_probe.py."""

from pathlib import Path

import pytest

from calicod.errors import CalicodError
from calicod.netfilter import probe
from calicod.netfilter.probe import SETTINGS, preferred
from calicod.netfilter.way import IptablesWay, NftWay, Way
from tests.unit.netfilter.programs import family

SAVED = {
    "ours": "*filter\n:calicod-in - [0:0]\nCOMMIT",
    "others": "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\nCOMMIT",
    "policy": "*filter\n:INPUT DROP [0:0]\nCOMMIT",
    "empty": "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT",
}
NATIVE = {"ours": ("inet calicod",), "others": ("inet firewalld",), "empty": ()}


@pytest.mark.parametrize("setting", ["bpf", "iptables", ""])
def test_a_setting_that_is_not_available_is_refused_with_those_that_are(setting: str) -> None:
    with pytest.raises(CalicodError) as raised:
        probe.choose(setting)

    assert (raised.value.code, raised.value.exit_code) == ("K014", 4)
    assert "auto, iptables-nft, iptables-legacy, nft" in str(raised.value)


def way(directory: Path, name: str, state: str) -> Way:
    """A way of steering that finds rules of ours, of others or none in the kernel."""
    if name == "nft":
        return NftWay("nft", NATIVE[state])
    return IptablesWay(name, (family(directory, save=f"echo '{SAVED[state]}'"),))


@pytest.mark.parametrize(
    ("legacy", "native", "first"),
    [
        ("empty", "empty", "iptables-legacy"),
        ("ours", "others", "iptables-legacy"),
        ("others", "others", "iptables-legacy"),
        ("policy", "others", "iptables-legacy"),
        ("empty", "others", "nft"),
        ("others", "ours", "nft"),
    ],
)
def test_ours_come_before_others_and_iptables_before_nft(tmp_path: Path, legacy: str, native: str, first: str) -> None:
    assert preferred([way(tmp_path, "legacy", legacy), way(tmp_path, "nft", native)])[0].name == first


def test_auto_knows_every_way() -> None:
    assert set(SETTINGS["auto"]) == SETTINGS.keys() - {"auto"}


@pytest.mark.parametrize(
    ("restore", "logs"),
    [("cat >/dev/null", True), ("! grep -q NFLOG || { echo 'no target NFLOG' >&2; exit 2; }", False)],
)
def test_a_kernel_without_rules_that_log_is_steered_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restore: str, logs: bool
) -> None:
    families = tuple(family(tmp_path, number, restore=restore) for number in (4, 6))
    found = IptablesWay("nft", families)
    monkeypatch.setattr(probe, "ways", lambda: {found.name: found})

    assert probe.choose("auto").logs is logs
