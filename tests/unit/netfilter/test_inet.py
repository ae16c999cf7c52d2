"""The table of nft as text, and what nft shows of it. The golden file is what a reviewer reads.

After a deliberate change: python -m tests.unit.netfilter.test_inet writes it anew.
"""

import json
from pathlib import Path

from calicod.model.steering import Steering
from calicod.netfilter.chains import JUMPS, tables
from calicod.netfilter.inet import (
    COUNTED_DROP,
    Base,
    InetChain,
    InetTable,
    Shown,
    base,
    chains,
    entrances,
    read,
    script,
)
from tests.unit.netfilter.test_chains import STAMP, full

GOLDEN = Path(__file__).parent / "golden" / "inet.nft"
INPUT = Base("input", -1)
WANTED = (
    InetChain("drop", ("counter drop",), lasting=True),
    InetChain("judge", ('iifname "eth0" jump drop',)),
    InetChain("entry", ("jump judge",), base=INPUT),
)
AS_MADE = {"drop": Shown(rules=(COUNTED_DROP,)), "judge": Shown(rules=("…",)), "entry": Shown(INPUT, ("…",))}


def lines(shown: InetTable | None) -> list[str]:
    return script(WANTED, shown).splitlines()


def test_the_whole_text_is_the_golden_one() -> None:
    assert script(chains(full()), None) == GOLDEN.read_text()


def test_every_chain_of_every_table_and_family_is_there_and_one_base_chain_for_each_hook() -> None:
    made = chains(full())
    parts = [table for family in (4, 6) for table in tables(full(), family)]

    assert len({chain.name for chain in made}) == len(made)
    assert len([c for c in made if c.base is None]) == sum(len(part.chains) for part in parts)
    assert {c.name: c.base for c in made if c.base} == entrances(JUMPS)


def test_ours_come_one_before_the_tables_of_iptables_and_accept_is_the_end() -> None:
    assert {(b.hook, b.priority, b.type, b.policy) for b in entrances(JUMPS).values()} == {
        ("prerouting", -301, "filter", "accept"),
        ("output", -301, "filter", "accept"),
        ("prerouting", -151, "filter", "accept"),
        ("input", -151, "filter", "accept"),
        ("forward", -151, "filter", "accept"),
        ("output", -151, "route", "accept"),
        ("postrouting", -151, "filter", "accept"),
        ("input", -1, "filter", "accept"),
        ("forward", -1, "filter", "accept"),
        ("output", -1, "filter", "accept"),
    }


def test_a_base_chain_leads_to_chains_that_have_rules_with_what_they_are_for() -> None:
    made = {chain.name: chain.rules for chain in chains(full())}

    assert made["mangle-prerouting"] == ()
    assert made["filter-input"] == ("meta nfproto ipv4 jump ipv4-filter-in", "meta nfproto ipv6 jump ipv6-filter-in")
    assert made["mangle-forward"][0] == "meta nfproto ipv4 meta mark & 0xf0000000 != 0x0 jump ipv4-mangle-clear"
    assert not any(chain.rules for chain in chains(Steering(generation=1)) if chain.base)


def test_the_chains_are_the_same_whatever_is_managed_but_for_one_of_each_stamp() -> None:
    made = [chain.name for chain in chains(full())]
    stamps = [name for name in made if STAMP.search(name)]

    assert len(stamps) == 10
    assert [name for name in made if name not in stamps] == [chain.name for chain in chains(Steering(generation=1))]


def test_an_empty_kernel_gets_everything() -> None:
    assert lines(None) == [
        "add table inet calicod",
        "add chain inet calicod drop",
        "add chain inet calicod judge",
        "add chain inet calicod entry { type filter hook input priority -1; policy accept; }",
        "add rule inet calicod drop counter drop",
        'add rule inet calicod judge iifname "eth0" jump drop',
        "add rule inet calicod entry jump judge",
    ]


def test_chains_that_are_there_are_flushed_never_deleted_and_a_lasting_one_is_left_alone() -> None:
    made = lines(InetTable(chains=AS_MADE))

    assert [line for line in made if line.startswith("flush")] == [
        "flush chain inet calicod judge",
        "flush chain inet calicod entry",
    ]
    assert not any(line.startswith("delete") or "counter drop" in line for line in made)


def test_a_lasting_chain_that_was_changed_is_refilled() -> None:
    made = lines(InetTable(chains=AS_MADE | {"drop": Shown(rules=(COUNTED_DROP, "…"))}))

    assert "flush chain inet calicod drop" in made
    assert "add rule inet calicod drop counter drop" in made


def test_what_others_added_goes_but_a_base_chain_is_only_emptied() -> None:
    made = lines(InetTable(chains=AS_MADE | {"x": Shown(rules=("…",)), "y": Shown(Base("input", 5, "filter", "drop"))}))

    assert [line for line in made if line.endswith((" x", " y"))] == [
        "flush chain inet calicod x",
        "flush chain inet calicod y",
        "delete chain inet calicod x",
    ]
    assert "add chain inet calicod y { type filter hook input priority 5; policy accept; }" in made


def test_a_chain_that_another_program_hooked_in_elsewhere_is_made_anew() -> None:
    made = lines(InetTable(chains=AS_MADE | {"entry": Shown(Base("output", 0), ("…",))}))

    flushed, deleted, added = (
        made.index(f"{verb} chain inet calicod entry{where}")
        for verb, where in (("flush", ""), ("delete", ""), ("add", f" {INPUT}"))
    )
    assert flushed < deleted < added


def test_a_policy_that_was_changed_is_set_back_without_a_new_chain() -> None:
    made = lines(InetTable(chains=AS_MADE | {"entry": Shown(Base("input", -1, "filter", "drop"), ("…",))}))

    assert f"add chain inet calicod entry {INPUT}" in made
    assert "delete chain inet calicod entry" not in made


def test_what_nft_shows_is_read_without_handles_and_counts() -> None:
    rule = {"family": "inet", "table": "calicod", "handle": 9}
    text = json.dumps(
        {
            "nftables": [
                {"metainfo": {"version": "1.0.6"}},
                {"table": {"family": "inet", "name": "calicod", "handle": 1, "flags": "dormant"}},
                {"chain": {"name": "in", "handle": 2, "hook": "input", "prio": -1, "type": "filter", "policy": "drop"}},
                {"chain": {"name": "drop", "handle": 3}},
                {"set": {"name": "other"}},
                {"rule": rule | {"chain": "drop", "expr": [{"counter": {"packets": 7, "bytes": 99}}, {"drop": None}]}},
                {"rule": rule | {"chain": "in", "comment": "generation 3", "expr": [{"return": None}]}},
            ]
        }
    )

    assert read(text) == InetTable(
        flags=("dormant",),
        chains={
            "in": Shown(Base("input", -1, "filter", "drop"), ('[{"return":null}]',), ("generation 3",), (0,)),
            "drop": Shown(None, (COUNTED_DROP,), ("",), counts=(7,)),
        },
    )


def test_a_base_chain_for_the_marks_of_what_the_host_sends_chooses_the_route_anew() -> None:
    assert str(base("mangle", "OUTPUT")) == "{ type route hook output priority -151; policy accept; }"


if __name__ == "__main__":
    GOLDEN.write_text(script(chains(full()), None))
