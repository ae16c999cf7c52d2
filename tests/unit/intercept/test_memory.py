import os

import pytest

from calicod.intercept.memory import Arrival, Departure, MemoryQueue
from calicod.model.verdict import Verdict
from tests.unit.intercept.contract import CONTRACT, HOOK_INPUT, MARKS, Passed, name_of

INDEV = 7
HEADERS = b"\x45" + bytes(27)


class MemoryBench:
    def __init__(self) -> None:
        self.interceptor = MemoryQueue(MARKS)
        self.indev = INDEV
        self.told = 0
        self.arrived = 0

    def arrive(self, *names: str, mark: int = 0) -> None:
        for name in names:
            self.arrived += 1
            self.interceptor.put(Arrival(HEADERS + name.encode(), mark, HOOK_INPUT, INDEV))

    def passed(self) -> list[Passed]:
        news, self.told = self.interceptor.departures[self.told :], len(self.interceptor.departures)
        return [Passed(name_of(d.arrival.payload), d.mark) for d in news if d.repeated]

    def waiting(self) -> int:
        return self.arrived - len(self.interceptor.departures)

    def take(self) -> str:
        return name_of(self.interceptor.take().payload)


@pytest.mark.parametrize("check", CONTRACT)
def test_it_keeps_the_contract_of_interceptors(check):
    CONTRACT[check](MemoryBench())

    assert check in CONTRACT


def test_what_it_was_given_at_first_waits():
    queue = MemoryQueue(MARKS, [Arrival(b"a"), Arrival(b"b")])

    assert queue.read(lambda *_: Verdict.DROP, 10) == 2
    assert queue.departures == [
        Departure(Arrival(b"a"), repeated=False, mark=0),
        Departure(Arrival(b"b"), repeated=False, mark=0),
    ]


def test_after_close_its_descriptor_is_gone():
    queue = MemoryQueue(MARKS, [Arrival(b"a")])
    descriptor = queue.fileno()

    queue.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
