"""The memory installer keeps the contract, and tells what the test gave it."""

import pytest

from calicod.netfilter.memory import MemoryInstaller
from tests.unit.netfilter.contract import CONTRACT, steering


@pytest.mark.parametrize("law", CONTRACT)
def test_the_memory_installer_keeps_the_contract(law: str) -> None:
    check = CONTRACT[law]

    check(MemoryInstaller())


def test_what_is_missing_is_told_until_the_next_install() -> None:
    installer = MemoryInstaller()
    installer.install(steering(1))
    installer.missing = ("a jump",)

    assert not installer.inspect().intact
    installer.install(steering(1))

    assert installer.inspect().intact
    assert installer.installed == [steering(1), steering(1)]
