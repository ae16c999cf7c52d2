"""What the compiler keeps from one compilation to the next, so that a small change costs little.

Law: a remembered value is used only if what it was made from equals what is given now; with or without a memory the
result is the same. What one whole compilation did not ask for is forgotten, so nothing grows.
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Given = TypeVar("Given")
Made = TypeVar("Made")


class Memo(Generic[Key, Given, Made]):
    """One value a key, with what it was made from."""

    def __init__(self) -> None:
        self._former: dict[Key, tuple[Given, Made]] = {}
        self._present: dict[Key, tuple[Given, Made]] = {}

    def get(self, key: Key, given: Given, make: Callable[[Given], Made]) -> Made:
        """The value that `make` makes of `given`; made again only if `given` differs from the last time."""
        entry = self._present.get(key) or self._former.get(key)
        if entry is None or not (entry[0] is given or entry[0] == given):
            entry = given, make(given)
        self._present[key] = entry
        return entry[1]

    def turn(self) -> None:
        """Forgets what was not asked for since the last turn."""
        self._former, self._present = self._present, {}
