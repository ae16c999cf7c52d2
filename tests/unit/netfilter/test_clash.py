"""Rules of others that take our queues or our marks."""

import pytest

from calicod.model.steering import Steering
from calicod.netfilter.clash import Clash, find
from calicod.netfilter.table import parse_save

STEERING = Steering(generation=1, queue_base=5200, workers=2)


def clashes(rule: str, table: str = "mangle") -> tuple[Clash, ...]:
    """What is found when this is the only rule."""
    chains = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING", "SUB", "LOOSE")
    lines = [f"*{table}", *(f":{chain} ACCEPT [0:0]" for chain in chains), "-A OUTPUT -g SUB", rule, "COMMIT"]
    return find({"iptables-nft ipv4": parse_save("\n".join(lines))}, STEERING)


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -j NFQUEUE --queue-num 5200",
        "-A INPUT -j NFQUEUE --queue-num 5203",
        "-A INPUT -j NFQUEUE --queue-balance 5100:5200 --queue-bypass",
        "-A INPUT -j NFQUEUE --queue-balance 0:65535",
        "-A INPUT -j NFQUEUE --queue-num 0x1450",
        "-A PREROUTING -j MARK --set-xmark 0x10000000/0x10000000",
        "-A PREROUTING -j MARK --set-xmark 0xffffffff/0xffffffff",
        "-A PREROUTING -j MARK --or-mark 0x80000000",
        "-A PREROUTING -p tcp -j TPROXY --on-port 1 --tproxy-mark 0x40000000/0xffffffff",
        "-A FORWARD -j CONNMARK --set-xmark 0x100/0x100",
        "-A FORWARD -j CONNMARK --set-xmark 0x22300/0xffffffff",
        "-A FORWARD -j CONNMARK --set-xmark nonsense",
        "-A OUTPUT -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        "-A POSTROUTING -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        "-A SUB -j CONNMARK --save-mark --nfmask 0x100 --ctmask 0x100",
        '-A OUTPUT -m comment --comment "a -j ACCEPT" -j CONNMARK --save-mark',
    ],
)
def test_a_rule_that_takes_or_forges_what_is_ours_is_fatal(rule: str) -> None:
    (clash,) = clashes(rule)

    assert clash.fatal
    assert clash.rule == rule
    assert clash.where == "iptables-nft ipv4 mangle"


@pytest.mark.parametrize(
    "rule",
    [
        "-A PREROUTING -j CONNMARK --set-xmark 0x80/0xffffffff",
        "-A PREROUTING -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        "-A LOOSE -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xffffffff",
        "-A OUTPUT -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xffffffff",
    ],
)
def test_a_rule_that_erases_our_stamps_is_told(rule: str) -> None:
    (clash,) = clashes(rule)

    assert not clash.fatal
    assert "judged again" in str(clash)


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -j NFQUEUE --queue-num 5199",
        "-A INPUT -j NFQUEUE --queue-balance 5204:5300",
        "-A INPUT -j NFQUEUE",
        "-A PREROUTING -j MARK --set-xmark 0x4000/0x4000",
        "-A PREROUTING -j MARK --set-xmark 0x4000/0xffffffff",
        "-A PREROUTING -m mark --mark 0x10000000/0x10000000 -j ACCEPT",
        "-A PREROUTING -j CONNMARK --set-xmark 0x80/0x80",
        "-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        "-A OUTPUT -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff",
        "-A OUTPUT -j LOG --log-prefix 5200",
    ],
)
def test_a_rule_that_keeps_to_its_own_is_no_clash(rule: str) -> None:
    assert clashes(rule) == ()


def test_before_conntrack_no_mark_can_be_saved() -> None:
    (clash,) = clashes("-A OUTPUT -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff", "raw")

    assert not clash.fatal


def test_our_own_chains_clash_with_nothing() -> None:
    saved = parse_save("*filter\n:calicod-queue - [0:0]\n-A calicod-queue -j NFQUEUE --queue-num 5200\nCOMMIT\n")

    assert find({"iptables-nft ipv4": saved}, STEERING) == ()
