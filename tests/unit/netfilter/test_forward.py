"""What the host routes."""

from calicod.model.steering import Nic
from calicod.netfilter.plan import manages
from tests.unit.netfilter.steered import chain, full

ETH0, ETH1 = Nic("eth0", 3, managed=True), Nic("eth1", 4, managed=True)
FORWARDS = Nic("eth0", 3, managed=True, forward=True)


def alone(*nics: Nic, **changes: object) -> tuple[str, ...]:
    """The chain of what bears no stamp, where there are no workloads."""
    steering = full(nics=nics, workload_prefixes=(), forwarding_workloads=(), **changes)
    assert manages(steering)
    return chain(steering, "fwd-unstamped")


def test_without_workloads_nothing_forwarded_is_touched() -> None:
    for changes in ({}, {"wildcard_host": True}):
        assert alone(ETH0, ETH1, **changes) == ()
        assert chain(full(nics=(ETH0, ETH1), workload_prefixes=(), forwarding_workloads=(), **changes), "fwd") == ()


def test_a_host_endpoint_with_policy_on_forward_is_asked_on_either_side_and_no_other() -> None:
    assert alone(FORWARDS, ETH1) == ("-i eth0 -g calicod-fwd-judge", "-o eth0 -g calicod-fwd-judge")


def test_a_wildcard_with_policy_on_forward_judges_all_but_what_passes_between_hosts_of_their_own_without() -> None:
    everything = alone(FORWARDS, ETH1, Nic("eth2", 5, managed=True), wildcard_host=True, wildcard_forward=True)

    assert everything == (
        "-i eth1 -o eth1 -j RETURN",
        "-i eth1 -o eth2 -j RETURN",
        "-i eth2 -o eth1 -j RETURN",
        "-i eth2 -o eth2 -j RETURN",
        "-g calicod-fwd-judge",
    )


def test_a_host_interface_that_is_named_like_a_workload_meets_only_those_that_are_judged() -> None:
    mgmt = Nic("cali-mgmt", 6, managed=True)

    assert chain(full(nics=(FORWARDS, mgmt), workload_prefixes=("cali",)), "fwd-unstamped") == (
        "-i cali-mgmt -o cali-mgmt -j RETURN",
        "-i cali-mgmt -o cali+ -g calicod-fwd-judge",
        "-i cali-mgmt -o eth0 -g calicod-fwd-judge",
        "-i cali-mgmt -j RETURN",
        "-i cali+ -g calicod-fwd-judge",
        "-i eth0 -g calicod-fwd-judge",
        "-o cali-mgmt -j RETURN",
        "-o cali+ -g calicod-fwd-judge",
        "-o eth0 -g calicod-fwd-judge",
    )
