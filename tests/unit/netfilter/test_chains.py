"""The rules for one Steering, whole: the golden files are what a reviewer reads.

After a deliberate change: python -m tests.unit.netfilter.test_chains writes them anew.
"""

import re
from pathlib import Path

import pytest

from calicod.model.steering import Nic, Steering
from calicod.netfilter.chains import JUMPS, tables
from calicod.netfilter.filter import ABOUT
from calicod.netfilter.table import LONGEST_NAME, PREFIX
from tests.unit.netfilter.steered import full, part, text

GOLDEN = Path(__file__).parent / "golden"
STAMP = re.compile(r"fwd-\d+$")


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


def test_a_hook_has_a_jump_while_its_chain_has_rules() -> None:
    def hooks(steering: Steering) -> list[tuple[str, str]]:
        return [(table.name, jump.hook) for table in tables(steering, 4) for jump in table.jumps if table.needs(jump)]

    every = [(name, jump.hook) for name, jumps in JUMPS.items() for jump in jumps]
    early = Nic("eth0", 3, managed=True, prednat=True, untracked_out=True)
    plain = Nic("eth0", 3, managed=True)

    assert hooks(Steering(generation=1)) == []
    assert hooks(full(nics=(early,))) == every
    apart = full(nics=(plain,), loopback_untracked=False)
    assert {*every} - {*hooks(apart)} == {("mangle", "PREROUTING"), ("raw", "OUTPUT")}


def test_the_chains_are_the_same_whatever_is_managed_but_for_one_of_each_stamp() -> None:
    def names(steering: Steering, family: int) -> list[list[str]]:
        return [[c.name for c in table.chains if not STAMP.search(c.name)] for table in tables(steering, family)]

    for family in (4, 6):
        assert names(full(), family) == names(Steering(generation=1), family)


def test_raw_does_not_change_with_the_generation() -> None:
    assert part(full(), "raw") == part(full(generation=3), "raw")
    assert part(full(), "filter") != part(full(generation=3), "filter")


def test_names_fit_and_are_ours() -> None:
    for table in tables(full(), 4):
        for made in table.chains:
            assert made.name.startswith(PREFIX)
            assert len(made.name) <= LONGEST_NAME
        assert [(jump.hook, jump.chain) for jump in table.jumps] == [(j.hook, j.chain) for j in JUMPS[table.name]]


if __name__ == "__main__":
    for number in (4, 6):
        (GOLDEN / f"ipv{number}.rules").write_text(text(full(), number))
