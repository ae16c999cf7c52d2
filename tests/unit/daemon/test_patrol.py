import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from calicod.daemon import patrol as module
from calicod.daemon.guard import Guard
from calicod.daemon.patrol import Patrol
from calicod.errors import CalicodError
from calicod.model.event import Event, KernelDropped, SteeringReset
from calicod.model.steering import Steering
from calicod.netfilter.installer import Installed
from calicod.netfilter.memory import MemoryInstaller
from tests.netns.world import run
from tests.unit.daemon.control_plane import namespace
from tests.unit.daemon.test_enforcer import Bench, Kernel, allowing

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module", autouse=True)
def apart() -> Iterator[None]:
    with namespace():
        yield


class Round:
    """A patrol over a policy that is in force."""

    def __init__(self, folder: Path, kernel: Kernel | None = None) -> None:
        self.told: list[Event] = []
        bench = Bench(folder, kernel)
        self.kernel = bench.kernel
        bench.enforce(allowing(80))
        guard = Guard(self.kernel, dict)
        self.patrol = Patrol(guard, bench.enforcer, Steering(generation=1), self.told.append)

    def go(self, rounds: int = 1) -> None:
        async def go() -> None:
            for _ in range(rounds):
                self.patrol._rests_until = 0.0
                await self.patrol.go()

        asyncio.run(go())


def test_what_is_missing_is_put_back_and_told(tmp_path):
    one = Round(tmp_path)
    one.kernel.missing = ("the jump is gone",)

    one.go(2)

    assert one.told == [SteeringReset(missing=("the jump is gone",), restored=True)]
    assert one.kernel.missing == ()


def test_what_cannot_be_put_back_is_told_each_time(tmp_path):
    one = Round(tmp_path)
    one.kernel.missing = ("the jump is gone",)
    one.kernel.failures = 2

    one.go(3)

    assert [event.restored for event in one.told] == [False, False, True]


def test_what_the_kernel_dropped_is_told(tmp_path):
    one = Round(tmp_path)
    one.kernel.drops["spoofed"] = 2

    one.go()

    assert one.told == [KernelDropped(reason="spoofed", count=2)]


def test_rules_that_others_add_later_are_told_until_they_are_gone_and_not_undone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "OTHERS_ROUNDS", 1)
    one = Round(tmp_path)
    rule = ("INPUT", "-j", "NFQUEUE", "--queue-num", "5200")
    run("iptables-nft", "-A", *rule)
    try:
        one.go()
        assert "K015" in one.patrol.clash
        assert "--queue-num 5200" in run("iptables-nft", "-S", "INPUT")
    finally:
        run("iptables-nft", "-D", *rule)

    one.go()

    assert one.patrol.clash == ""


def test_rules_that_only_cost_speed_are_named_and_those_that_disturb_refused(tmp_path):
    one = Round(tmp_path)
    erases = ("-t", "mangle", "-A", "PREROUTING", "-j", "CONNMARK", "--set-xmark", "0x0/0xffffffff")
    run("iptables-nft", *erases)
    assert ["erases connection mark bits" in notice for notice in one.patrol.meet_others()] == [True]

    run("iptables-nft", "-A", "INPUT", "-j", "NFQUEUE", "--queue-num", "5201")
    with pytest.raises(CalicodError, match="K015"):
        one.patrol.meet_others()
    run("iptables-nft", "-F")
    run("iptables-nft", "-t", "mangle", "-F")


def test_where_a_look_takes_long_it_rests(tmp_path):
    class Slow(Kernel):
        looks = 0

        def inspect(self) -> Installed:
            self.looks += 1
            time.sleep(0.05)
            return MemoryInstaller.inspect(self)

    one = Round(tmp_path, Slow([]))

    async def go() -> None:
        for _ in range(20):
            await one.patrol.go()

    asyncio.run(go())

    assert one.kernel.looks == 1
