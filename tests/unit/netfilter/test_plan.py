"""The rules that every hook shares."""

from calicod.model.marks import layout
from calicod.netfilter.plan import DROP_INVALID, DROPS
from calicod.netfilter.table import Chain
from tests.unit.netfilter.steered import chain, full, part, text


def test_a_wildcard_host_leaves_lo_alone_and_comes_after_the_workloads() -> None:
    assert chain(full(wildcard_host=True), "in")[-4:] == (
        "-i cali+ -g calicod-in-judge",
        "-i tap+ -g calicod-in-judge",
        "-i lo -j RETURN",
        "-g calicod-in-judge",
    )
    assert chain(full(wildcard_host=True), "out")[-2:] == ("-o lo -j RETURN", "-g calicod-out-judge")


def test_invalid_packets_go_to_the_queue_when_they_are_not_to_be_dropped() -> None:
    assert f"--ctstate INVALID -j {DROP_INVALID}" in text(full(), 4)
    assert f"--ctstate INVALID -j {DROP_INVALID}" not in text(full(drop_invalid=False), 4)


def test_other_masks_make_other_marks() -> None:
    other = text(full(marks=layout(0xF, 0x3FFF0)), 4)

    assert "0xf0000000" not in other
    assert "-j MARK --set-xmark 0x0/0xf" in other
    assert "--set-xmark 0x0/0x3fff0" in other


def test_every_drop_that_is_counted_is_the_only_rule_of_a_lasting_chain() -> None:
    for name, where in DROPS.values():
        found = next(c for c in part(full(), name).chains if c.name == where)
        assert found == Chain(where, ("-j DROP",), lasting=True)
