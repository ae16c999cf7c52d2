"""Choosing an installer, as far as it needs no kernel; the rest is in tests/netns/test_probe.py."""

import pytest

from calicod.errors import CalicodError
from calicod.netfilter import probe
from calicod.netfilter.table import parse_save

OURS = (parse_save("*filter\n:calicod-in - [0:0]\nCOMMIT\n"),)
OTHERS = (parse_save("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n"),)
POLICY = (parse_save("*filter\n:INPUT DROP [0:0]\nCOMMIT\n"),)
EMPTY = (parse_save("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"),)


@pytest.mark.parametrize("setting", ["nft", "bpf", ""])
def test_a_setting_that_is_not_available_is_refused_with_those_that_are(setting: str) -> None:
    with pytest.raises(CalicodError) as raised:
        probe.choose(setting)

    assert (raised.value.code, raised.value.exit_code) == ("K014", 4)
    assert "auto, iptables-nft, iptables-legacy" in str(raised.value)


@pytest.mark.parametrize(
    ("nft", "legacy", "first"),
    [
        (EMPTY, EMPTY, "nft"),
        (EMPTY, OTHERS, "legacy"),
        (EMPTY, POLICY, "legacy"),
        (OTHERS, OTHERS, "nft"),
        (OTHERS, OURS, "legacy"),
        (OURS, OTHERS, "nft"),
        ((), (), "nft"),
    ],
)
def test_ours_come_before_others_and_nft_before_legacy(nft: object, legacy: object, first: str) -> None:
    assert probe._preferred(["nft", "legacy"], {"nft": nft, "legacy": legacy})[0] == first
