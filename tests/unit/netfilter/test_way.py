"""What each way of steering finds in the kernel; whether the kernel takes it is in tests/netns/test_probe.py."""

from pathlib import Path

import pytest

from calicod.netfilter import way
from calicod.netfilter.way import IptablesWay, NftWay, ways
from tests.unit.netfilter.programs import family, only, script


def test_iptables_knows_where_our_rules_are(tmp_path: Path) -> None:
    shown = "echo '*raw\n:calicod-raw - [0:0]\nCOMMIT'"

    found = IptablesWay("nft", (family(tmp_path), family(tmp_path, 6, save=shown)))

    assert found.name == "iptables-nft"
    assert found.ours == ("iptables-nft ipv6",)


def test_a_variant_that_the_kernel_does_not_have_has_no_rules(tmp_path: Path) -> None:
    found = IptablesWay("legacy", (family(tmp_path, save="exit 3"),))

    assert (found.ours, found.used) == ((), False)


def test_nft_knows_its_table_and_those_of_others() -> None:
    assert NftWay("nft", ()).ours == ()
    assert not NftWay("nft", ()).used
    assert NftWay("nft", ["inet calicod"]).ours == ("nft inet calicod",)
    assert NftWay("nft", ["ip calicod"]).ours == ()
    assert NftWay("nft", ["inet firewalld"]).used


def test_tables_of_iptables_nft_are_no_use_of_native_nftables() -> None:
    assert not NftWay("nft", ["ip filter", "ip6 mangle", "bridge nat"]).used
    assert NftWay("nft", ["inet filter"]).used


def test_only_what_has_programs_here_is_a_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(tmp_path, monkeypatch)
    assert ways() == {}

    family(tmp_path)
    script(tmp_path, "nft", "exit 1")

    assert list(ways()) == ["iptables-nft", "nft"]


def test_the_trial_of_nft_tries_what_every_steering_may_need() -> None:
    assert way.EVERYTHING["fail_open"]
    assert way.EVERYTHING["workload_prefixes"]
