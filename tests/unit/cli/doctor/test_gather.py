"""What is read, one reader after the other, in a namespace of its own. The whole: tests/netns/test_doctor.py."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from calicod.cli.doctor import gather as module
from calicod.cli.doctor.facts import Holder, Unit
from calicod.cli.doctor.gather import (
    configured,
    default_routes,
    free,
    gather,
    holder,
    kernel,
    reader,
    saved,
    synchronised,
    sysctls,
    unit,
)
from calicod.daemon.instance import lock
from calicod.errors import CalicodError
from calicod.netfilter import probe
from calicod.netfilter.links import links
from tests.netns.world import World, inside, run, world
from tests.unit.cli.test_teardown import held

pytestmark = pytest.mark.netns


@pytest.fixture
def here() -> Iterator[World]:
    with world("cd-g", ["host"]) as made, inside(made.namespaces[0]):
        yield made


def test_without_the_permission_nothing_is_looked_at(monkeypatch):
    def refuse() -> None:
        raise CalicodError("K010", "CAP_NET_ADMIN is missing", exit_code=4)

    monkeypatch.setattr(probe, "require_capability", refuse)

    with pytest.raises(CalicodError):
        gather(None)


def test_a_configuration_with_errors_gives_the_defaults_and_why(tmp_path):
    (tmp_path / "c.yaml").write_text("workers: 0\n")

    settings, why = configured(tmp_path / "c.yaml")

    assert (settings.workers, "c.yaml:1" in why) == (1, True)


def test_this_kernel_tells_its_release():
    assert kernel().release == os.uname().release


def test_a_run_directory_that_nobody_holds_has_no_daemon(tmp_path):
    (tmp_path / "lock").write_text("1\n")

    assert (holder(tmp_path), holder(tmp_path / "absent")) == (None, None)


def test_the_holder_of_a_run_directory_is_told_and_keeps_its_lock(tmp_path, here):
    with held(tmp_path) as process:
        found = holder(tmp_path)

        assert found is not None
        assert (found.pid, found.family, found.elsewhere) == (process.pid, (process.pid,), False)
        assert "there is no such socket" in found.silence
        with pytest.raises(CalicodError):
            lock(tmp_path / "lock")


def test_a_daemon_of_another_namespace_is_told_as_that(tmp_path, here):
    with held(tmp_path, elsewhere=True):
        found = holder(tmp_path)

        assert found is not None and found.elsewhere


def test_a_reader_that_is_gone_is_nobody():
    assert reader(4_000_000_000) == Holder()


def test_sysctls_are_those_of_this_namespace_and_its_interfaces(here):
    run("ip", "link", "add", "v0.1", "type", "veth", "peer", "name", "v1")
    here.sysctl(here.namespaces[0], "net/ipv6/conf/v0.1/accept_ra", 2)

    found = sysctls(links())

    assert found["net/ipv6/conf/v0.1/accept_ra"] == "2"
    assert int(found["net/netfilter/nf_conntrack_max"]) > 0


def test_default_routes_of_both_families_are_found_and_no_others(here):
    run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    here.address(here.namespaces[0], "v0", "192.0.2.1/24", "fd00::1/64")
    for name in ("v0", "v1"):
        run("ip", "link", "set", name, "up")
    run("ip", "route", "add", "default", "via", "192.0.2.2")
    run("ip", "route", "add", "0.0.0.0/1", "via", "192.0.2.2")
    run("ip", "-6", "route", "add", "default", "dev", "v1")

    assert set(default_routes()) == {(4, "v0"), (6, "v1")}


def test_room_is_told_of_a_directory_that_will_be_there(tmp_path):
    assert free(tmp_path / "a" / "b") == pytest.approx(free(tmp_path), rel=0.1)


def test_the_kernel_says_whether_its_clock_is_kept_right():
    assert synchronised() in (True, False)


def test_a_unit_is_told_from_the_files_of_systemd(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "UNITS", (tmp_path,))
    (tmp_path / "multi-user.target.wants").mkdir()
    (tmp_path / "a.service").touch()
    (tmp_path / "b.service").touch()
    (tmp_path / "multi-user.target.wants" / "b.service").symlink_to(tmp_path / "b.service")

    assert [unit(f"{name}.service") for name in "abc"] == [
        Unit(installed=True),
        Unit(installed=True, enabled=True),
        Unit(),
    ]


def test_what_is_saved_for_the_next_boot_is_listed(tmp_path):
    (tmp_path / "iptables-restore").touch()

    assert (saved(tmp_path), saved(tmp_path / "absent")) == (("iptables-restore",), ())


def test_nothing_is_left_in_the_kernel(here):
    run("iptables-nft", "-A", "INPUT", "-j", "ACCEPT")
    before = subprocess.run(["iptables-nft-save"], capture_output=True, text=True, check=True).stdout

    facts = gather(None)

    after = subprocess.run(["iptables-nft-save"], capture_output=True, text=True, check=True).stdout
    assert facts.choice.name == "iptables-nft"
    assert facts.rules["iptables-nft ipv4"]["filter"]["INPUT"].rules == ("-j ACCEPT",)
    assert [line for line in after.splitlines() if "-A" in line] == [l for l in before.splitlines() if "-A" in l]
    assert "calicod" not in after
