"""The rules for one Steering, whole: the golden files are what a reviewer reads.

After a deliberate change: python -m tests.unit.netfilter.test_chains writes them anew.
"""

from pathlib import Path

import pytest

from calicod.model.marks import LOCAL_ID, TO_WORKLOAD_ID, layout
from calicod.model.network import parse_network
from calicod.model.steering import FailsafePort, ForwardingWorkload, Nic, Steering
from calicod.netfilter.chains import ABOUT, DROPS, JUMPS, manages, tables
from calicod.netfilter.table import LONGEST_NAME, PREFIX, Chain, Table, fill

GOLDEN = Path(__file__).parent / "golden"
TCP, UDP = 6, 17


def full(**changes: object) -> Steering:
    """Every feature at once."""
    net4, net6 = (parse_network(text)[0] for text in ("10.9.0.0/16", "fd09::/64"))
    values = {
        "nics": (Nic("eth0", 3, managed=True), Nic("eth1", 4, managed=False), Nic("cali-mgmt", 6, managed=True)),
        "workload_prefixes": ("cali", "tap"),
        "forwarding_workloads": (ForwardingWorkload("caliw3", 5, (net4, net6)),),
        "failsafe_inbound": (FailsafePort(TCP, 22), FailsafePort(UDP, 68, net4), FailsafePort(TCP, 179, net6)),
        "failsafe_outbound": (FailsafePort(UDP, 53), FailsafePort(TCP, 2379)),
    }
    return Steering(**({"generation": 2} | values | changes))


def text(steering: Steering, family: int) -> str:
    return "".join(fill(table, {}) for table in tables(steering, family))


def chain(steering: Steering, name: str, family: int = 4) -> tuple[str, ...]:
    """The rules of one chain of the filter table."""
    return next(c.rules for c in part(steering, "filter", family).chains if c.name == PREFIX + name)


def part(steering: Steering, name: str, family: int = 4) -> Table:
    return next(table for table in tables(steering, family) if table.name == name)


@pytest.mark.parametrize("family", [4, 6])
def test_the_whole_text_is_the_golden_one(family: int) -> None:
    assert text(full(), family) == (GOLDEN / f"ipv{family}.rules").read_text()


def test_marks_are_cleared_before_anything_is_judged() -> None:
    assert [table.name for table in tables(full(), 4)] == ["raw", "mangle", "filter"]


def test_nothing_managed_leaves_empty_chains_and_the_generation() -> None:
    for table in tables(Steering(generation=6, nics=(Nic("eth0", 3, managed=False),)), 4):
        assert {c.name: c.rules for c in table.chains if c.rules} == {
            "raw": {"calicod-drop-spoofed": ("-j DROP",)},
            "mangle": {},
            "filter": {
                ABOUT: ('-m comment --comment "generation 6" -j RETURN',),
                "calicod-drop-invalid": ("-j DROP",),
            },
        }[table.name]


def test_the_chains_are_the_same_whatever_is_managed() -> None:
    for family in (4, 6):
        empty = [[c.name for c in table.chains] for table in tables(Steering(generation=1), family)]
        assert [[c.name for c in table.chains] for table in tables(full(), family)] == empty


def test_a_stamp_is_never_trusted_for_a_workloads_link_local_address() -> None:
    rules = chain(full(), "in-judge", 6)
    trusting = [number for number, rule in enumerate(rules) if "connmark" in rule and "cali-mgmt" not in rule]

    assert rules[trusting[0] - 2 : trusting[0]] == (
        "-s fe80::/10 -i cali+ -g calicod-in-work",
        "-s fe80::/10 -i tap+ -g calicod-in-work",
    )


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


def test_only_filter_changes_with_the_generation() -> None:
    assert part(full(), "raw") == part(full(generation=3), "raw")
    assert part(full(), "mangle") == part(full(generation=3), "mangle")
    assert part(full(), "filter") != part(full(generation=3), "filter")


def test_several_workers_share_a_range_of_queues_for_each_direction() -> None:
    rules = chain(full(workers=3, queue_base=100), "queue")

    assert rules[-2:] == (
        "-m conntrack --ctdir REPLY -j NFQUEUE --queue-balance 103:105",
        "-j NFQUEUE --queue-balance 100:102",
    )


def test_failing_open_passes_what_nobody_reads() -> None:
    assert all(rule.endswith("--queue-bypass") for rule in chain(full(fail_open=True), "queue")[-2:])
    assert not any("--queue-bypass" in rule for rule in chain(full(), "queue"))


def test_invalid_packets_go_to_the_queue_when_they_are_not_to_be_dropped() -> None:
    assert "--ctstate INVALID" in text(full(), 4)
    assert "--ctstate INVALID" not in text(full(drop_invalid=False), 4)


def test_a_wildcard_host_leaves_lo_alone_and_comes_after_the_workloads() -> None:
    assert chain(full(wildcard_host=True), "in")[-4:] == (
        "-i cali+ -g calicod-in-judge",
        "-i tap+ -g calicod-in-judge",
        "-i lo -j RETURN",
        "-g calicod-in-judge",
    )
    assert chain(full(wildcard_host=True), "out")[-2:] == ("-o lo -j RETURN", "-g calicod-out-judge")


def test_without_workloads_nothing_forwarded_is_touched() -> None:
    hosts = full(workload_prefixes=(), forwarding_workloads=())

    assert manages(hosts)
    assert chain(hosts, "fwd") == ()


def test_a_forwarding_workload_is_exempt_only_for_its_prefixes_of_this_family() -> None:
    raw = {family: part(full(), "raw", family).chains[1].rules for family in (4, 6)}

    assert [rule for rule in raw[4] if "caliw3" in rule] == ["-s 10.9.0.0/16 -i caliw3 -j RETURN"]
    assert [rule for rule in raw[6] if "caliw3" in rule] == ["-s fd09::/64 -i caliw3 -j RETURN"]


def test_other_masks_make_other_marks() -> None:
    other = text(full(marks=layout(0xF, 0x3FFF0)), 4)

    assert "0xf0000000" not in other
    assert "-j MARK --set-xmark 0x0/0xf" in other
    assert "--set-xmark 0x0/0x3fff0" in other


def test_names_fit_and_are_ours() -> None:
    for table in tables(full(), 4):
        for made in table.chains:
            assert made.name.startswith(PREFIX)
            assert len(made.name) <= LONGEST_NAME
        assert table.jumps == JUMPS[table.name]


def test_every_drop_that_is_counted_is_the_only_rule_of_a_lasting_chain() -> None:
    for name, where in DROPS.values():
        found = next(c for c in part(full(), name).chains if c.name == where)
        assert found == Chain(where, ("-j DROP",), lasting=True)


if __name__ == "__main__":
    for number in (4, 6):
        (GOLDEN / f"ipv{number}.rules").write_text(text(full(), number))
