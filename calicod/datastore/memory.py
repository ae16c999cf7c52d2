"""A datastore in memory: texts by name, for tests and for whoever has the text already.

Law: the same contract as files, held by the same test.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

from calicod.resources.load import Loaded, load, together


class Memory:
    """Texts by file name; `write` and `delete` are its changes."""

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self._texts = dict(texts or {})
        self._revision = 0
        self._changed = asyncio.Event()

    def write(self, name: str, text: str) -> None:
        """Puts a text in place of what the name held."""
        self._texts[name] = text
        self._tell()

    def delete(self, name: str) -> None:
        """Removes a text."""
        del self._texts[name]
        self._tell()

    def read(self) -> Loaded:
        """Everything it holds now, in the order of the names."""
        return together(load(self._texts[name], name) for name in sorted(self._texts))

    async def changes(self) -> AsyncIterator[None]:
        """Yields after one or more changes."""
        seen = self._revision
        while True:
            while seen == self._revision:
                self._changed.clear()
                await self._changed.wait()
            seen = self._revision
            yield

    def _tell(self) -> None:
        self._revision += 1
        self._changed.set()
