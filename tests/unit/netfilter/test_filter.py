"""What the hooks of filter share."""

from calicod.model.steering import Nic
from tests.unit.netfilter.steered import chain, full


def test_several_workers_share_a_range_of_queues_for_each_direction() -> None:
    rules = chain(full(workers=3, queue_base=100), "queue")

    assert rules[-2:] == (
        "-m conntrack --ctdir REPLY -j NFQUEUE --queue-balance 103:105",
        "-j NFQUEUE --queue-balance 100:102",
    )


def test_failing_open_passes_what_nobody_reads() -> None:
    assert all(rule.endswith("--queue-bypass") for rule in chain(full(fail_open=True), "queue")[-2:])
    assert not any("--queue-bypass" in rule for rule in chain(full(), "queue"))


def test_where_policy_judges_early_a_packet_without_connection_comes_up_as_such() -> None:
    told = "-m conntrack --ctstate UNTRACKED -j MARK --set-xmark 0x10000000/0x30000000"
    plain = full(nics=(Nic("eth0", 3, managed=True),), loopback_untracked=False)

    assert chain(full(), "queue")[-3] == told
    assert told not in chain(plain, "queue")
