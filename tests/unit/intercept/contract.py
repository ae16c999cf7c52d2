"""What every interceptor must do: run for the memory one without a kernel, for the real one in a namespace.

Law: a bench says what became of each packet; every packet of it that got a verdict is told once.
"""

import select
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Protocol

import msgspec
import pytest

from calicod.intercept.interceptor import Decide, Interceptor
from calicod.model.marks import MarkLayout, layout
from calicod.model.verdict import Verdict

MARKS: MarkLayout = layout()
FOREIGN = 0x4001
"""Bits of the packet mark that are not ours."""
HOOK_INPUT = 1


class Passed(msgspec.Struct, frozen=True, order=True):
    """A packet that went on: the name that it was sent with, and its mark."""

    name: str
    mark: int


class Bench(Protocol):
    """An interceptor with a way to send it packets and to see what went on. `indev`: where its packets come in."""

    interceptor: Interceptor
    indev: int

    def arrive(self, *names: str, mark: int = 0) -> None:
        """These packets come up, one after the other, with this mark."""

    def passed(self) -> list[Passed]:
        """What went on since the last look."""

    def waiting(self) -> int:
        """How many have no verdict."""

    def take(self) -> str:
        """What a reader does that dies before it has answered: the name of the packet."""


def name_of(payload: bytes) -> str:
    """The name that a packet was sent with: the body of its datagram."""
    return payload[28:].decode()


def by_name(verdicts: dict[str, Verdict]) -> Decide:
    """Decides by the names of packets."""
    return lambda payload, *_: verdicts[name_of(payload)]


def always(verdict: Verdict) -> Decide:
    """Decides without a look."""
    return lambda *_: verdict


def what_is_accepted_goes_on_once_with_the_accept_mark(bench: Bench) -> None:
    bench.arrive("a", "b")

    assert bench.interceptor.read(always(Verdict.ACCEPT), 10) == 2
    assert bench.passed() == [Passed("a", MARKS.accept), Passed("b", MARKS.accept)]
    assert bench.waiting() == 0


def what_is_rejected_goes_on_once_with_the_reject_mark(bench: Bench) -> None:
    bench.arrive("a")

    bench.interceptor.read(always(Verdict.REJECT), 10)

    assert bench.passed() == [Passed("a", MARKS.reject)]
    assert bench.waiting() == 0


def what_is_dropped_does_not_go_on(bench: Bench) -> None:
    bench.arrive("a", "b", "c")

    bench.interceptor.read(by_name({"a": Verdict.DROP, "b": Verdict.ACCEPT, "c": Verdict.DROP}), 10)

    assert bench.passed() == [Passed("b", MARKS.accept)]
    assert bench.waiting() == 0


def bits_of_others_are_kept_and_ours_are_set_anew(bench: Bench) -> None:
    bench.arrive("a", "b", mark=FOREIGN | MARKS.prednat)

    bench.interceptor.read(by_name({"a": Verdict.ACCEPT, "b": Verdict.REJECT}), 10)

    assert bench.passed() == [Passed("a", FOREIGN | MARKS.accept), Passed("b", FOREIGN | MARKS.reject)]


def the_deciding_function_gets_the_packet_and_where_it_is(bench: Bench) -> None:
    seen: list[tuple[int, str, int, int, int, int]] = []

    def decide(payload: bytes, *where: int) -> Verdict:
        seen.append((payload[0] >> 4, name_of(payload), *where))
        return Verdict.DROP

    bench.arrive("a", mark=FOREIGN)
    bench.interceptor.read(decide, 10)

    assert seen == [(4, "a", FOREIGN, HOOK_INPUT, bench.indev, 0)]


def each_of_many_packets_gets_its_own_verdict_in_the_order_they_came(bench: Bench) -> None:
    names = [f"{number:02}" for number in range(11)]
    bench.arrive(*names)
    answers = dict(zip(names, [Verdict.ACCEPT, Verdict.DROP, Verdict.REJECT, Verdict.SPARE] * 4, strict=False))

    assert bench.interceptor.read(by_name(answers), 11) == 11
    marks = {Verdict.ACCEPT: MARKS.accept, Verdict.REJECT: MARKS.reject, Verdict.SPARE: MARKS.spare}
    assert bench.passed() == [Passed(name, marks[answers[name]]) for name in names if answers[name] in marks]
    assert bench.waiting() == 0


def a_failure_drops_its_packet_and_no_other(bench: Bench) -> None:
    bench.arrive("a", "b", "c")

    def decide(payload: bytes, *_: int) -> Verdict:
        if name_of(payload) == "b":
            raise ZeroDivisionError
        return Verdict.ACCEPT

    with pytest.raises(ZeroDivisionError):
        bench.interceptor.read(decide, 10)

    assert bench.waiting() == 1
    assert bench.interceptor.read(decide, 10) == 1
    assert [packet.name for packet in bench.passed()] == ["a", "c"]
    assert bench.waiting() == 0


def an_answer_that_is_no_verdict_is_a_drop(bench: Bench) -> None:
    bench.arrive("a")

    bench.interceptor.read(lambda *_: None, 10)  # what a bug would return

    assert bench.passed() == []
    assert bench.waiting() == 0


def no_more_are_judged_than_the_budget_allows(bench: Bench) -> None:
    bench.arrive("a", "b", "c")

    assert bench.interceptor.read(always(Verdict.ACCEPT), 2) == 2
    assert bench.waiting() == 1
    assert bench.interceptor.read(always(Verdict.ACCEPT), 2) == 1
    assert bench.interceptor.read(always(Verdict.ACCEPT), 2) == 0
    assert [packet.name for packet in bench.passed()] == ["a", "b", "c"]


def it_is_readable_while_packets_wait(bench: Bench) -> None:
    assert not readable(bench.interceptor)
    bench.arrive("a", "b")
    assert readable(bench.interceptor)
    bench.interceptor.read(always(Verdict.DROP), 1)
    assert readable(bench.interceptor)
    bench.interceptor.read(always(Verdict.DROP), 2)
    assert not readable(bench.interceptor)


def readable(interceptor: Interceptor) -> bool:
    """Whether `poll` would return at once."""
    poll = select.poll()
    poll.register(interceptor, select.POLLIN)
    return bool(poll.poll(0))


def what_a_dead_reader_had_taken_is_dropped_and_the_rest_waits(bench: Bench) -> None:
    bench.arrive("a", "b", "c")
    assert [bench.take(), bench.take()] == ["a", "b"]

    assert bench.interceptor.release() > 0

    assert bench.waiting() == 1
    bench.interceptor.read(always(Verdict.ACCEPT), 10)
    assert [packet.name for packet in bench.passed()] == ["c"]
    assert bench.waiting() == 0


def the_only_packet_taken_is_released_though_nothing_waits(bench: Bench) -> None:
    bench.arrive("a")
    bench.take()

    bench.interceptor.release()

    assert bench.waiting() == 0
    assert bench.passed() == []


def release_drops_nothing_that_nobody_took(bench: Bench) -> None:
    bench.arrive("a", "b")

    bench.interceptor.release()
    bench.interceptor.release()

    assert bench.waiting() == 2
    bench.interceptor.read(always(Verdict.ACCEPT), 10)
    assert [packet.name for packet in bench.passed()] == ["a", "b"]


def release_of_an_idle_queue_changes_nothing(bench: Bench) -> None:
    bench.arrive("a")
    bench.interceptor.read(always(Verdict.ACCEPT), 10)

    bench.interceptor.release()
    bench.arrive("b")
    bench.interceptor.read(always(Verdict.ACCEPT), 10)

    assert [packet.name for packet in bench.passed()] == ["a", "b"]


CHECKS: Sequence[Callable[[Bench], None]] = (
    what_is_accepted_goes_on_once_with_the_accept_mark,
    what_is_rejected_goes_on_once_with_the_reject_mark,
    what_is_dropped_does_not_go_on,
    bits_of_others_are_kept_and_ours_are_set_anew,
    the_deciding_function_gets_the_packet_and_where_it_is,
    each_of_many_packets_gets_its_own_verdict_in_the_order_they_came,
    a_failure_drops_its_packet_and_no_other,
    an_answer_that_is_no_verdict_is_a_drop,
    no_more_are_judged_than_the_budget_allows,
    it_is_readable_while_packets_wait,
    what_a_dead_reader_had_taken_is_dropped_and_the_rest_waits,
    the_only_packet_taken_is_released_though_nothing_waits,
    release_drops_nothing_that_nobody_took,
    release_of_an_idle_queue_changes_nothing,
)
CONTRACT: MappingProxyType[str, Callable[[Bench], None]] = MappingProxyType({check.__name__: check for check in CHECKS})
"""By name, so that a test of each implementation is parametrised over it."""
