import asyncio

from calicod.daemon.guard import REMEMBERED, TOO_OFTEN, Guard
from calicod.daemon.state import QueueState
from calicod.errors import CalicodError
from calicod.model.event import KernelDropped, QueueDropped
from calicod.model.steering import Steering
from calicod.netfilter.memory import MemoryInstaller


def guarded(installer: MemoryInstaller, queues: dict[int, QueueState] | None = None) -> Guard:
    return Guard(installer, lambda: queues or {})


def test_a_look_at_untouched_steering_finds_nothing():
    installer = MemoryInstaller()
    installer.install(Steering(generation=1))

    findings = asyncio.run(guarded(installer).look())

    assert (findings.missing, findings.events, findings.error) == ((), (), "")


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

    assert (first.events, second.events) == ((KernelDropped(reason="invalid", count=5),), ())
    assert guard.total_drops == {"invalid": 5}


def test_a_look_that_fails_is_told_once():
    class Broken(MemoryInstaller):
        def inspect(self):
            raise CalicodError("K010", "iptables-save failed")

    guard = guarded(Broken())

    assert "iptables-save failed" in asyncio.run(guard.look()).error
    assert asyncio.run(guard.look()).error == ""


def test_what_a_queue_lost_is_told_by_its_reason():
    installer = MemoryInstaller()
    installer.install(Steering(generation=1))
    queue = QueueState(queue=5200, waiting=0, queue_dropped=3, user_dropped=2)

    findings = asyncio.run(guarded(installer, {5200: queue}).look())

    assert findings.events == (
        QueueDropped(queue=5200, reason="queue-full", count=3),
        QueueDropped(queue=5200, reason="socket-full", count=2),
    )


def test_rules_that_vanish_once_are_no_trouble_but_again_and_again_are():
    installer = MemoryInstaller()
    installer.install(Steering(generation=1))
    guard = guarded(installer)
    troubles = []
    for _ in range(TOO_OFTEN):
        installer.missing = ("filter INPUT: the jump is gone",)
        asyncio.run(guard.look())
        installer.missing = ()
        troubles.append(guard.trouble)

    assert troubles == ["", "", "another program removes or moves the steering rules again and again"]
    for _ in range(REMEMBERED):
        asyncio.run(guard.look())
    assert guard.trouble == ""


def test_rules_that_cannot_be_read_are_trouble_until_they_can():
    class Flaky(MemoryInstaller):
        broken = True

        def inspect(self):
            if self.broken:
                raise CalicodError("K013", "iptables-save failed")
            return super().inspect()

    installer = Flaky()
    installer.install(Steering(generation=1))
    guard = guarded(installer)
    asyncio.run(guard.look())
    assert "iptables-save failed" in guard.trouble

    installer.broken = False
    asyncio.run(guard.look())

    assert guard.trouble == ""


def test_what_was_counted_before_it_began_is_not_told_again():
    installer = MemoryInstaller()
    installer.install(Steering(generation=1))
    installer.drops["invalid"] = 5
    guard = guarded(installer, {5200: QueueState(queue=5200, waiting=0, queue_dropped=3, user_dropped=2)})

    guard.begin()

    assert asyncio.run(guard.look()).events == ()
