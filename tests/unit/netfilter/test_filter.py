"""What the hooks of filter share."""

import pytest

from calicod.model.steering import FlowKind, Nic
from tests.unit.compiler.build import addr
from tests.unit.netfilter.steered import chain, full


def test_several_workers_share_a_range_of_queues_for_each_direction() -> None:
    rules = chain(full(workers=3, queue_base=100), "ask")

    assert rules[-2:] == (
        "-m conntrack --ctdir REPLY -j NFQUEUE --queue-balance 103:105",
        "-j NFQUEUE --queue-balance 100:102",
    )


def test_failing_open_passes_what_nobody_reads() -> None:
    assert all(rule.endswith("--queue-bypass") for rule in chain(full(fail_open=True), "ask")[-2:])
    assert not any("--queue-bypass" in rule for rule in chain(full(), "ask"))


def test_where_policy_judges_early_a_packet_without_connection_comes_up_as_such() -> None:
    told = "-m conntrack --ctstate UNTRACKED -j MARK --set-xmark 0x10000000/0x30000000"
    plain = full(nics=(Nic("eth0", 3, managed=True),), loopback_untracked=False)

    assert chain(full(), "ask")[-3] == told
    assert told not in chain(plain, "ask")


def test_what_a_flood_made_the_kernel_remember_is_refused_before_it_is_queued() -> None:
    four = FlowKind("eth0", "cali1", 17, addr("192.0.2.1"), addr("10.65.0.2"), 53)
    six = FlowKind("eth0", "", 6, addr("2001:db8::1"), addr("2001:db8::2"), 80)
    given = full(denied=(four, six))

    assert chain(given, "denied", 4) == (
        "-s 192.0.2.1/32 -d 10.65.0.2/32 -i eth0 -o cali1 -p udp -m udp --dport 53 -j DROP",
    )
    ends, syn = "-s 2001:db8::1/128 -d 2001:db8::2/128 -i eth0", "--tcp-flags FIN,SYN,RST,ACK SYN"
    assert chain(given, "denied", 6) == (f"{ends} -p tcp -m tcp --dport 80 {syn} -j DROP",)
    assert "-m conntrack --ctstate NEW -j calicod-denied" in chain(given, "ask")
    assert not any("calicod-denied" in rule for rule in chain(full(), "ask"))


def test_what_an_early_rule_has_allowed_is_not_asked_of_the_memory_of_a_flood() -> None:
    one = FlowKind("eth0", "cali1", 17, addr("192.0.2.1"), addr("10.65.0.2"), 53)
    given = full(nics=(Nic("eth0", 3, managed=True, prednat=True),), denied=(one,))
    unspared = f"-m mark --mark 0x0/{given.marks.evidence:#x}"

    assert [rule for rule in chain(given, "ask") if "calicod-denied" in rule] == [
        f"{unspared} -m conntrack --ctstate NEW -j calicod-denied"
    ]


def test_what_the_kernel_may_allow_by_itself_is_logged_and_stamped_as_a_verdict_would() -> None:
    four = FlowKind("eth0", "cali1", 6, addr("192.0.2.1"), addr("10.65.0.2"), 80)
    six = FlowKind("eth1", "", 6, addr("2001:db8::1"), addr("2001:db8::2"), 80)
    nics = (Nic("eth0", 3, managed=False), Nic("eth1", 4, managed=True))
    given = full(nics=nics, allowed=(four, six), log_group=5200)
    known, syn = given.marks.judged | given.marks.filter_stage, "--tcp-flags FIN,SYN,RST,ACK SYN"

    new = f"-m mark --mark 0x0/0xf0000000 -m conntrack --ctstate NEW -m connmark --mark 0x0/{known:#x}"
    new = f"-p tcp -m tcp {syn} {new}"
    assert chain(given, "fwd", 4)[-2:] == (f"{new} -g calicod-allowed", "-g calicod-fwd-unstamped")
    assert "calicod-allowed" not in "".join((*chain(given, "fwd", 6), *chain(given, "queue", 4)))
    assert chain(given, "allowed", 6) == ("-g calicod-fwd-unstamped",)
    assert chain(given, "allowed", 4) == (
        f"-s 192.0.2.1/32 -d 10.65.0.2/32 -i eth0 -o cali1 -p tcp -m tcp --dport 80 {syn} -g calicod-fwd-tell",
        "-g calicod-fwd-unstamped",
    )
    ends = "-s 2001:db8::1/128 -d 2001:db8::2/128 -i eth1"
    assert chain(given, "in-allowed", 6) == (
        f"{ends} -p tcp -m tcp --dport 80 {syn} -g calicod-in-tell",
        "-g calicod-queue",
    )
    for name in ("in-host", "in-work"):
        assert chain(given, name, 6)[-2:] == (f"{new} -g calicod-in-allowed", "-g calicod-queue")
        assert "calicod-in-allowed" not in "".join(chain(given, name, 4))
    logged = "-j NFLOG --nflog-group 5200 --nflog-size 80 --nflog-threshold 32"
    for name, family, interface in (("fwd", 4, 3), ("in", 6, 4)):
        stamp = given.marks.stamp(given.generation, interface) | given.marks.filter_stage
        stamped = f"-j CONNMARK --set-xmark {stamp:#x}/{given.marks.connection_mask:#x}"
        assert chain(given, f"{name}-tell", family) == (logged, stamped)


def test_what_the_kernel_allows_on_several_paths_is_stamped_for_its_own() -> None:
    kinds = [
        FlowKind(name, "cali1", 6, addr("192.0.2.1"), addr("10.65.0.2"), 80) for name in ("eth0", "cali2", "cali3")
    ]
    given = full(allowed=tuple(kinds), log_group=5200)
    alone = full(allowed=tuple(kinds[1:]), log_group=5200)

    assert chain(given, "fwd-tell")[1:] == chain(given, "fwd-stamp")[3:]
    assert len(chain(alone, "fwd-tell")) == 2
    assert chain(alone, "fwd-tell")[-1] in {rule.removeprefix("-i cali+ ") for rule in chain(alone, "fwd-stamp")}


def test_the_kernel_asks_about_all_where_it_remembers_nothing() -> None:
    assert chain(full(log_group=5200), "queue")[-1] == "-g calicod-ask"
    assert not any("calicod-allowed" in rule for rule in chain(full(log_group=5200), "fwd"))
    assert chain(full(), "fwd-tell") == chain(full(), "in-tell") == ()


@pytest.mark.parametrize("lacking", ["a group", "plain stages"])
def test_where_it_could_not_be_told_or_meets_policy_before_dnat_the_kernel_allows_nothing_by_itself(lacking) -> None:
    one = FlowKind("eth0", "cali1", 6, addr("192.0.2.1"), addr("10.65.0.2"), 80)
    nics = (Nic("eth0", 3, managed=True, prednat=lacking == "plain stages"),)
    group = None if lacking == "a group" else 5200
    given = full(nics=nics, allowed=(one,), log_group=group, wildcard_prednat=False)

    assert chain(given, "allowed") == ("-g calicod-fwd-unstamped",)
    assert not any("calicod-allowed" in rule for rule in chain(given, "fwd"))


def test_a_connection_that_a_failsafe_lets_pass_is_logged_once() -> None:
    mark, mask = full().marks.failsafe()
    once = f"-m conntrack --ctstate NEW -m connmark ! --mark {mark:#x}/{mask:#x}"
    target = "-j NFLOG --nflog-prefix failsafe --nflog-group 7 --nflog-size 80 --nflog-threshold 32"

    assert chain(full(log_group=7), "failsafe")[0] == f"{once} {target}"
    assert len(chain(full(log_group=7), "failsafe")) == len(chain(full(), "failsafe")) + 1
