"""What the hooks of filter share."""

from calicod.model.steering import Denied, Nic
from tests.unit.compiler.build import addr
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


def test_what_a_flood_made_the_kernel_remember_is_refused_before_it_is_queued() -> None:
    four = Denied("eth0", "cali1", 17, addr("192.0.2.1"), addr("10.65.0.2"), 53)
    six = Denied("eth0", "", 6, addr("2001:db8::1"), addr("2001:db8::2"), 80)
    given = full(denied=(four, six))

    assert chain(given, "denied", 4) == (
        "-s 192.0.2.1/32 -d 10.65.0.2/32 -i eth0 -o cali1 -p udp -m udp --dport 53 -j DROP",
    )
    ends, syn = "-s 2001:db8::1/128 -d 2001:db8::2/128 -i eth0", "--tcp-flags FIN,SYN,RST,ACK SYN"
    assert chain(given, "denied", 6) == (f"{ends} -p tcp -m tcp --dport 80 {syn} -j DROP",)
    assert "-m conntrack --ctstate NEW -j calicod-denied" in chain(given, "queue")
    assert not any("calicod-denied" in rule for rule in chain(full(), "queue"))


def test_what_an_early_rule_has_allowed_is_not_asked_of_the_memory_of_a_flood() -> None:
    one = Denied("eth0", "cali1", 17, addr("192.0.2.1"), addr("10.65.0.2"), 53)
    given = full(nics=(Nic("eth0", 3, managed=True, prednat=True),), denied=(one,))
    unspared = f"-m mark --mark 0x0/{given.marks.evidence:#x}"

    assert [rule for rule in chain(given, "queue") if "calicod-denied" in rule] == [
        f"{unspared} -m conntrack --ctstate NEW -j calicod-denied"
    ]
