import asyncio

from calicod.daemon.guard import Guard
from calicod.daemon.state import QueueState
from calicod.errors import CalicodError
from calicod.model.steering import Steering
from calicod.netfilter.memory import MemoryInstaller


def guarded(installer: MemoryInstaller, queues: dict[int, QueueState] | None = None) -> Guard:
    return Guard(installer, lambda: queues or {})


def test_a_look_at_untouched_steering_finds_nothing():
    installer = MemoryInstaller()
    installer.install(Steering(generation=1))

    findings = asyncio.run(guarded(installer).look())

    assert (findings.missing, findings.losses, findings.drops, findings.error) == ((), (), {}, "")


def test_what_another_program_removed_is_found():
    installer = MemoryInstaller()
    installer.install(Steering(generation=1))
    installer.missing = ("filter INPUT: the jump is gone",)

    assert asyncio.run(guarded(installer).look()).missing == ("filter INPUT: the jump is gone",)


def test_drops_are_told_once_and_kept_as_a_total():
    installer = MemoryInstaller()
    installer.install(Steering(generation=1))
    guard = guarded(installer)
    installer.drops["invalid"] = 5

    first = asyncio.run(guard.look())
    second = asyncio.run(guard.look())

    assert (first.drops, second.drops, guard.total_drops) == ({"invalid": 5}, {}, {"invalid": 5})


def test_a_look_that_fails_is_told_once():
    class Broken(MemoryInstaller):
        def inspect(self):
            raise CalicodError("K010", "iptables-save failed")

    guard = guarded(Broken())

    assert "iptables-save failed" in asyncio.run(guard.look()).error
    assert asyncio.run(guard.look()).error == ""
