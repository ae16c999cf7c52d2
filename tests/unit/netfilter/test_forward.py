"""What the host routes."""

from calicod.netfilter.plan import manages
from tests.unit.netfilter.steered import chain, full


def test_without_workloads_nothing_forwarded_is_touched() -> None:
    hosts = full(workload_prefixes=(), forwarding_workloads=())

    assert manages(hosts)
    assert chain(hosts, "fwd") == ()
