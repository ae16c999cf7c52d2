import pytest

from calicod.cli.doctor.facts import Daemon
from tests.unit.cli.doctor.build import TRACKING, one


def tracking(**values: int) -> dict[str, str]:
    return TRACKING | {f"net/netfilter/nf_conntrack_{name}": str(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("size", "count", "state", "word"),
    [
        (100_000, 69_999, "ok", "69 %"),
        (100_000, 70_000, "warn", "filling up"),
        (100_000, 95_000, "fail", "SSH too"),
        (65_535, 0, "warn", "small"),
        (0, 0, "warn", "small"),
    ],
)
def test_a_table_is_judged_by_size_and_fill(size, count, state, word):
    finding = one("conntrack", sysctls=tracking(max=size, count=count))

    assert (finding.state, word in finding.message) == (state, True)


def test_a_kernel_without_connection_tracking_fails():
    assert one("conntrack", sysctls={}).state == "fail"


def test_connections_met_in_their_middle_are_told():
    finding = one("conntrack-pick-up", sysctls=tracking(tcp_loose=1))

    assert (finding.state, "nf_conntrack_tcp_loose=0" in finding.mend) == ("warn", True)


def test_accounts_that_are_off_are_the_daemons_business_until_it_runs():
    off = tracking(acct=0, events=0)

    before, beside = one("conntrack-accounts", sysctls=off), one("conntrack-accounts", sysctls=off, daemon=Daemon(7))

    assert (before.state, beside.state) == ("ok", "warn")
    assert "nf_conntrack_acct, nf_conntrack_events" in beside.message
