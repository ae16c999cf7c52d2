"""What every installer must do: run for the memory one without a kernel, for the real ones in a namespace."""

from collections.abc import Callable
from types import MappingProxyType

from calicod.model.steering import FailsafePort, Nic, Steering
from calicod.netfilter.installer import Installer


def steering(generation: int = 1, **changes: object) -> Steering:
    """A small steering."""
    values = {"nics": (Nic("eth0", 3, managed=True),), "failsafe_inbound": (FailsafePort(6, 22),)}
    return Steering(generation=generation, **(values | {"workload_prefixes": ("cali",)} | changes))


def nothing_is_installed_at_first(installer: Installer) -> None:
    installed = installer.inspect()

    assert installed.generation is None
    assert not installed.intact
    assert installed.missing


def what_was_installed_is_intact_and_bears_its_generation(installer: Installer) -> None:
    installer.install(steering(7))

    installed = installer.inspect()

    assert (installed.generation, installed.intact, installed.missing) == (7, True, ())
    assert dict(installed.drops) == {"invalid": 0, "spoofed": 0}


def the_newest_takes_the_place_of_the_former(installer: Installer) -> None:
    installer.install(steering(7))
    installer.install(steering(8, wildcard_host=True, workers=2))

    assert installer.inspect().generation == 8
    assert installer.inspect().intact


def an_empty_steering_keeps_its_generation(installer: Installer) -> None:
    installer.install(steering(7))
    installer.install(Steering(generation=9))

    assert installer.inspect().generation == 9
    assert installer.inspect().intact


def a_script_says_all_that_was_asked_for_and_changes_nothing(installer: Installer) -> None:
    installer.install(steering(7))
    script = installer.script(steering(8))

    assert script
    assert all(text.endswith("\n") and "eth0" in text for text in script.values())
    assert script != installer.script(steering(8, wildcard_host=True))
    assert installer.inspect().generation == 7


def after_remove_nothing_is_installed(installer: Installer) -> None:
    installer.install(steering(7))
    installer.remove()

    nothing_is_installed_at_first(installer)


def remove_may_be_called_at_any_time(installer: Installer) -> None:
    installer.remove()
    installer.install(steering(1))
    installer.remove()
    installer.remove()
    installer.install(steering(2))

    assert installer.inspect().generation == 2
    assert installer.inspect().intact


CONTRACT: MappingProxyType[str, Callable[[Installer], None]] = MappingProxyType(
    {
        check.__name__: check
        for check in (
            nothing_is_installed_at_first,
            what_was_installed_is_intact_and_bears_its_generation,
            the_newest_takes_the_place_of_the_former,
            an_empty_steering_keeps_its_generation,
            a_script_says_all_that_was_asked_for_and_changes_nothing,
            after_remove_nothing_is_installed,
            remove_may_be_called_at_any_time,
        )
    }
)
