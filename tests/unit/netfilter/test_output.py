"""What the host sends."""

from calicod.model.marks import LOCAL_ID, TO_WORKLOAD_ID
from calicod.model.steering import Nic
from tests.unit.netfilter.steered import chain, full


def test_what_the_host_sends_to_workloads_is_stamped_for_that_alone() -> None:
    marks = full().marks
    free, local = (f"{marks.stamp(2, number) | marks.filter_stage:#x}/" for number in (TO_WORKLOAD_ID, LOCAL_ID))

    assert free in chain(full(), "out-work")[-1]
    assert not any(local in rule for rule in chain(full(), "out-work"))
    assert not any(free in rule for name in ("out-judge", "out-stamp", "in-judge") for rule in chain(full(), name))
    assert [rule.split()[1] for rule in chain(full(), "in-reply") if free in rule] == ["cali+", "tap+"]


def test_what_the_host_sends_by_the_interface_of_another_host_endpoint_has_another_id() -> None:
    given = full(nics=(Nic("eth0", 3, managed=True), Nic("eth2", 4, managed=True, local_id=7)), workload_prefixes=())
    other, local = (f"{given.marks.stamp(2, number) | given.marks.filter_stage:#x}/" for number in (7, LOCAL_ID))

    for name, side in (("out-judge", "-o"), ("out-stamp", "-o"), ("in-reply", "-i"), ("in-back", "-i")):
        speaking = [rule for rule in chain(given, name) if other in rule or local in rule]
        assert [rule.startswith(f"{side} eth2 ") for rule in speaking] == [True, False]
        assert [other in rule for rule in speaking] == [True, False]
