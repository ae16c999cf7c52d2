"""Reading what comes in many small messages: a moment after the last look, not with each message.

Law: what comes after a quiet moment is read at once; nothing waits longer than that moment for a loop that has time.
"""

import asyncio
from collections.abc import Callable, Sequence

GATHER_SECONDS = 0.02
"""Between two looks: some hundred messages of the thousands that the buffers hold."""


def gather(
    loop: asyncio.AbstractEventLoop,
    descriptors: Sequence[int],
    take: Callable[[], bool],
    seconds: float = GATHER_SECONDS,
) -> None:
    """Calls `take` when there is something to read in any of them, and again only after a moment.

    Woken for each message alone, the loop would do little else. `take` says whether it left something: then it is
    called again as soon as everybody else had a turn.
    """

    def look() -> None:
        for descriptor in descriptors:
            loop.remove_reader(descriptor)
        more = False
        try:
            more = take()
        finally:
            loop.call_later(0.0 if more else seconds, wait)

    def wait() -> None:
        for descriptor in descriptors:
            loop.add_reader(descriptor, look)

    wait()
