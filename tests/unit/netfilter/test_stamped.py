"""What returns at once; that nothing else does is in tests/property/test_stamped.py."""

from calicod.model.steering import FlowKind, ForwardingWorkload, Nic
from calicod.netfilter.pattern import Pattern
from calicod.netfilter.plan import Plan
from calicod.netfilter.stamped import ORIGINAL, REPLY, Way, covers, rules
from tests.unit.netfilter.steered import chain, full

ETH0 = Nic("eth0", 3, managed=False)
SIMPLE = {"nics": (ETH0,), "workload_prefixes": ("cali",), "forwarding_workloads": (), "loopback": None}


BARE = "-m mark --mark 0x0/0x30000000"


def bears(number: int) -> str:
    return f"-m connmark --mark {0x22000 | number << 8:#x}/0x1ff3f00"


def test_a_forwarded_packet_that_bears_its_stamp_is_asked_for_the_interfaces_of_that_stamp_alone() -> None:
    steering = full(**SIMPLE)

    assert chain(steering, "fwd") == (
        f"{bears(2)} -g calicod-fwd-2",
        f"{bears(3)} -g calicod-fwd-3",
        "-g calicod-fwd-unstamped",
    )
    assert chain(steering, "fwd-3") == (
        f"-i eth0 {ORIGINAL} {BARE} -j RETURN",
        f"-o eth0 {REPLY} {BARE} -j RETURN",
        "-g calicod-fwd-unstamped",
    )


def test_a_stamp_by_whose_path_connections_come_often_is_asked_for_first() -> None:
    ends = (bytes([192, 0, 2, 1]), bytes([10, 65, 0, 2]))
    often = full(**SIMPLE, allowed=(FlowKind("eth0", "caliw1", 6, *ends, 80),), log_group=7)

    assert chain(often, "fwd")[:2] == (f"{bears(3)} -g calicod-fwd-3", f"{bears(2)} -g calicod-fwd-2")
    assert chain(often, "fwd", 6)[:2] == (f"{bears(2)} -g calicod-fwd-2", f"{bears(3)} -g calicod-fwd-3")


def test_a_verdict_comes_before_any_stamp() -> None:
    for name in ("in-judge", "fwd-judge", "out-judge", "out-work"):
        for family in (4, 6):
            verdict, *others = chain(full(), name, family)
            assert verdict.startswith("-m mark ! --mark 0x0/0x30000000 -g calicod-")
            assert sum("connmark" in rule for rule in others) > 1 or name == "fwd-judge"
    for number in (2, 3, 4, 5, 6):
        assert all(BARE in rule for rule in chain(full(), f"fwd-{number}") if rule.endswith("RETURN"))


def test_an_interface_with_an_id_of_its_own_never_gets_to_the_prefix() -> None:
    trusted = full(**(SIMPLE | {"forwarding_workloads": (ForwardingWorkload("caliw3", 5, ()),)}))

    assert chain(trusted, "fwd-5")[:2] == (
        f"-i caliw3 {ORIGINAL} {BARE} -j RETURN",
        f"-o caliw3 {REPLY} {BARE} -j RETURN",
    )
    assert chain(trusted, "fwd-2")[:4] == (
        "-i caliw3 -g calicod-fwd-unstamped",
        f"-i cali+ {ORIGINAL} {BARE} -j RETURN",
        "-o caliw3 -g calicod-fwd-unstamped",
        f"-o cali+ {REPLY} {BARE} -j RETURN",
    )


def test_what_the_host_sends_to_a_workload_returns_where_another_stamp_would_change_nothing() -> None:
    assert chain(full(**SIMPLE), "out-work")[1:] == (
        "-m connmark --mark 0x22000/0xfff3f00 -m conntrack --ctstate ESTABLISHED --ctdir ORIGINAL -j RETURN",
        f"-o cali+ {bears(2)} {REPLY} -j RETURN",
        "-g calicod-out-work-others",
    )


def test_a_pattern_that_never_selects_or_selects_all_has_no_rule() -> None:
    again, star = Pattern("eth0", 9, workload=False), Pattern("", 31, workload=False)
    paths = (Pattern("eth0", 3, workload=True), again, star)

    def made(*, workloads: bool) -> tuple[str, ...]:
        return rules(Plan(full(), 4), "calicod-x", (Way(REPLY, Pattern.outgoing, paths, workloads=workloads),))

    assert made(workloads=True) == (f"-o eth0 {bears(3)} {REPLY} -j RETURN", "-o eth0 -g calicod-x")
    assert made(workloads=False) == ()


def test_a_prefix_covers_names_and_narrower_prefixes_and_a_name_itself() -> None:
    cali, tap, w3, eth0, star = (Pattern(name, 2, workload=True) for name in ("cali+", "tap+", "caliw3", "eth0", ""))

    assert covers(cali, w3)
    assert covers(eth0, eth0)
    assert not any(covers(*pair) for pair in ((w3, cali), (tap, w3), (eth0, w3), (star, eth0), (cali, star)))
