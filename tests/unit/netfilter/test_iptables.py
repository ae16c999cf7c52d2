"""The iptables installer against programs that fail or lie; the real ones are in tests/netns/test_steering_rules.py."""

from pathlib import Path

import pytest

from calicod.errors import CalicodError
from calicod.netfilter.chains import tables
from calicod.netfilter.iptables import IptablesInstaller
from calicod.netfilter.table import fill
from tests.unit.netfilter.contract import steering
from tests.unit.netfilter.programs import family


def kernel(generation: int, number: int, *, jumps: bool = True) -> str:
    """What iptables-save would show after this generation was installed."""
    text = ""
    for table in tables(steering(generation), number):
        lines = [line for line in fill(table, {}).splitlines() if not line.startswith("-I")]
        hooks = [f":{jump.hook} ACCEPT [0:0]" for jump in table.jumps]
        first = [f"-A {jump.hook} {jump.rule}" for jump in table.jumps if jumps and table.needs(jump)]
        text += "\n".join([lines[0], *hooks, *lines[1:-1], *first, "COMMIT", ""])
    return text


def installer(directory: Path, *generations: int, **options: bool) -> IptablesInstaller:
    """Two families whose kernel holds these generations, whatever is restored."""
    families = []
    for number, generation in zip((4, 6), generations, strict=True):
        shown = directory / f"saved-{number}"
        shown.write_text(kernel(generation, number, **options))
        families.append(family(directory, number, save=f"/bin/cat {shown}"))
    return IptablesInstaller(families)


def test_rules_of_a_former_run_are_intact_when_they_are_all_there(tmp_path: Path) -> None:
    installed = installer(tmp_path, 4, 4).inspect()

    assert (installed.generation, installed.intact, installed.missing) == (4, True, ())


def test_families_of_different_generations_are_not_intact(tmp_path: Path) -> None:
    installed = installer(tmp_path, 5, 4).inspect()

    assert (installed.generation, installed.intact) == (5, False)
    assert installed.missing == ("ipv6 filter: generation 4, not 5",)


def test_missing_jumps_of_a_former_run_are_told(tmp_path: Path) -> None:
    installed = installer(tmp_path, 4, 4, jumps=False).inspect()

    assert not installed.intact
    assert installed.missing[:2] == (
        "ipv4 raw PREROUTING: the jump to calicod-raw is not the first rule",
        "ipv4 mangle INPUT: the jump to calicod-clear is not the first rule",
    )
    assert len(installed.missing) == 16


def test_a_kernel_that_did_not_take_what_was_accepted_is_told(tmp_path: Path) -> None:
    with pytest.raises(CalicodError, match="is not as it was installed") as raised:
        installer(tmp_path, 4, 4).install(steering(4, workload_prefixes=("cali", "tap")))

    assert (raised.value.code, raised.value.exit_code) == ("K013", 4)


def test_a_kernel_that_refuses_leaves_the_former_steering_known(tmp_path: Path) -> None:
    families = [family(tmp_path, save="true", restore="exit 1")]

    with pytest.raises(CalicodError, match="did not accept the rules"):
        IptablesInstaller(families).install(steering(1))
