"""Choosing an installer on hosts that lack something."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from calicod.errors import CalicodError
from calicod.netfilter import probe, program
from calicod.netfilter.iptables import IptablesInstaller
from tests.netns.world import World, inside, world
from tests.unit.netfilter.contract import steering
from tests.unit.netfilter.programs import family, only

pytestmark = pytest.mark.netns


@pytest.fixture
def here() -> Iterator[World]:
    with world("cd-", ["probe"]) as made, inside("cd-probe"):
        yield made


def ipv6(here: World, *, off: bool) -> None:
    for scope in ("all", "default"):
        here.sysctl("cd-probe", f"net/ipv6/conf/{scope}/disable_ipv6", int(off))


def without_ip6tables(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("iptables-nft-restore", "iptables-nft-save"):
        (directory / name).symlink_to(program.find(name) or "")
    only(directory, monkeypatch)


def test_ipv6_that_is_switched_off_needs_no_ip6tables_and_is_told(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ip6tables(tmp_path, monkeypatch)
    ipv6(here, off=True)

    installer = probe.choose("auto")
    installer.install(steering(1))

    assert installer.inspect().intact
    assert len(installer.notices) == 1
    assert "no IPv6 rules" in installer.notices[0]


def test_ipv6_that_is_on_without_ip6tables_is_refused(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ip6tables(tmp_path, monkeypatch)

    with pytest.raises(CalicodError) as raised:
        probe.choose("auto")

    assert (raised.value.code, raised.value.exit_code) == ("K011", 4)
    assert "IPv6 is on" in str(raised.value)


def test_with_ip6tables_both_families_are_steered_even_while_ipv6_is_off(here: World) -> None:
    ipv6(here, off=True)

    installer = probe.choose("auto")

    assert isinstance(installer, IptablesInstaller)
    assert [f.number for f in installer.families] == [4, 6]
    assert installer.notices == ()


def test_a_host_without_the_programs_is_told_what_to_install(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(tmp_path, monkeypatch)

    with pytest.raises(CalicodError, match="install the package `iptables`") as raised:
        probe.choose("auto")

    assert (raised.value.code, raised.value.exit_code) == ("K011", 4)


def test_a_kernel_that_takes_no_rule_is_told_with_its_own_words(
    here: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = "/bin/cat >/dev/null; echo 'line 3 failed: No chain/target/match by that name.' >&2; exit 1"
    for number in (4, 6):
        family(tmp_path, number, restore=refuse)
    only(tmp_path, monkeypatch)

    with pytest.raises(CalicodError, match="No chain/target/match by that name") as raised:
        probe.choose("iptables-nft")

    assert (raised.value.code, raised.value.exit_code) == ("K012", 4)
    assert "modprobe" in str(raised.value)


def test_a_process_without_the_capability_is_refused(here: World) -> None:
    code = "from calicod.netfilter import probe; probe.choose('auto')"
    command = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 1
    assert "K010 CAP_NET_ADMIN is missing" in done.stderr
