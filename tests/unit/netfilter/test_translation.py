"""Rules of iptables in the words of nft: what each word becomes, and that nothing is ever left out."""

import pytest

from calicod.netfilter.translation import chain_name, translate


def one(rule: str, family: int = 4) -> str:
    """The only rule that it becomes, in the filter table."""
    (made,) = translate(rule, "filter", family)
    return made


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("-j RETURN", "return"),
        ("-j CT --notrack", "notrack"),
        ("-j DROP", "counter drop"),
        ("-j calicod-in", "jump ipv4-filter-in"),
        ("-g calicod-in-judge", "goto ipv4-filter-in-judge"),
        ("-i eth0 -j RETURN", 'iifname "eth0" return'),
        ("! -o cali+ -j RETURN", 'oifname != "cali*" return'),
        ("-s 10.0.0.0/8 -d 10.1.0.1/32 -j RETURN", "ip saddr 10.0.0.0/8 ip daddr 10.1.0.1/32 return"),
        ("-p icmp -j RETURN", "meta l4proto icmp return"),
        ("! -p tcp -j RETURN", "meta l4proto != tcp return"),
        ("-p tcp -m tcp --dport 22 -j RETURN", "meta l4proto tcp tcp dport 22 return"),
        ("-p udp -m udp ! --sport 1:9 -j RETURN", "meta l4proto udp udp sport != 1-9 return"),
        (
            "-p tcp -m tcp --sport 22 ! --tcp-flags FIN,SYN,RST,ACK SYN -j RETURN",
            "meta l4proto tcp tcp sport 22 tcp flags & (fin | syn | rst | ack) != syn return",
        ),
        ("-p tcp -m tcp --tcp-flags RST RST -j RETURN", "meta l4proto tcp tcp flags & (rst) == rst return"),
        ("-p tcp -m length --length 40 -j RETURN", "meta l4proto tcp ip length 40 return"),
        ("-p icmp -m icmp --icmp-type 3/3 -j RETURN", "meta l4proto icmp icmp type 3 icmp code 3 return"),
        ("-p icmp -m icmp ! --icmp-type 3 -j RETURN", "meta l4proto icmp icmp type != 3 return"),
        ("-m mark --mark 0x1/0x3 -j RETURN", "meta mark & 0x3 == 0x1 return"),
        ("-m connmark ! --mark 0x0/0x2000 -j RETURN", "ct mark & 0x2000 != 0x0 return"),
        ("-m mark --mark 0x1 -j RETURN", "meta mark & 0xffffffff == 0x1 return"),
        ("-m conntrack --ctstate RELATED,UNTRACKED -j RETURN", "ct state related,untracked return"),
        ("-m conntrack ! --ctstate NEW,RELATED -j RETURN", "ct state & (new | related) == 0 return"),
        ("-m conntrack --ctdir REPLY -j RETURN", "ct direction reply return"),
        (
            "-m conntrack --ctstate RELATED ! --ctstatus CONFIRMED -j RETURN",
            "ct state related ct status & (confirmed) == 0 return",
        ),
        ('-m comment --comment "generation 2" -j RETURN', 'return comment "generation 2"'),
        ("-j MARK --set-xmark 0x0/0xf0000000", "meta mark set meta mark & 0xfffffff"),
        ("-j MARK --set-xmark 0x10/0x10", "meta mark set meta mark | 0x10"),
        ("-j CONNMARK --set-xmark 0x100/0xf00", "ct mark set ct mark & 0xfffff0ff | 0x100"),
        ("-p tcp -j REJECT --reject-with tcp-reset", "meta l4proto tcp reject with tcp reset"),
        ("-j REJECT --reject-with icmp-port-unreachable", "reject with icmp port-unreachable"),
        (
            "-j NFLOG --nflog-group 5200 --nflog-size 80 --nflog-threshold 40",
            "log group 5200 snaplen 80 queue-threshold 40",
        ),
        (
            "-j NFLOG --nflog-prefix failsafe --nflog-group 7 --nflog-size 80 --nflog-threshold 40",
            'log prefix "failsafe" group 7 snaplen 80 queue-threshold 40',
        ),
        ("-j NFQUEUE --queue-num 5200", "queue to 5200"),
        ("-j NFQUEUE --queue-balance 5200:5203 --queue-bypass", "queue flags bypass to 5200-5203"),
    ],
)
def test_a_rule_becomes(rule: str, expected: str) -> None:
    assert one(rule) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("-s fe80::/10 -i cali+ -g calicod-in-work", 'ip6 saddr fe80::/10 iifname "cali*" goto ipv6-filter-in-work'),
        (
            "-p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j RETURN",
            "meta l4proto ipv6-icmp icmpv6 type 135 ip6 hoplimit 255 return",
        ),
        ("-m rt -g calicod-queue", "exthdr rt exists goto ipv6-filter-queue"),
        ("-p tcp -m length --length 60 -j RETURN", "meta l4proto tcp ip6 length 20 return"),
        (
            "-p ipv6-icmp -m icmp6 --icmpv6-type 1/4 -j RETURN",
            "meta l4proto ipv6-icmp icmpv6 type 1 icmpv6 code 4 return",
        ),
        ("-j REJECT --reject-with icmp6-port-unreachable", "reject with icmpv6 port-unreachable"),
    ],
)
def test_a_rule_of_ipv6_becomes(rule: str, expected: str) -> None:
    assert one(rule, 6) == expected


def test_reverse_path_filtering_refuses_what_it_refuses_in_iptables() -> None:
    rule = "-i cali+ -m rpfilter --invert -j calicod-drop-spoofed"

    assert translate(rule, "raw", 4) == (
        'iifname "cali*" fib saddr . iif oif missing jump ipv4-raw-drop-spoofed',
        'iifname "cali*" ip saddr != 0.0.0.0/8 fib saddr type != unicast jump ipv4-raw-drop-spoofed',
    )
    assert translate(rule, "raw", 6) == (
        'iifname "cali*" ip6 saddr != :: fib saddr . iif oif missing jump ipv6-raw-drop-spoofed',
    )


def test_chains_of_equal_names_in_different_tables_and_families_are_different_chains() -> None:
    names = {chain_name("calicod-x", table, family) for table in ("raw", "mangle") for family in (4, 6)}

    assert len(names) == 4


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "-i eth0",
        "-j",
        "-j ACCEPT",
        "-j OTHERS",
        "-g RETURN",
        "-j DROP --unknown",
        "-j calicod-in --unknown",
        "-m physdev --physdev-in eth0 -j RETURN",
        "--unknown -j RETURN",
        "-m rpfilter -j RETURN",
        "-m rpfilter ! --invert -j RETURN",
        "-m rpfilter --loose --invert -j RETURN",
        "-m conntrack -j RETURN",
        "-m tcp -m conntrack --ctdir REPLY -j RETURN",
        "--mark 0x1/0x1 -j RETURN",
        "-m conntrack --mark 0x1/0x1 -j RETURN",
        "-m conntrack --ctstate SNAT -j RETURN",
        "-m conntrack --ctstate NEW,SNAT -j RETURN",
        "-m conntrack --ctstatus ASSURED -j RETURN",
        "-m conntrack --ctdir BOTH -j RETURN",
        '! -m comment --comment "a" -j RETURN',
        "-p sctp -j RETURN",
        "-p tcp -m tcp --tcp-flags ALL SYN -j RETURN",
        '-i a"b -j RETURN',
        "-i a*b -j RETURN",
        "-p icmp -m icmp ! --icmp-type 3/3 -j RETURN",
        "-p tcp -m length --length 40:50 -j RETURN",
        "-m rt -j RETURN",
        "-j MARK",
        "-j MARK --set-xmark 0x3/0x1",
        "-j MARK --or-mark 0x1",
        "-j REJECT",
        "-j REJECT --reject-with icmp-host-unreachable",
        "-j NFLOG --nflog-group 7",
        "-j NFLOG --nflog-group 7 --nflog-range 80 --nflog-threshold 40",
        "-j NFLOG --nflog-group 7 --nflog-threshold 40 --nflog-size 80",
        "-j NFLOG --nflog-group 7 --nflog-size 80 --nflog-threshold 40 --nflog-prefix failsafe",
        "-j NFLOG --nflog-prefix failsafe --nflog-size 80",
        '-j NFLOG --nflog-prefix a"b --nflog-group 7 --nflog-size 80 --nflog-threshold 40',
        "-j NFLOG --nflog-prefix failsafe",
        "-j NFQUEUE",
        "-j NFQUEUE --queue-num 1 --queue-cpu-fanout",
    ],
)
def test_what_has_no_translation_is_an_error_and_never_left_out(rule: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        translate(rule, "filter", 4)
