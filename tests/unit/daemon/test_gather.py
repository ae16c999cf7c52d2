import asyncio
import os
from itertools import pairwise

from calicod.daemon.gather import GATHER_SECONDS, gather


def looks(
    more: list[bool], seconds: float = GATHER_SECONDS, *, fails: bool = False
) -> tuple[list[float], list[object]]:
    """When a descriptor that is always readable was looked at; `more`: what the first looks leave. And failures."""
    times: list[float] = []
    failures: list[object] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))

        def take() -> bool:
            times.append(loop.time())
            if fails:
                raise ValueError
            return more.pop(0) if more else False

        readable = os.eventfd(1)
        try:
            gather(loop, [readable], take, seconds)
            await asyncio.sleep(2.5 * GATHER_SECONDS)
        finally:
            loop.remove_reader(readable)
            os.close(readable)

    asyncio.run(run())
    return times, failures


def test_the_first_message_is_read_at_once_and_the_next_a_moment_later():
    times, _ = looks([])

    assert len(times) >= 2
    assert all(later - earlier >= GATHER_SECONDS * 0.9 for earlier, later in pairwise(times))


def test_how_long_the_next_waits_is_for_the_caller_to_say():
    times, _ = looks([], GATHER_SECONDS / 4)

    assert len(times) >= 4
    assert all(later - earlier >= GATHER_SECONDS * 0.2 for earlier, later in pairwise(times))


def test_what_was_left_is_read_without_a_pause():
    times, _ = looks([True, True])

    assert len(times) >= 3
    assert times[2] - times[0] < GATHER_SECONDS


def test_a_failure_does_not_end_the_reading():
    times, failures = looks([], fails=True)

    assert len(times) >= 2
    assert all(isinstance(failure, ValueError) for failure in failures)


def test_a_look_for_one_of_several_rests_all_of_them():
    times: list[float] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        readable, other = os.eventfd(0), os.eventfd(1)
        try:
            gather(loop, [readable, other], lambda: bool(times.append(loop.time())))
            await asyncio.sleep(0.2 * GATHER_SECONDS)
            os.eventfd_write(readable, 1)
            await asyncio.sleep(1.5 * GATHER_SECONDS)
        finally:
            for descriptor in (readable, other):
                loop.remove_reader(descriptor)
                os.close(descriptor)

    asyncio.run(run())

    assert len(times) >= 2
    assert all(later - earlier >= GATHER_SECONDS * 0.9 for earlier, later in pairwise(times))
