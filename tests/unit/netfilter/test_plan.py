"""The rules that every hook shares."""

from calicod.model.marks import layout
from calicod.model.steering import Nic
from calicod.netfilter.plan import DROP_INVALID, DROPS, Plan
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


def test_who_asks_about_what_is_forwarded() -> None:
    names = ("eth0", "eth1", "cali-mgmt", "caliw1", "tap9", "wg0")
    everything = Plan(full(wildcard_host=True, wildcard_forward=True), 4)

    assert [name for name in names if Plan(full(), 4).forwards(name)] == ["eth0", "caliw1", "tap9"]
    assert [name for name in names if not everything.forwards(name)] == ["cali-mgmt"]


def test_other_masks_make_other_marks() -> None:
    other = text(full(marks=layout(0xF, 0x3FFF0)), 4)

    assert "0xf0000000" not in other
    assert "-j MARK --set-xmark 0x0/0xf" in other
    assert "--set-xmark 0x0/0x3fff0" in other


def test_every_drop_that_is_counted_is_the_only_rule_of_a_lasting_chain() -> None:
    for name, where in DROPS.values():
        found = next(c for c in part(full(), name).chains if c.name == where)
        assert found == Chain(where, ("-j DROP",), lasting=True)


def test_the_word_of_a_prednat_rule_is_told_on_its_path_and_stamped_only_while_it_holds() -> None:
    given = full(nics=(Nic("eth0", 3, managed=True, prednat=True),), workload_prefixes=(), forwarding_workloads=())
    told = "-m connmark --mark 0xa000300/0xa001f00 -j MARK --set-xmark 0x30000000/0x30000000"
    holds = "-m connmark --mark 0xa020300/0xbff1f00 -j CONNMARK --set-xmark 0x2000/0x4002000"

    assert f"-i eth0 {told}" in chain(given, "in-others")
    assert f"-o eth0 {told}" in chain(given, "out-reply")
    assert not any("0xa000300" in rule for name in ("in-reply", "out-others") for rule in chain(given, name))
    assert chain(given, "in-stamp")[0] == "-m mark --mark 0x80000000/0x80000000 -g calicod-in-spared"
    assert chain(given, "in-spared")[2:] == (f"-i eth0 {holds}",)
    assert chain(given, "out-spared")[2:] == (f"-o eth0 {holds}",)
    assert chain(given, "fwd-spared")[2:] == (f"-i eth0 {holds}", f"-o eth0 {holds}")


def test_where_policy_judges_before_dnat_a_stamp_of_filter_leaves_what_that_stage_knows() -> None:
    given = full(nics=(Nic("eth0", 3, managed=True, prednat=True),), workload_prefixes=(), forwarding_workloads=())

    assert chain(given, "in-stamp")[-5:-2] == (
        "-i eth0 -m connmark --mark 0x20300/0x1ff1f00 -j CONNMARK --set-xmark 0x2000/0x4002000",
        "-i eth0 -m connmark --mark 0x20300/0x1ff1f00 -j RETURN",
        "-i eth0 -j CONNMARK --set-xmark 0x22300/0xfff3f00",
    )
    assert not any("spared" in rule for rule in chain(full(), "in-stamp"))
