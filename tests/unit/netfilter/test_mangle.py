"""Marks between the hooks, and the stage before DNAT."""

from calicod.model.marks import UNMANAGED_ID, WORKLOAD_ID
from calicod.model.steering import Nic
from tests.unit.netfilter.steered import full, part

CLEAR = "-j MARK --set-xmark 0x0/0xf0000000"
MARKED = "-m mark ! --mark 0x0/0xf0000000"
ETH0 = Nic("eth0", 3, managed=True, prednat=True)
ALONE = {"nics": (ETH0,), "workload_prefixes": (), "forwarding_workloads": (), "failsafe_outbound": ()}


def rules(name: str, family: int = 4, **changes: object) -> tuple[str, ...]:
    """Those of a chain of mangle."""
    return next(c.rules for c in part(full(**changes), "mangle", family).chains if c.name == f"calicod-{name}")


def test_all_our_packet_bits_are_cleared_before_each_hook_of_filter() -> None:
    mangle = part(full(), "mangle")

    assert rules("clear") == (CLEAR,)
    assert [(jump.hook, jump.rule) for jump in mangle.jumps if mangle.needs(jump)] == [
        *((hook, f"{MARKED} -j calicod-clear") for hook in ("INPUT", "FORWARD", "OUTPUT")),
        ("POSTROUTING", f"{MARKED} -j calicod-post"),
    ]


def test_the_match_on_a_marked_packet_is_of_each_bit_that_a_verdict_or_a_queue_may_set() -> None:
    marks = full().marks
    bits = marks.accept | marks.reject | marks.known | marks.prednat

    assert f"-m mark ! --mark 0x0/{bits:#x}" == MARKED
    assert MARKED.removeprefix("-m mark ! --mark 0x0/") == CLEAR.removeprefix("-j MARK --set-xmark 0x0/")


def test_without_policy_before_dnat_nothing_meets_a_rule_in_prerouting() -> None:
    assert all(not c.rules for c in part(full(), "mangle").chains if c.name.startswith("calicod-pre"))


def test_only_the_original_direction_of_interfaces_with_such_policy_comes_up_until_it_bears_the_stages_stamp() -> None:
    assert rules("pre", **ALONE) == ("-i eth0 -g calicod-pre-judge",)
    assert rules("pre-judge", **ALONE) == (
        "-m mark --mark 0x10000000/0x10000000 -g calicod-pre-stamp",
        "-m conntrack --ctstate RELATED --ctstatus EXPECTED -j CONNMARK --set-xmark 0x0/0xfff3f00",
        "-m conntrack --ctdir REPLY -j RETURN",
        "-i eth0 -m connmark --mark 0x8020300/0x9ff1f00 -j RETURN",
        "-i eth0 -g calicod-pre-host",
    )
    assert rules("pre-host", **ALONE)[:2] == (
        "-m conntrack --ctstate INVALID -j DROP",
        "-p tcp -m tcp --dport 22 -j RETURN",
    )
    assert rules("pre-queue", **ALONE)[-1] == "-j NFQUEUE --queue-num 5200"


def test_a_verdict_keeps_what_filter_knows_of_the_path_and_remembers_that_it_knew_of_another() -> None:
    assert rules("pre-stamp", **ALONE) == (
        "-m conntrack --ctstate RELATED,UNTRACKED -g calicod-pre-on",
        "-i eth0 -m connmark --mark 0x20300/0x1ff1f00 -g calicod-pre-add",
        "-i eth0 -m connmark --mark 0x2000/0x2000 -j CONNMARK --set-xmark 0x4000000/0x4000000",
        "-i eth0 -j CONNMARK --set-xmark 0x20300/0xbff3f00",
        "-i eth0 -g calicod-pre-add",
    )
    assert rules("pre-add", **ALONE) == (
        "-m mark --mark 0x80000000/0x80000000 -j CONNMARK --set-xmark 0xa000000/0xa000000",
        "-m mark ! --mark 0x80000000/0x80000000 -j CONNMARK --set-xmark 0x8000000/0xa000000",
        CLEAR,
    )


def test_what_answers_on_a_connection_that_was_cut_is_dropped_wherever_it_comes_from() -> None:
    cut = "-m conntrack --ctdir REPLY -m connmark --mark 0x2020000/0xbff0000 -j DROP"

    assert rules("clear", **ALONE) == (CLEAR, cut)
    jumps = {(jump.hook, jump.rule) for jump in part(full(**ALONE), "mangle").jumps if jump.chain == "calicod-clear"}
    assert jumps == {(hook, "-j calicod-clear") for hook in ("INPUT", "FORWARD", "OUTPUT")}


def test_a_wildcard_judges_what_comes_by_any_interface_but_lo() -> None:
    star = {"wildcard_host": True, "wildcard_prednat": True}
    everything = rules("pre-judge", 6, **star)

    assert rules("pre", **star) == ("-i lo -j RETURN", "-g calicod-pre-judge")
    ids = {WORKLOAD_ID, UNMANAGED_ID, 3, 4, 5, 6}
    asked = [f"{full().marks.stamp(2, number) | full().marks.prednat_stage:#x}/" for number in ids]
    assert all(any(stamp in rule for rule in everything) for stamp in asked)
    trusted = next(n for n, rule in enumerate(everything) if "caliw3" in rule)
    assert everything[trusted - 1].startswith("-s fe80::/10 -i tap+ -g calicod-pre-work")
