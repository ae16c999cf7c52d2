"""Before connection tracking."""

from calicod.model.steering import Nic
from tests.unit.netfilter.steered import full, part

ETH0 = Nic("eth0", 3, managed=True)
IN = Nic("eth0", 3, managed=True, untracked_in=True)
OUT = Nic("eth0", 3, managed=True, untracked_out=True)


def rules(name: str, family: int = 4, **changes: object) -> tuple[str, ...]:
    """Those of a chain of raw."""
    return next(c.rules for c in part(full(**changes), "raw", family).chains if c.name == f"calicod-{name}")


def test_a_forwarding_workload_is_exempt_only_for_its_prefixes_of_this_family() -> None:
    raw = {family: rules("raw", family) for family in (4, 6)}

    assert [rule for rule in raw[4] if "caliw3" in rule] == ["-s 10.9.0.0/16 -i caliw3 -j RETURN"]
    assert [rule for rule in raw[6] if "caliw3" in rule] == ["-s fd09::/64 -i caliw3 -j RETURN"]


def test_only_interfaces_with_untracked_policy_are_asked_about_and_in_its_direction_only() -> None:
    nothing = {"nics": (ETH0,), "loopback_untracked": False}
    into, out = nothing | {"nics": (IN,)}, nothing | {"nics": (OUT,)}

    assert (rules("raw", **into)[0], rules("raw-out", **into)) == ("-i eth0 -g calicod-raw-came", ())
    assert not any("raw-came" in rule for rule in rules("raw", **out))
    assert rules("raw-out", **out) == ("-o eth0 -g calicod-raw-sent",)
    assert [rules(name, **nothing) for name in ("raw-out", "raw-came", "raw-sent", "untrack", "track")] == [()] * 5


def test_what_the_host_sends_to_itself_is_asked_about_on_its_way_out_alone() -> None:
    assert rules("raw-out", nics=()) == ("-o lo -g calicod-raw-sent",)
    assert not any("lo " in rule for rule in rules("raw", nics=()))


def test_the_verdict_comes_before_anything_is_cleared_and_nothing_loops() -> None:
    came = rules("raw-came")

    assert came[:3] == (
        "-m mark --mark 0x90000000/0x90000000 -g calicod-untrack",
        "-m mark --mark 0x10000000/0x10000000 -g calicod-track",
        "-j MARK --set-xmark 0x0/0xf0000000",
    )
    assert came[-2:] == ("-j MARK --set-xmark 0x20000000/0x30000000", "-j NFQUEUE --queue-num 5200")
    assert rules("untrack") == ("-j MARK --set-xmark 0x0/0xf0000000", "-j CT --notrack")
    assert rules("track") == ("-j MARK --set-xmark 0x0/0xf0000000",)


def test_failsafes_pass_both_ways_by_their_port_on_either_side() -> None:
    assert rules("raw-came")[3:-2] == (
        "-p tcp -m tcp --dport 22 -j RETURN",
        "-s 10.9.0.0/16 -p udp -m udp --dport 68 -j RETURN",
        "-p udp -m udp --sport 53 -j RETURN",
        "-p tcp -m tcp --sport 2379 -j RETURN",
    )
    assert rules("raw-sent")[3:-2] == (
        "-p udp -m udp --dport 53 -j RETURN",
        "-p tcp -m tcp --dport 2379 -j RETURN",
        "-p tcp -m tcp --sport 22 -j RETURN",
        "-d 10.9.0.0/16 -p udp -m udp --sport 68 -j RETURN",
    )


def test_neighbour_discovery_passes_on_the_way_in_and_out() -> None:
    assert "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j RETURN" in rules("raw-came", 6)
    assert "-p ipv6-icmp -m icmp6 --icmpv6-type 143 -m hl --hl-eq 1 -j RETURN" in rules("raw-sent", 6)


def test_where_only_workloads_are_looked_at_nobody_else_pays_for_the_jump() -> None:
    def met(**changes: object) -> str:
        plain = {"nics": (ETH0,), "loopback_untracked": False, "workload_prefixes": ("cali",)}
        table = part(full(**(plain | changes)), "raw", 4)
        return next(jump.match for jump in table.jumps if jump.hook == "PREROUTING")

    assert met() == "-i cali+ -m rpfilter --invert"
    assert met(workload_prefixes=("cali", "tap")) == met(nics=(IN,)) == met(nics=(OUT,)) == ""
    assert met(nics=(Nic("eth0", 3, managed=True, prednat=True),)) == ""
    assert met(nics=(ETH0, Nic("cali0", 4, managed=True))) == ""
