"""The nft installer against a program that fails or lies; the kernel's side is in tests/netns/test_nft.py."""

import json
from pathlib import Path

import pytest

from calicod.errors import CalicodError
from calicod.model.steering import FlowKind
from calicod.netfilter.chains import JUMPS
from calicod.netfilter.inet import Base, entrances
from calicod.netfilter.nft import NftInstaller
from tests.unit.netfilter.contract import steering
from tests.unit.netfilter.programs import script


def table(
    generations: tuple[int, int],
    *,
    flags: str = "",
    bases: dict[str, Base] | None = None,
    families: tuple[str, ...] = ("ipv4", "ipv6"),
    idle: str = "",
    more: tuple[dict[str, object], ...] = (),
) -> str:
    """What nft would show after a run of these generations. `idle`: the base chain that leads to empty chains.

    `families`: those whose jumps are there; `more`: what else the first base chain does.
    """
    entries = entrances(JUMPS) if bases is None else bases
    items: list[object] = [{"table": {"family": "inet", "name": "calicod", **({"flags": flags} if flags else {})}}]
    for name, base in entries.items():
        hook = {"hook": base.hook, "prio": base.priority, "type": base.type, "policy": base.policy}
        items.append({"chain": {"name": name, **hook}})
    items += [{"rule": {"chain": "raw-prerouting", "expr": [what]}} for what in more]
    for where, jump in ((name, jump) for name, jumps in JUMPS.items() for jump in jumps):
        for family in ("ipv4", "ipv6"):
            chain = f"{family}-{where}-{jump.chain.removeprefix('calicod-')}"
            base = f"{where}-{jump.hook.lower()}"
            if base not in idle and base in entries and family in families:
                items.append({"rule": {"chain": base, "expr": [{"counter": {}}, {"jump": {"target": chain}}]}})
            items.append({"chain": {"name": chain}})
            items += [{"rule": {"chain": chain, "expr": []}}] * (f"{where}-{jump.hook.lower()}" not in idle)
    for family, generation in zip(("ipv4", "ipv6"), generations, strict=True):
        items.append({"chain": {"name": f"{family}-filter-about"}})
        about = {"chain": f"{family}-filter-about", "comment": f"generation {generation}"}
        items.append({"rule": about | {"expr": [{"return": None}]}})
    return json.dumps({"nftables": items})


def installer(directory: Path, shown: str, *, refuse: str = "") -> NftInstaller:
    """One whose program shows this, whatever it was given."""
    (directory / "shown").write_text(shown)
    listing = f"/bin/cat {directory}/shown" if shown else "echo 'Error: No such file or directory' >&2; exit 1"
    taking = f"echo '{refuse}' >&2; exit 1" if refuse else "/bin/cat >/dev/null"
    body = f'case "$*" in *list*) {listing};; *) {taking};; esac'
    return NftInstaller(script(directory, "nft", body))


def test_rules_of_a_former_run_are_intact_when_they_are_all_there(tmp_path: Path) -> None:
    installed = installer(tmp_path, table((4, 4))).inspect()

    assert (installed.generation, installed.intact, installed.missing) == (4, True, ())


def test_a_hook_whose_chains_are_empty_needs_no_jump(tmp_path: Path) -> None:
    assert installer(tmp_path, table((4, 4), idle="mangle-prerouting")).inspect().missing == ()


def test_what_it_refuses_by_itself_is_counted_rule_by_rule(tmp_path: Path) -> None:
    kinds = tuple(FlowKind("eth0", "", 17, bytes([192, 0, 2, 1]), bytes([192, 0, 2, n]), 53) for n in (2, 3))
    nft = installer(tmp_path, table((1, 1)))
    nft._denied = kinds
    shown = json.loads(table((1, 1)))
    shown["nftables"].append({"chain": {"name": "ipv4-filter-denied"}})
    counted = ({"chain": "ipv4-filter-denied", "expr": [{"counter": {"packets": n, "bytes": 9}}]} for n in (7, 8))
    shown["nftables"] += [{"rule": rule} for rule in counted]
    (tmp_path / "shown").write_text(json.dumps(shown))

    assert nft.inspect().denied == dict(zip(kinds, (7, 8), strict=True))


def test_families_of_different_generations_are_not_intact(tmp_path: Path) -> None:
    installed = installer(tmp_path, table((5, 4))).inspect()

    assert installed.missing == ("the generations are 5 (ipv4), 4 (ipv6)",)


def test_what_a_former_run_no_longer_has_is_told(tmp_path: Path) -> None:
    assert installer(tmp_path, table((4, 4), flags="dormant")).inspect().missing == (
        "the table inet calicod was made dormant",
    )
    assert len(installer(tmp_path, table((4, 4), bases={})).inspect().missing) == len(entrances(JUMPS))
    for rules in (
        table((4, 4), families=("ipv4",)),
        table((4, 4), more=({"accept": None},)),
        table((4, 4), more=({"jump": {"target": "ipv4-filter-in"}},)),
    ):
        assert installer(tmp_path, rules).inspect().missing[0] == "the rules of chain raw-prerouting were changed"


def test_several_rules_may_lead_to_one_chain(tmp_path: Path) -> None:
    """What xtables has one match for may take two rules of nftables: what no route leads back to."""
    again = table((4, 4), more=({"jump": {"target": "ipv4-raw-raw"}},))

    assert installer(tmp_path, again).inspect().missing == ()


def test_no_table_is_no_generation(tmp_path: Path) -> None:
    installed = installer(tmp_path, "").inspect()

    assert (installed.generation, installed.intact) == (None, False)
    assert installed.missing == ("there is no table inet calicod",)


def test_a_kernel_that_did_not_take_what_was_accepted_is_told(tmp_path: Path) -> None:
    with pytest.raises(CalicodError, match="is not as it was installed") as raised:
        installer(tmp_path, table((4, 4))).install(steering(4))

    assert (raised.value.code, raised.value.exit_code) == ("K013", 4)


def test_a_kernel_that_refuses_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(CalicodError, match="did not accept the rules: no queue here") as raised:
        installer(tmp_path, "", refuse="no queue here").install(steering(1))

    assert (raised.value.code, raised.value.exit_code) == ("K013", 4)
