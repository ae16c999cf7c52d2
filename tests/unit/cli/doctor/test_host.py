from pathlib import Path

import pytest
from msgspec.structs import replace

from calicod.cli.doctor.facts import Daemon, Unit
from calicod.daemon.settings import Settings
from calicod.errors import Diagnostic
from tests.unit.cli.doctor.build import HOST, found, one, status


def test_a_configuration_with_errors_fails_in_one_line():
    finding = one("configuration", misconfigured="c.yaml:1:1: C002 no\n  hint: yes")

    assert (finding.state, "\n" in finding.message) == ("fail", False)


def test_what_cannot_be_enforced_is_told_with_the_command_that_tells_all():
    finding = one("policies", rejected=(Diagnostic(code="R005", message="ports", kind="NetworkPolicy", file="a.yaml"),))

    assert (finding.state, "1 resource is rejected" in finding.message) == ("warn", True)
    assert "calicod validate /etc/calicod/policies.d" in finding.mend


@pytest.mark.parametrize(
    ("daemon", "state", "word"),
    [
        (None, "ok", "not running"),
        (Daemon(7, status=status()), "ok", "healthy, revision 3"),
        (Daemon(7, status=status(healthy=False, state="degraded", reasons=("a file is broken",))), "warn", "is broken"),
        (Daemon(7, silence="no answer"), "fail", "no answer"),
        (Daemon(7, elsewhere=True), "fail", "another network namespace"),
    ],
)
def test_the_daemon_is_told_as_it_answers(daemon, state, word):
    finding = one("daemon", daemon=daemon)

    assert (finding.state, word in finding.message) == (state, True)


@pytest.mark.parametrize(
    ("unit", "word"), [(Unit(), "not installed"), (Unit(installed=True), "not enabled"), (None, "does not run")]
)
def test_a_daemon_that_no_boot_starts_is_told(unit, word):
    host = replace(HOST, systemd=False) if unit is None else replace(HOST, service=unit)

    finding = one("unit", host=host)

    assert (finding.state, word in finding.message) == ("ok" if unit is None else "warn", True)


@pytest.mark.parametrize(
    ("change", "state", "word"),
    [
        ({"boot": Unit()}, "warn", "make install"),
        ({"boot": Unit(installed=True)}, "warn", "systemctl enable calicod-boot"),
        ({"boot": Unit(), "service": Unit(installed=True)}, "ok", "not started at boot"),
        ({"saved": ("iptables-restore",)}, "ok", "last in force (iptables-restore)"),
        ({}, "ok", "made from the policy files"),
    ],
)
def test_what_is_open_at_boot_is_told(change, state, word):
    finding = one("boot", host=replace(HOST, **change))

    assert (finding.state, word in f"{finding.message} {finding.mend}") == (state, True)


def test_under_failure_mode_open_nothing_is_called_closed():
    host = replace(HOST, saved=("iptables-restore",))

    assert "starts open" in one("boot", host=host, settings=Settings(node_name="n1", failure_mode="open")).message


def test_a_directory_that_is_nearly_full_is_told_with_what_is_left():
    free = {Path("/var/log/calicod"): 99 << 20, Path("/var/lib/calicod"): 64 << 20}

    told = found("disk", host=replace(HOST, free=free))

    assert [finding.message[:30] for finding in told] == ["/var/log/calicod has 99 MiB left"[:30]]


def test_a_clock_that_cannot_be_right_is_told():
    assert one("clock", host=replace(HOST, now=1.0, installed_at=2.0)).state == "warn"
    assert "not synchronised" in one("clock", host=replace(HOST, synchronised=False)).message
    assert one("clock", host=replace(HOST, synchronised=None)).state == "ok"
