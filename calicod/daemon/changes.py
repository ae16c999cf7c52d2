"""Wishes for a change, gathered until somebody has time for them.

Law: nothing asked for is forgotten, and nothing is done twice for the same wish: whoever asks while a change is under
way is answered by the next one, which sees everything asked for until it began.
"""

import asyncio

import msgspec


class Wish(msgspec.Struct, frozen=True):
    """What is asked for: read the sources again, or only look at the interfaces again."""

    reread: bool


class Changes:
    """The gathering place; one consumer, any number of askers."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._reread = False
        self._waiting: list[asyncio.Future[object]] = []

    def ask(self, *, reread: bool) -> None:
        """Asks without waiting for the result."""
        self._reread |= reread
        self._asked.set()

    def ask_and_wait(self, *, reread: bool) -> "asyncio.Future[object]":
        """Asks; the future gets the result of the change that serves this wish."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self.ask(reread=reread)
        return future

    async def next(self, settle_seconds: float) -> tuple[Wish, list["asyncio.Future[object]"]]:
        """Waits for a wish, lets others join for `settle_seconds`, and takes all of them."""
        await self._asked.wait()
        await asyncio.sleep(settle_seconds)
        wish, waiting = Wish(self._reread), self._waiting
        self._reread, self._waiting = False, []
        self._asked.clear()
        return wish, waiting
