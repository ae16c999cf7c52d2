"""What the host sends."""

from calicod.model.marks import LOCAL_ID, TO_WORKLOAD_ID
from calicod.model.steering import Nic
from tests.unit.netfilter.steered import chain, full

LATER = "-m conntrack --ctstate DNAT --ctdir ORIGINAL -g calicod-out-later"


def test_what_the_host_sends_to_workloads_is_stamped_for_that_alone() -> None:
    marks = full().marks
    free, local = (f"{marks.stamp(2, number) | marks.filter_stage:#x}/" for number in (TO_WORKLOAD_ID, LOCAL_ID))

    judged = ("out-judge", "out-others", "out-stamp", "in-others")
    assert free in chain(full(), "out-work-others")[-1]
    assert not any(local in rule for name in ("out-work", "out-work-others") for rule in chain(full(), name))
    assert not any(free in rule for name in judged for rule in chain(full(), name))
    assert not any(free in rule and "--ctdir REPLY" not in rule for rule in chain(full(), "in-judge"))
    assert [rule.split()[1] for rule in chain(full(), "in-reply") if free in rule] == ["cali+", "tap+"]


def test_what_the_host_sends_by_the_interface_of_another_host_endpoint_has_another_id() -> None:
    given = full(nics=(Nic("eth0", 3, managed=True), Nic("eth2", 4, managed=True, local_id=8)), workload_prefixes=())
    other, local = (f"{given.marks.stamp(2, number) | given.marks.filter_stage:#x}/" for number in (8, LOCAL_ID))

    for name, side in (("out-others", "-o"), ("out-stamp", "-o"), ("in-reply", "-i"), ("in-back", "-i")):
        speaking = [rule for rule in chain(given, name) if other in rule or local in rule]
        assert [rule.startswith(f"{side} eth2 ") for rule in speaking] == [True, False]
        assert [other in rule for rule in speaking] == [True, False]


def test_what_the_host_sends_to_itself_is_judged_once_on_its_way_out_and_has_its_own_stamp() -> None:
    given = full(nics=(), workload_prefixes=(), forwarding_workloads=(), loopback=7)
    stamp = f"{given.marks.stamp(2, 7) | given.marks.filter_stage:#x}"

    assert chain(given, "out") == (LATER, "-o lo -g calicod-out-judge")
    assert chain(given, "in") == ()
    assert chain(given, "out-others")[-4:-2] == (
        f"-o lo -m connmark --mark {stamp}/0x1ff3f00 -j RETURN",
        "-o lo -g calicod-out-itself",
    )
    assert chain(given, "out-reply")[:2] == chain(given, "out-others")[-4:-2]
    for name in ("out-stamp", "out-back"):
        assert f"-o lo -j CONNMARK --set-xmark {stamp}/0xfff3f00" in chain(given, name)


def test_a_wildcard_does_not_judge_what_the_host_sends_to_itself_but_an_endpoint_of_lo_does() -> None:
    apart = full(nics=(), workload_prefixes=(), forwarding_workloads=(), wildcard_host=True)

    assert chain(apart, "out") == (LATER, "-o lo -g calicod-out-judge", "-o lo -j RETURN", "-g calicod-out-judge")
    assert chain(full(loopback=None), "out-itself") == ()
